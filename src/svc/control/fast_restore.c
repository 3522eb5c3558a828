/*
 * Fast restores: a snapshot whose blocks have all been read and checked, so that they lie in the page cache, from where volumes of it read them. Zones are one machine's, so the blocks are read once for all of them.
 *
 * enabling -> optimizing (blocks are read) -> enabled; disabling -> disabled. Once the machine was booted again, enabled -> optimizing: nothing is in its memory.
 */
#include <string.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/snapshot_state.h"
#include "base/banned.h"

#define LIFECYCLE "Client.UserInitiated - Lifecycle state transition"

/* Moves all zones in state `from` to `to`, with the time in the member at `offset`; how many there were. */
static unsigned move(struct snapshot_record *snapshot, const char *from, const char *to, size_t offset)
{
	unsigned count = 0;
	for (size_t i = 0; i < snapshot->fast_restores.count; i++) {
		struct record_fast_restore *restore = &snapshot->fast_restores.items[i];
		if (strcmp(restore->state, from) != 0)
			continue;
		restore->state = to;
		restore->reason = LIFECYCLE;
		*(struct shape_timestamp *)(void *)((char *)restore + offset) =
			some_timestamp(clock_now_ms());
		count++;
	}
	return count;
}
#define MOVE(snapshot, from, to) move(snapshot, #from, #to, offsetof(struct record_fast_restore, to))

static int fail(struct snapshot_view *view, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	if (err->code != ERROR_CORRUPT && err->code != ERROR_NOT_FOUND)
		return -1;
	log_error("fast-restore-failed", "snapshot=%s error=\"%s\"", snapshot->record.id, err->message);
	for (size_t i = 0; i < snapshot->fast_restores.count; i++) {
		struct record_fast_restore *restore = &snapshot->fast_restores.items[i];
		if (strcmp(restore->state, "optimizing") != 0)
			continue;
		restore->state = "disabled";
		restore->disabled = some_timestamp(clock_now_ms());
		restore->reason = arena_printf(view->arena, "Server.InternalError: %s", err->message);
	}
	tree_reader_rewind(snapshot);
	return snapshot_view_commit(view, err);
}

int snapshot_fast_restore_step(struct snapshot_view *view, int64_t *again_ms, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	char boot[DISK_BOOT_ID_SIZE];
	disk_boot_id(boot);
	bool done = false, booted = !text_equal(snapshot->read_boot, boot);
	unsigned moved = MOVE(snapshot, disabling, disabled);
	unsigned begun = MOVE(snapshot, enabling, optimizing);
	if (booted)
		begun += MOVE(snapshot, enabled, optimizing);
	/* also for those that were being optimized: the cache is the same */
	if (begun || booted)
		tree_reader_rewind(snapshot);
	snapshot->read_boot = boot;
	if (moved || begun || booted)
		return snapshot_view_commit(view, err);
	if (!snapshot_has_unsettled_restore(snapshot))
		return 0;
	int64_t wait_ms = tree_reader_wait(view);
	if (wait_ms) {
		*again_ms = wait_ms;
		return 0;
	}
	if (tree_reader_step(view, &done, err))
		return fail(view, err);
	if (done) {
		MOVE(snapshot, optimizing, enabled);
		tree_reader_rewind(snapshot);
		log_info("fast-restore-enabled", "snapshot=%s", snapshot->record.id);
	}
	return snapshot_view_commit(view, err);
}
