/*
 * LockSnapshot, UnlockSnapshot, DescribeLockedSnapshots. What state a lock is in follows from its record and the clock (../snapshot_state.c), so nothing has to happen when a cooling-off period or a lock ends.
 */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/describe.h"
#include "svc/ec2/snapshots.h"
#include "base/banned.h"

#define HOUR_MS (3600LL * 1000)
#define DAY_MS (24 * HOUR_MS)

static int check_request(const struct ec2_LockSnapshotRequest *request, struct error *err)
{
	if (request->lock_duration.set == request->expiration_date.set)
		return error_set(err,
			request->lock_duration.set ? ERROR_INVALID_PARAMETER_COMBINATION
						   : ERROR_MISSING_PARAMETER,
			"The request must contain either LockDuration or ExpirationDate.");
	if (request->expiration_date.set && request->expiration_date.ms < clock_now_ms() + DAY_MS)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The ExpirationDate of a lock must be at least a day from now.");
	if (request->cool_off_period.set && strcmp(request->lock_mode, "governance") == 0)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"CoolOffPeriod is for locks in compliance mode only.");
	return 0;
}

static struct record_snapshot_lock make_lock(const struct ec2_LockSnapshotRequest *request)
{
	struct record_snapshot_lock lock = {
		.mode = request->lock_mode,
		.created = ec2_now(),
		.duration_days = request->lock_duration,
		.expires = request->expiration_date,
		.cool_off_hours = request->cool_off_period,
	};
	if (lock.expires.set)
		lock.duration_days = some_integer((lock.expires.ms - lock.created.ms + DAY_MS - 1) / DAY_MS);
	if (lock.cool_off_hours.set)
		lock.cool_off_expires = some_timestamp(lock.created.ms + lock.cool_off_hours.value * HOUR_MS);
	return lock;
}

/* In compliance mode, after its cooling-off period, a lock can only be made longer. It stays the lock that it was. */
static int extend(struct snapshot_record *snapshot, const struct ec2_LockSnapshotRequest *request,
	struct record_snapshot_lock *lock, struct error *err)
{
	struct shape_timestamp end = snapshot_lock_end(snapshot);
	const struct record_snapshot_lock *old = snapshot->lock;
	if (strcmp(request->lock_mode, "compliance") != 0 || request->cool_off_period.set)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The snapshot %s is locked in compliance mode: its lock can only be extended.",
			snapshot->record.id);
	int64_t days = lock->duration_days.value;
	lock->created = old->created;
	lock->cool_off_hours = old->cool_off_hours;
	lock->cool_off_expires = old->cool_off_expires;
	snapshot->lock = lock;
	struct shape_timestamp new_end = snapshot_lock_end(snapshot);
	bool longer = end.set && new_end.set ? new_end.ms >= end.ms : days >= old->duration_days.value;
	return longer ? 0
		      : error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"The lock of the snapshot %s, in compliance mode, cannot be made shorter.",
				snapshot->record.id);
}

int ec2_lock_snapshot(struct call *call, const struct ec2_LockSnapshotRequest *request,
	struct ec2_LockSnapshotResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	if (check_request(request, err) || snapshot_find(call, request->snapshot_id, &snapshot, err))
		return -1;
	if (strcmp(snapshot->state, "error") == 0)
		return error_set(err, ERROR_INCORRECT_STATE, "Snapshot is in invalid state - error (%s)",
			request->snapshot_id);
	struct record_snapshot_lock lock = make_lock(request);
	if (text_equal(snapshot_lock_state(snapshot), "compliance") && extend(snapshot, request, &lock, err))
		return -1;
	snapshot->lock = &lock;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_snapshot, snapshot);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	*result = (struct ec2_LockSnapshotResult){ .snapshot_id = snapshot->record.id,
		.lock_state = snapshot_lock_state(snapshot),
		.lock_duration = lock.duration_days,
		.cool_off_period = lock.cool_off_hours,
		.cool_off_period_expires_on = lock.cool_off_expires,
		.lock_created_on = lock.created,
		.lock_expires_on = snapshot_lock_end(snapshot),
		.lock_duration_start_time = snapshot_lock_start(snapshot) };
	return 0;
}

int ec2_unlock_snapshot(struct call *call, const struct ec2_UnlockSnapshotRequest *request,
	struct ec2_UnlockSnapshotResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	if (snapshot_find(call, request->snapshot_id, &snapshot, err))
		return -1;
	if (!snapshot_is_locked(snapshot))
		return error_set(err, ERROR_SNAPSHOT_LOCK_NOT_FOUND, "The snapshot %s is not locked.",
			request->snapshot_id);
	if (strcmp(snapshot_lock_state(snapshot), "compliance") == 0)
		return error_set(err, ERROR_SNAPSHOT_LOCKED,
			"The snapshot %s is locked in compliance mode and cannot be unlocked.",
			request->snapshot_id);
	snapshot->lock = NULL;
	result->snapshot_id = snapshot->record.id;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_snapshot, snapshot);
	return meta_commit(call->amid->meta, batch, err);
}

static const struct describe_kind locked_snapshots = {
	.shape = &ec2_shape_LockedSnapshotsInfo,
	.key = "SnapshotId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters = (const struct describe_filter[]){ { "lock-state", "LockState" }, { NULL } },
};

static struct ec2_LockedSnapshotsInfo info_of(const struct snapshot_record *snapshot)
{
	const struct record_snapshot_lock *lock = snapshot->lock;
	return (struct ec2_LockedSnapshotsInfo){ .owner_id = snapshot->record.account,
		.snapshot_id = snapshot->record.id,
		.lock_state = snapshot_lock_state(snapshot),
		.lock_duration = lock->duration_days,
		.cool_off_period = lock->cool_off_hours,
		.cool_off_period_expires_on = lock->cool_off_expires,
		.lock_created_on = lock->created,
		.lock_expires_on = snapshot_lock_end(snapshot),
		.lock_duration_start_time = snapshot_lock_start(snapshot) };
}

int ec2_describe_locked_snapshots(struct call *call, const struct ec2_DescribeLockedSnapshotsRequest *request,
	struct ec2_DescribeLockedSnapshotsResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_query query = { .account = call->account, .region = call->region };
	struct meta_rows rows;
	for (size_t i = 0; i < request->snapshot_ids.count; i++) {
		struct snapshot_record *named;
		if (snapshot_find(call, request->snapshot_ids.items[i], &named, err))
			return -1;
	}
	if (meta_list(call->amid->meta, &record_snapshot, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct snapshot_record *snapshot = rows.items[i];
		if (snapshot->lock && !snapshot_is_recycled(snapshot) &&
			describe_wants(request->snapshot_ids.items, request->snapshot_ids.count,
				snapshot->record.id))
			*ARENA_APPEND(call->arena, result->snapshots.items, result->snapshots.count) =
				info_of(snapshot);
	}
	return describe_finish(call, &locked_snapshots, &request->filters, &page, &result->snapshots, err);
}
