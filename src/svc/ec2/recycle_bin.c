/*
 * The recycle bin's contents: what goes in (for DeleteSnapshot and DeregisterImage), ListSnapshotsInRecycleBin, ListImagesInRecycleBin, RestoreSnapshotFromRecycleBin, RestoreImageFromRecycleBin. The rules are
 * in ../recycle_bin.c; what has been in for its time is removed by the controllers of snapshots and images.
 *
 * Only what was finished goes in; a pending or failed snapshot holds nothing that anybody could want back. An image in the bin has given up its name and does not keep its snapshots from being deleted; it can be restored while it has them all.
 */
#include "svc/ec2/recycle_bin.h"

#include <string.h>

#include "svc/ec2/describe.h"
#include "svc/ec2/image_names.h"
#include "svc/ec2/snapshots.h"
#include "svc/recycle_bin.h"
#include "base/banned.h"

static const struct describe_filter no_filters[] = { { NULL } };

int recycle_snapshot(
	struct call *call, struct snapshot_record *snapshot, struct meta_batch *batch, struct error *err)
{
	struct recycle_item item = { RECYCLE_SNAPSHOT, &snapshot->record, &snapshot->tags };
	if (strcmp(snapshot->state, "completed") == 0 &&
		recycle_bin_admit(call->amid, &item, call->arena, &snapshot->recycled, err))
		return -1;
	if (!snapshot->recycled) {
		meta_batch_delete(batch, &record_snapshot, snapshot);
		return 0;
	}
	snapshot->fast_restores = (struct record_fast_restore_list){ 0 };
	snapshot_set_attended(snapshot);
	meta_batch_put(batch, &record_snapshot, snapshot);
	return 0;
}

int recycle_image(struct call *call, struct image_record *image, struct meta_batch *batch, struct error *err)
{
	struct recycle_item item = { RECYCLE_IMAGE, &image->record, &image->tags };
	bool usable = strcmp(image->state, "available") == 0 || strcmp(image->state, "disabled") == 0;
	if (usable && recycle_bin_admit(call->amid, &item, call->arena, &image->recycled, err))
		return -1;
	if (!image->recycled) {
		meta_batch_delete(batch, &record_image, image);
		return 0;
	}
	image->recycled->name = image->name;
	image->name = NULL;
	meta_batch_put(batch, &record_image, image);
	return 0;
}

/* The caller's snapshots in the bin: all, or those named, which must be there. */
static int load_snapshots(struct call *call, const struct ec2_SnapshotIdStringList *ids,
	struct meta_rows *rows, struct error *err)
{
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "attended", .value = "true"
	};
	if (!ids->count)
		return meta_list(call->amid->meta, &record_snapshot, &query, call->arena, rows, err);
	const char *const *sorted;
	size_t count = ids->count;
	if (describe_sort_ids(call, ids->items, &count, NULL, (struct shape_integer){ 0 }, &sorted, err))
		return -1;
	rows->items = arena_alloc_array(call->arena, count, sizeof *rows->items);
	for (rows->count = 0; rows->count < count; rows->count++) {
		struct snapshot_record *snapshot;
		if (ec2_check_id(sorted[rows->count], "snap", ERROR_SNAPSHOT_ID_MALFORMED, err) ||
			EC2_GET(call, record_snapshot, sorted[rows->count], &snapshot, err))
			return -1;
		if (!snapshot || !snapshot->recycled)
			return error_set(err, ERROR_SNAPSHOT_NOT_FOUND,
				"The snapshot '%s' is not in the recycle bin.", sorted[rows->count]);
		rows->items[rows->count] = snapshot;
	}
	return 0;
}

