/*
 * ModifySnapshotTier, RestoreSnapshotTier, DescribeSnapshotTierStatus. They note what is to be done; ../control/tier.c does it. A snapshot can be used until its archival is completed, and again when a restore is.
 */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/describe.h"
#include "svc/ec2/snapshots.h"
#include "base/banned.h"

enum { RESTORE_DAYS_MAX = 180 };

#define DAY_MS (24LL * 3600 * 1000)

static int put(struct call *call, struct snapshot_record *snapshot, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	snapshot_set_attended(snapshot);
	meta_batch_put(batch, &record_snapshot, snapshot);
	return meta_commit(call->amid->meta, batch, err);
}

static int check_idle(const struct snapshot_record *snapshot, struct error *err)
{
	if (snapshot_is_tiering(snapshot))
		return error_set(err, ERROR_INCORRECT_STATE,
			"The snapshot %s is being moved between tiers: %s", snapshot->record.id,
			snapshot->tier->operation);
	return 0;
}

int ec2_modify_snapshot_tier(struct call *call, const struct ec2_ModifySnapshotTierRequest *request,
	struct ec2_ModifySnapshotTierResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	struct image_record *user;
	if (snapshot_find_completed(call, request->snapshot_id, &snapshot, err) ||
		check_idle(snapshot, err) || snapshot_find_user(call, request->snapshot_id, NULL, &user, err))
		return -1;
	if (snapshot->tier && boolean_or(snapshot->tier->archived, false))
		return error_set(err, ERROR_INCORRECT_STATE,
			"The snapshot %s is in the archive tier; it is restored for some days.",
			request->snapshot_id);
	if (user && strcmp(user->state, "disabled") != 0)
		return error_set(err, ERROR_SNAPSHOT_IN_USE, "The snapshot %s is currently in use by %s",
			request->snapshot_id, user->record.id);
	struct record_snapshot_tier tier = { .operation = "archival-in-progress", .started = ec2_now() };
	snapshot->tier = &tier;
	snapshot->read_next.set = snapshot->read_after.set = false;
	if (put(call, snapshot, err))
		return -1;
	result->snapshot_id = snapshot->record.id;
	result->tiering_start_time = tier.started;
	return 0;
}

static int check_restore(const struct ec2_RestoreSnapshotTierRequest *request, struct error *err)
{
	bool permanent = boolean_or(request->permanent_restore, false);
	struct shape_integer days = request->temporary_restore_days;
	if (permanent == days.set)
		return error_set(err,
			permanent ? ERROR_INVALID_PARAMETER_COMBINATION : ERROR_MISSING_PARAMETER,
			"The request must contain either TemporaryRestoreDays or PermanentRestore.");
	if (days.set && (days.value < 1 || days.value > RESTORE_DAYS_MAX))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%lld) for parameter TemporaryRestoreDays is invalid. It must be from 1 to %d.",
			(long long)days.value, RESTORE_DAYS_MAX);
	return 0;
}

/* One that is restored for some days already only gets other days, or for good. */
int ec2_restore_snapshot_tier(struct call *call, const struct ec2_RestoreSnapshotTierRequest *request,
	struct ec2_RestoreSnapshotTierResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	bool permanent = boolean_or(request->permanent_restore, false);
	if (check_restore(request, err) || snapshot_find(call, request->snapshot_id, &snapshot, err) ||
		check_idle(snapshot, err))
		return -1;
	struct record_snapshot_tier *tier = snapshot->tier;
	if (!tier || !boolean_or(tier->archived, false))
		return error_set(err, ERROR_INCORRECT_STATE, "The snapshot %s is not in the archive tier.",
			request->snapshot_id);
	bool restored = !snapshot_is_archived(snapshot);
	tier->started = ec2_now();
	tier->detail = NULL;
	if (!permanent)
		tier->restore_days = request->temporary_restore_days;
	if (restored && !permanent) {
		tier->restore_expires = some_timestamp(clock_now_ms() + tier->restore_days.value * DAY_MS);
	} else {
		tier->operation =
			permanent ? "permanent-restore-in-progress" : "temporary-restore-in-progress";
		snapshot->read_next.set = snapshot->read_after.set = false;
		if (!restored)
			tier->restore_expires.set = false;
	}
	if (put(call, snapshot, err))
		return -1;
	*result = (struct ec2_RestoreSnapshotTierResult){ .snapshot_id = snapshot->record.id,
		.restore_start_time = tier->started,
		.restore_duration = request->temporary_restore_days,
		.is_permanent_restore = some_boolean(permanent) };
	return 0;
}

static const struct describe_kind tier_statuses = {
	.shape = &ec2_shape_SnapshotTierStatus,
	.key = "SnapshotId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "snapshot-id", "SnapshotId" },
			{ "volume-id", "VolumeId" },
			{ "last-tiering-operation", "LastTieringOperationStatus" },
			{ NULL },
		},
};

/* Percent of what is under way. */
static struct shape_integer progress_of(const struct snapshot_record *snapshot)
{
	int64_t blocks = integer_or(snapshot->volume_size_gib, 0) * (1024 * 1024 * 1024 / STORE_BLOCK_SIZE);
	if (!snapshot->tier || !snapshot->tier->operation)
		return (struct shape_integer){ 0 };
	if (!snapshot_is_tiering(snapshot) || !blocks)
		return some_integer(100);
	return some_integer(integer_or(snapshot->read_next, 0) * 99 / blocks);
}

static struct ec2_SnapshotTierStatus status_of(struct call *call, const struct snapshot_record *snapshot)
{
	static const struct record_snapshot_tier standard;
	const struct record_snapshot_tier *tier = snapshot->tier ? snapshot->tier : &standard;
	return (struct ec2_SnapshotTierStatus){ .snapshot_id = snapshot->record.id,
		.volume_id = text_or(snapshot->volume, "vol-ffffffff"),
		.status = snapshot->state,
		.owner_id = snapshot->record.account,
		.tags = ec2_tags_result(call, &snapshot->tags),
		.storage_tier = snapshot_is_archived(snapshot) ? "archive" : "standard",
		.last_tiering_start_time = tier->started,
		.last_tiering_progress = progress_of(snapshot),
		.last_tiering_operation_status = tier->operation,
		.last_tiering_operation_status_detail = tier->detail,
		.archival_complete_time = tier->archived_at,
		.restore_expiry_time = tier->restore_expires };
}

int ec2_describe_snapshot_tier_status(struct call *call,
	const struct ec2_DescribeSnapshotTierStatusRequest *request,
	struct ec2_DescribeSnapshotTierStatusResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_query query = { .account = call->account, .region = call->region };
	struct meta_rows rows;
	if (meta_list(call->amid->meta, &record_snapshot, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (!snapshot_is_recycled(rows.items[i]))
			*ARENA_APPEND(call->arena, result->snapshot_tier_statuses.items,
				result->snapshot_tier_statuses.count) = status_of(call, rows.items[i]);
	return describe_finish(
		call, &tier_statuses, &request->filters, &page, &result->snapshot_tier_statuses, err);
}
