/*
 * The snapshot controller. A snapshot's change wakes its volume (to be sealed) and its image. What else there is to do with one (`attended` in its record) is done here, one thing at a look: each ends with a change of the
 * record, which brings the next look.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/key_ring.h"
#include "svc/snapshot_state.h"
#include "base/banned.h"

int snapshot_view_commit(struct snapshot_view *view, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	snapshot_set_attended(view->snapshot);
	meta_batch_put(batch, &record_snapshot, view->snapshot);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	for (unsigned i = 0; i < 2; i++)
		data_key_retire(view->amid, view->retired[i]);
	return 0;
}

/* A snapshot whose time in the recycle bin is over goes, and its blocks with it. */
static int empty_bin(struct snapshot_view *view, int64_t *again_ms, struct error *err)
{
	int64_t left_ms = view->snapshot->recycled->exits.ms - clock_now_ms();
	if (left_ms > 0) {
		*again_ms = left_ms;
		return 0;
	}
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_delete(batch, &record_snapshot, view->snapshot);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	log_info("snapshot-left-bin", "snapshot=%s", view->snapshot->record.id);
	return 0;
}

int control_snapshot(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct snapshot_view view = { .amid = context, .arena = arena };
	if (meta_get_any(view.amid->meta, &record_snapshot, NULL, id, arena, &view.snapshot, err))
		return -1;
	struct snapshot_record *snapshot = view.snapshot;
	if (!snapshot)
		return 0;
	if (snapshot->layer.set && snapshot->volume)
		work_enqueue(view.amid->work, "volume", snapshot->volume);
	if (snapshot->image && strcmp(snapshot->state, "pending") != 0)
		work_enqueue(view.amid->work, "image", snapshot->image);
	view.region = amid_find_region(view.amid, snapshot->record.region);
	if (!view.region || !boolean_or(snapshot->attended, false))
		return 0;
	if (snapshot->recycled)
		return empty_bin(&view, again_ms, err);
	if (snapshot->copy)
		return snapshot_copy_step(&view, again_ms, err);
	if (snapshot_is_tiering(snapshot))
		return snapshot_tier_step(&view, again_ms, err);
	if (snapshot->tier && snapshot->tier->restore_expires.set) {
		bool ended;
		if (snapshot_tier_expire(&view, &ended, again_ms, err))
			return -1;
		if (ended)
			return 0;
	}
	return snapshot_has_restore(snapshot) ? snapshot_fast_restore_step(&view, again_ms, err) : 0;
}