int ec2_list_snapshots_in_recycle_bin(struct call *call,
	const struct ec2_ListSnapshotsInRecycleBinRequest *request,
	struct ec2_ListSnapshotsInRecycleBinResult *result, struct error *err)
{
	static const struct describe_kind kind = {
		.shape = &ec2_shape_SnapshotRecycleBinInfo,
		.key = "SnapshotId",
		.page_rules = { .min = 5, .max = 1000 },
		.filters = no_filters,
	};
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows;
	if (load_snapshots(call, &request->snapshot_ids, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct snapshot_record *snapshot = rows.items[i];
		if (!snapshot->recycled)
			continue;
		*ARENA_APPEND(call->arena, result->snapshots.items, result->snapshots.count) =
			(struct ec2_SnapshotRecycleBinInfo){ .snapshot_id = snapshot->record.id,
				.recycle_bin_enter_time = snapshot->recycled->entered,
				.recycle_bin_exit_time = snapshot->recycled->exits,
				.description = snapshot->description,
				.volume_id = text_or(snapshot->volume, "vol-ffffffff") };
	}
	return describe_finish(call, &kind, &(struct ec2_FilterList){ 0 }, &page, &result->snapshots, err);
}

int ec2_restore_snapshot_from_recycle_bin(struct call *call,
	const struct ec2_RestoreSnapshotFromRecycleBinRequest *request,
	struct ec2_RestoreSnapshotFromRecycleBinResult *result, struct error *err)
{
	struct ec2_SnapshotIdStringList ids = { .items = (const char *[]){ request->snapshot_id },
		.count = 1 };
	struct meta_rows rows;
	if (load_snapshots(call, &ids, &rows, err))
		return -1;
	struct snapshot_record *snapshot = rows.items[0];
	snapshot->recycled = NULL;
	snapshot_set_attended(snapshot);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_snapshot, snapshot);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	struct ec2_Snapshot shown;
	snapshot_result(call, snapshot, &shown);
	*result = (struct ec2_RestoreSnapshotFromRecycleBinResult){ .snapshot_id = shown.snapshot_id,
		.description = shown.description,
		.encrypted = shown.encrypted,
		.owner_id = shown.owner_id,
		.progress = shown.progress,
		.start_time = shown.start_time,
		.state = shown.state,
		.volume_id = shown.volume_id,
		.volume_size = shown.volume_size,
		.sse_type = "none" };
	return 0;
}

static int find_image(struct call *call, const char *id, struct image_record **image, struct error *err)
{
	if (ec2_check_id(id, "ami", ERROR_AMI_ID_MALFORMED, err) ||
		EC2_GET(call, record_image, id, image, err))
		return -1;
	if (!*image || !(*image)->recycled)
		return error_set(
			err, ERROR_AMI_ID_NOT_FOUND, "The image id '[%s]' is not in the recycle bin", id);
	return 0;
}

int ec2_list_images_in_recycle_bin(struct call *call, const struct ec2_ListImagesInRecycleBinRequest *request,
	struct ec2_ListImagesInRecycleBinResult *result, struct error *err)
{
	static const struct describe_kind kind = {
		.shape = &ec2_shape_ImageRecycleBinInfo,
		.key = "ImageId",
		.page_rules = { .min = 1, .max = 1000 },
		.filters = no_filters,
	};
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_query query = { .account = call->account, .region = call->region };
	struct meta_rows rows;
	struct image_record *named;
	for (size_t i = 0; i < request->image_ids.count; i++)
		if (find_image(call, request->image_ids.items[i], &named, err))
			return -1;
	if (meta_list(call->amid->meta, &record_image, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct image_record *image = rows.items[i];
		if (!image->recycled ||
			!describe_wants(request->image_ids.items, request->image_ids.count, image->record.id))
			continue;
		*ARENA_APPEND(call->arena, result->images.items, result->images.count) =
			(struct ec2_ImageRecycleBinInfo){ .image_id = image->record.id,
				.name = image->recycled->name,
				.description = image->description,
				.recycle_bin_enter_time = image->recycled->entered,
				.recycle_bin_exit_time = image->recycled->exits };
	}
	return describe_finish(call, &kind, &(struct ec2_FilterList){ 0 }, &page, &result->images, err);
}

/* Its snapshots must all be there, and stay until it is. */
int ec2_restore_image_from_recycle_bin(struct call *call,
	const struct ec2_RestoreImageFromRecycleBinRequest *request,
	struct ec2_RestoreImageFromRecycleBinResult *result, struct error *err)
{
	struct image_record *image;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (find_image(call, request->image_id, &image, err) ||
		snapshot_keep_all(call, image->block_devices.items, image->block_devices.count, batch, err))
		return -1;
	image->name = image->recycled->name;
	image->recycled = NULL;
	meta_batch_put(batch, &record_image, image);
	result->return_ = some_boolean(true);
	if (meta_commit(call->amid->meta, batch, err) == 0)
		return 0;
	return image_explain_duplicate(call, image->name, err);
}
