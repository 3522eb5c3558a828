/*
 * Moving a snapshot into the archive tier and back. Its blocks are read and checked first, so that what is archived is known to be whole, and what is restored can be read. Then upkeep.c compresses those that only
 * archived and cold snapshots have, and brings them back; a block that is compressed can be read at any time.
 *
 * A snapshot that was restored for some days is archived again when they are over: from that moment on by its record and the clock (../snapshot_state.c), whenever this controller comes to it.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/control/upkeep.h"
#include "svc/snapshot_state.h"
#include "base/banned.h"

#define DAY_MS (24LL * 3600 * 1000)
#define ARCHIVAL "archival"
#define TEMPORARY "temporary-restore"
#define PERMANENT "permanent-restore"

/* Whether an image has come to use the snapshot since its archival began. Whoever makes one changes the snapshot's record, so that cannot happen between this and the commit. */
static int find_user(struct snapshot_view *view, const char **image, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.region = view->region->name, .index = "snapshot", .value = view->snapshot->record.id
	};
	*image = NULL;
	if (meta_list(view->amid->meta, &record_image, &query, view->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct image_record *found = rows.items[i];
		if (!found->recycled && strcmp(found->state, "disabled") != 0)
			*image = found->record.id;
	}
	return 0;
}

/* What an archived snapshot has no use for goes: who may make volumes of it, and fast restores. */
static int finish_archival(struct snapshot_view *view, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	struct record_snapshot_tier *tier = snapshot->tier;
	const char *image;
	if (!boolean_or(tier->archived, false)) {
		if (find_user(view, &image, err))
			return -1;
		if (image) {
			tier->operation = ARCHIVAL "-failed";
			tier->detail = arena_printf(view->arena, "The snapshot is in use by %s.", image);
			return 0;
		}
		tier->archived_at = some_timestamp(clock_now_ms());
	}
	tier->operation = ARCHIVAL "-completed";
	tier->archived = some_boolean(true);
	snapshot->create_volume_permissions = (struct record_launch_permission_list){ 0 };
	snapshot->fast_restores = (struct record_fast_restore_list){ 0 };
	return 0;
}

static int finish(struct snapshot_view *view, struct error *err)
{
	struct record_snapshot_tier *tier = view->snapshot->tier;
	tree_reader_rewind(view->snapshot);
	tier->detail = NULL;
	if (strcmp(tier->operation, ARCHIVAL "-in-progress") == 0) {
		if (finish_archival(view, err))
			return -1;
	} else if (strcmp(tier->operation, TEMPORARY "-in-progress") == 0) {
		tier->operation = TEMPORARY "-completed";
		tier->restore_expires = some_timestamp(clock_now_ms() + tier->restore_days.value * DAY_MS);
	} else {
		tier->operation = PERMANENT "-completed";
		tier->archived = some_boolean(false);
		tier->restore_expires.set = false;
	}
	if (snapshot_view_commit(view, err))
		return -1;
	log_info("snapshot-tier", "snapshot=%s operation=%s", view->snapshot->record.id, tier->operation);
	if (snapshot_is_archived(view->snapshot))
		upkeep_after_archival(view->amid, view->region->name);
	else if (view->snapshot->root)
		upkeep_warm(view->amid, view->region->name, view->snapshot->root);
	return 0;
}

/* Damage is told to the owner; the snapshot stays in the tier where it is. */
static int fail(struct snapshot_view *view, struct error *err)
{
	struct record_snapshot_tier *tier = view->snapshot->tier;
	if (err->code != ERROR_CORRUPT && err->code != ERROR_NOT_FOUND && err->code != ERROR_NO_SPACE)
		return -1;
	log_error("snapshot-tier-failed", "snapshot=%s operation=%s error=\"%s\"", view->snapshot->record.id,
		tier->operation, err->message);
	tree_reader_rewind(view->snapshot);
	tier->operation = arena_printf(view->arena, "%.*s-failed",
		(int)(strlen(tier->operation) - strlen("-in-progress")), tier->operation);
	tier->detail = arena_strdup(view->arena, err->message);
	return snapshot_view_commit(view, err);
}

int snapshot_tier_expire(struct snapshot_view *view, bool *ended, int64_t *again_ms, struct error *err)
{
	struct record_snapshot_tier *tier = view->snapshot->tier;
	int64_t left_ms = tier->restore_expires.ms - clock_now_ms();
	*ended = left_ms <= 0;
	if (!*ended) {
		*again_ms = left_ms;
		return 0;
	}
	tier->restore_expires.set = false;
	tier->operation = ARCHIVAL "-in-progress";
	tier->started = some_timestamp(clock_now_ms());
	tree_reader_rewind(view->snapshot);
	return snapshot_view_commit(view, err);
}

int snapshot_tier_step(struct snapshot_view *view, int64_t *again_ms, struct error *err)
{
	bool done;
	int64_t wait_ms = tree_reader_wait(view);
	if (wait_ms) {
		*again_ms = wait_ms;
		return 0;
	}
	if (tree_reader_step(view, &done, err))
		return fail(view, err);
	return done ? finish(view, err) : snapshot_view_commit(view, err);
}
