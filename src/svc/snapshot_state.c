/*
 * States of a snapshot that follow from its record and the clock, so that nobody has to be on time to write them down. No state of its own; safe from every thread.
 */
#include "svc/snapshot_state.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

#define DAY_MS (24LL * 3600 * 1000)

bool snapshot_is_recycled(const struct snapshot_record *snapshot)
{
	return snapshot->recycled != NULL;
}

static bool is_past(struct shape_timestamp time)
{
	return time.set && time.ms <= clock_now_ms();
}

bool snapshot_is_archived(const struct snapshot_record *snapshot)
{
	const struct record_snapshot_tier *tier = snapshot->tier;
	return tier && boolean_or(tier->archived, false) &&
		(!tier->restore_expires.set || is_past(tier->restore_expires));
}

bool snapshot_is_tiering(const struct snapshot_record *snapshot)
{
	const char *operation = snapshot->tier ? snapshot->tier->operation : NULL;
	return operation && strstr(operation, "-in-progress");
}

int snapshot_check_usable(const struct snapshot_record *snapshot, struct error *err)
{
	if (strcmp(snapshot->state, "completed") != 0)
		return error_set(err, ERROR_INCORRECT_STATE, "Snapshot is in invalid state - %s (%s)",
			snapshot->state, snapshot->record.id);
	if (snapshot_is_archived(snapshot))
		return error_set(err, ERROR_INCORRECT_STATE,
			"The snapshot %s is in the archive tier; it must be restored before it can be used.",
			snapshot->record.id);
	return 0;
}

struct shape_timestamp snapshot_lock_start(const struct snapshot_record *snapshot)
{
	const struct record_snapshot_lock *lock = snapshot->lock;
	if (!lock || strcmp(snapshot->state, "pending") == 0)
		return (struct shape_timestamp){ 0 };
	if (snapshot->completed.set && snapshot->completed.ms > lock->created.ms)
		return snapshot->completed;
	return lock->created;
}

struct shape_timestamp snapshot_lock_end(const struct snapshot_record *snapshot)
{
	const struct record_snapshot_lock *lock = snapshot->lock;
	struct shape_timestamp start = snapshot_lock_start(snapshot);
	if (!lock || lock->expires.set)
		return lock ? lock->expires : start;
	return start.set ? some_timestamp(start.ms + lock->duration_days.value * DAY_MS) : start;
}

const char *snapshot_lock_state(const struct snapshot_record *snapshot)
{
	const struct record_snapshot_lock *lock = snapshot->lock;
	if (!lock)
		return NULL;
	if (is_past(snapshot_lock_end(snapshot)))
		return "expired";
	if (strcmp(lock->mode, "compliance") != 0)
		return "governance";
	return lock->cool_off_expires.set && !is_past(lock->cool_off_expires) ? "compliance-cooloff"
									      : "compliance";
}

bool snapshot_is_locked(const struct snapshot_record *snapshot)
{
	const char *state = snapshot_lock_state(snapshot);
	return state && strcmp(state, "expired") != 0;
}

bool snapshot_has_restore(const struct snapshot_record *snapshot)
{
	for (size_t i = 0; i < snapshot->fast_restores.count; i++)
		if (strcmp(snapshot->fast_restores.items[i].state, "disabled") != 0)
			return true;
	return false;
}

bool snapshot_has_unsettled_restore(const struct snapshot_record *snapshot)
{
	for (size_t i = 0; i < snapshot->fast_restores.count; i++) {
		const char *state = snapshot->fast_restores.items[i].state;
		if (strcmp(state, "enabled") != 0 && strcmp(state, "disabled") != 0)
			return true;
	}
	return false;
}

void snapshot_set_attended(struct snapshot_record *snapshot)
{
	bool attended = snapshot_is_recycled(snapshot) || snapshot->copy || snapshot_is_tiering(snapshot) ||
		(snapshot->tier && snapshot->tier->restore_expires.set) || snapshot_has_restore(snapshot);
	snapshot->attended = attended ? some_boolean(true) : (struct shape_boolean){ 0 };
}
