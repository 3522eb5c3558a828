/* DescribeVolumes and DescribeSnapshots. Run on the thread of the call. */
#include <string.h>

#include "svc/ec2/describe.h"
#include "svc/ec2/snapshots.h"
#include "svc/ec2/volumes.h"
#include "svc/sharing.h"
#include "base/banned.h"

static const struct describe_kind volumes = {
	.shape = &ec2_shape_Volume,
	.key = "VolumeId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "attachment.attach-time", "Attachments.AttachTime" },
			{ "attachment.delete-on-termination", "Attachments.DeleteOnTermination" },
			{ "attachment.device", "Attachments.Device" },
			{ "attachment.instance-id", "Attachments.InstanceId" },
			{ "attachment.status", "Attachments.State" },
			{ "availability-zone", "AvailabilityZone" },
			{ "availability-zone-id", "AvailabilityZoneId" },
			{ "create-time", "CreateTime" },
			{ "encrypted", "Encrypted" },
			{ "fast-restored", "FastRestored" },
			{ "multi-attach-enabled", "MultiAttachEnabled" },
			{ "operator.managed", "Operator.Managed" },
			{ "operator.principal", "Operator.Principal" },
			{ "size", "Size" },
			{ "snapshot-id", "SnapshotId" },
			{ "status", "State" },
			{ "volume-id", "VolumeId" },
			{ "volume-type", "VolumeType" },
			{ NULL },
		},
};

static const struct describe_kind snapshots = {
	.shape = &ec2_shape_Snapshot,
	.key = "SnapshotId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "description", "Description" },
			{ "encrypted", "Encrypted" },
			{ "owner-alias", "OwnerAlias" },
			{ "owner-id", "OwnerId" },
			{ "progress", "Progress" },
			{ "snapshot-id", "SnapshotId" },
			{ "start-time", "StartTime" },
			{ "status", "State" },
			{ "storage-tier", "StorageTier" },
			{ "transfer-type", "TransferType" },
			{ "volume-id", "VolumeId" },
			{ "volume-size", "VolumeSize" },
			{ NULL },
		},
};

int volume_list(struct call *call, const struct ec2_VolumeIdStringList *named,
	struct shape_integer max_results, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };
	const char *const *ids;
	size_t count = named->count;

	if (!count)
		return meta_list(call->amid->meta, &record_volume, &query, call->arena, rows, err);
	if (describe_sort_ids(call, named->items, &count, "volumeSet", max_results, &ids, err))
		return -1;
	rows->items = arena_alloc_array(call->arena, count, sizeof *rows->items);
	for (rows->count = 0; rows->count < count; rows->count++) {
		struct volume_record *volume;
		if (volume_find(call, ids[rows->count], &volume, err))
			return -1;
		rows->items[rows->count] = volume;
	}
	return 0;
}

int ec2_describe_volumes(struct call *call, const struct ec2_DescribeVolumesRequest *request,
	struct ec2_DescribeVolumesResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows;

	if (volume_list(call, &request->volume_ids, request->max_results, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		volume_result(call, rows.items[i],
			ARENA_APPEND(call->arena, result->volumes.items, result->volumes.count));
	return describe_finish(call, &volumes, &request->filters, &page, &result->volumes, err);
}

static bool matches_owner(const struct call *call, const struct snapshot_record *snapshot,
	const struct ec2_OwnerStringList *owners)
{
	for (size_t i = 0; i < owners->count; i++) {
		const char *owner = strcmp(owners->items[i], "self") == 0 ? call->account
			: strcmp(owners->items[i], ALIAS_PLATFORM) == 0   ? ACCOUNT_PLATFORM
									  : owners->items[i];
		if (strcmp(snapshot->record.account, owner) == 0)
			return true;
	}
	return !owners->count;
}

/* RestorableByUserIds: "self", "all", or an account, that may make volumes of it. Whom else a snapshot is shared with is its owner's business. */
static bool matches_user(const struct call *call, const struct snapshot_record *snapshot,
	enum sharing_way way, const struct ec2_RestorableByStringList *users)
{
	for (size_t i = 0; i < users->count; i++) {
		const char *user = strcmp(users->items[i], "self") == 0 ? call->account : users->items[i];
		bool all = strcmp(user, "all") == 0;
		if (all && (way == SHARING_PUBLIC || snapshot_is_public(snapshot)))
			return true;
		if (!all && (way == SHARING_OWN || strcmp(user, call->account) == 0) &&
			snapshot_is_shared_with(snapshot, user))
			return true;
	}
	return !users->count;
}

static int load_snapshots(struct call *call, const struct ec2_DescribeSnapshotsRequest *request,
	struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .region = call->region };
	const char *const *ids;
	size_t count = request->snapshot_ids.count;

	if (!count)
		return meta_list(call->amid->meta, &record_snapshot, &query, call->arena, rows, err);
	if (describe_sort_ids(call, request->snapshot_ids.items, &count, "snapshotSet", request->max_results,
		    &ids, err))
		return -1;
	rows->items = arena_alloc_array(call->arena, count, sizeof *rows->items);
	for (rows->count = 0; rows->count < count; rows->count++) {
		struct snapshot_record *snapshot;
		if (snapshot_find_visible(call, call->region, ids[rows->count], &snapshot, err))
			return -1;
		rows->items[rows->count] = snapshot;
	}
	return 0;
}

int ec2_describe_snapshots(struct call *call, const struct ec2_DescribeSnapshotsRequest *request,
	struct ec2_DescribeSnapshotsResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct sharing *view;
	struct meta_rows rows;

	if (load_snapshots(call, request, &rows, err) ||
		sharing_open(call->amid, call->account, call->region, call->arena, &view, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		enum sharing_way way;
		if (sharing_snapshot_way(view, rows.items[i], &way, err))
			return -1;
		if (way != SHARING_NONE && matches_owner(call, rows.items[i], &request->owner_ids) &&
			matches_user(call, rows.items[i], way, &request->restorable_by_user_ids))
			snapshot_result(call, rows.items[i],
				ARENA_APPEND(call->arena, result->snapshots.items, result->snapshots.count));
	}
	return describe_finish(call, &snapshots, &request->filters, &page, &result->snapshots, err);
}
