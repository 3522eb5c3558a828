/* Snapshots: look-ups, CreateSnapshot, CreateSnapshots, DeleteSnapshot. */
#include "svc/ec2/snapshots.h"

#include <string.h>

#include "svc/ec2/instances.h"
#include "svc/ec2/recycle_bin.h"
#include "svc/ec2/volumes.h"
#include "svc/freeze.h"
#include "svc/sharing.h"
#include "svc/key_ring.h"
#include "base/banned.h"

static const char *const taggable[] = { "snapshot", NULL };

int snapshot_find(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	if (ec2_check_id(id, "snap", ERROR_SNAPSHOT_ID_MALFORMED, err) ||
		EC2_GET(call, record_snapshot, id, snapshot, err))
		return -1;
	if (!*snapshot || snapshot_is_recycled(*snapshot))
		return error_set(err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' does not exist.", id);
	return 0;
}

int snapshot_find_completed(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	return snapshot_find(call, id, snapshot, err) || snapshot_check_usable(*snapshot, err) ? -1 : 0;
}

static bool is_permitted(const struct snapshot_record *snapshot, const char *user, const char *group)
{
	for (size_t i = 0; i < snapshot->create_volume_permissions.count; i++) {
		const struct record_launch_permission *permission =
			&snapshot->create_volume_permissions.items[i];
		if ((user && text_equal(permission->user, user)) ||
			(group && text_equal(permission->group, group)))
			return true;
	}
	return false;
}

bool snapshot_is_public(const struct snapshot_record *snapshot)
{
	return is_permitted(snapshot, NULL, "all");
}

bool snapshot_is_shared_with(const struct snapshot_record *snapshot, const char *account)
{
	return is_permitted(snapshot, account, NULL);
}

int snapshot_find_visible(struct call *call, const char *region, const char *id,
	struct snapshot_record **snapshot, struct error *err)
{
	struct sharing *view;
	enum sharing_way way = SHARING_NONE;
	if (ec2_check_id(id, "snap", ERROR_SNAPSHOT_ID_MALFORMED, err) ||
		meta_get_any(call->amid->meta, &record_snapshot, region, id, call->arena, snapshot, err) ||
		(*snapshot &&
			(sharing_open(call->amid, call->account, (*snapshot)->record.region, call->arena,
				 &view, err) ||
				sharing_snapshot_way(view, *snapshot, &way, err))))
		return -1;
	if (way == SHARING_NONE)
		return error_set(err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' does not exist.", id);
	return 0;
}

int snapshot_find_usable(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	return snapshot_find_visible(call, call->region, id, snapshot, err) ||
			snapshot_check_usable(*snapshot, err)
		? -1
		: 0;
}

int snapshot_keep_all(struct call *call, const struct record_image_block_device *devices, size_t count,
	struct meta_batch *batch, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct snapshot_record *snapshot;
		bool seen = false; /* a batch changes a record once */
		for (size_t j = 0; j < i; j++)
			seen |= text_equal(devices[j].snapshot, devices[i].snapshot);
		if (!devices[i].snapshot || seen)
			continue;
		if (snapshot_find_usable(call, devices[i].snapshot, &snapshot, err))
			return -1;
		if (strcmp(snapshot->record.account, call->account) == 0)
			meta_batch_put(batch, &record_snapshot, snapshot);
		else
			meta_batch_expect(batch, &record_snapshot, snapshot);
	}
	return 0;
}

int snapshot_find_user(struct call *call, const char *snapshot_id, const char *except_image,
	struct image_record **image, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "snapshot", .value = snapshot_id
	};
	*image = NULL;
	if (meta_list(call->amid->meta, &record_image, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count && !*image; i++) {
		struct image_record *found = rows.items[i];
		if (!found->recycled && !text_equal(found->record.id, except_image))
			*image = found;
	}
	return 0;
}

const char *snapshot_progress(struct call *call, const struct snapshot_record *snapshot)
{
	const struct record_snapshot_copy *copy = snapshot->copy;
	if (strcmp(snapshot->state, "completed") == 0)
		return "100%";
	if (!copy || integer_or(copy->blocks, 0) == 0)
		return "0%";
	return arena_printf(
		call->arena, "%lld%%", (long long)(integer_or(copy->copied, 0) * 99 / copy->blocks.value));
}

void snapshot_result(struct call *call, const struct snapshot_record *snapshot, struct ec2_Snapshot *result)
{
	*result = (struct ec2_Snapshot){
		.owner_alias =
			strcmp(snapshot->record.account, ACCOUNT_PLATFORM) == 0 ? ALIAS_PLATFORM : NULL,
		.tags = ec2_tags_result(call, &snapshot->tags),
		.storage_tier = snapshot_is_archived(snapshot) ? "archive" : "standard",
		.restore_expiry_time =
			snapshot->tier ? snapshot->tier->restore_expires : (struct shape_timestamp){ 0 },
		.completion_time = snapshot->completed,
		.full_snapshot_size_in_bytes = snapshot->full_bytes,
		.snapshot_id = snapshot->record.id,
		.volume_id =
			text_or(snapshot->volume, "vol-ffffffff"), /* what AWS shows where there is none */
		.state = snapshot->state,
		.state_message = snapshot->state_message,
		.start_time = snapshot->started,
		.progress = snapshot_progress(call, snapshot),
		.owner_id = snapshot->record.account,
		.description = text_or(snapshot->description, ""),
		.volume_size = snapshot->volume_size_gib,
		.encrypted = some_boolean(boolean_or(snapshot->encrypted, false)),
		.kms_key_id = snapshot->kms_key,
		.data_encryption_key_id = snapshot->data_key ? snapshot->data_key->id : NULL,
		.sse_type = boolean_or(snapshot->encrypted, false) ? "sse-kms" : "none",
		.transfer_type = snapshot->source_snapshot ? "standard" : NULL,
	};
}

void snapshot_inherit_encryption(
	struct call *call, const struct volume_record *volume, struct snapshot_record *snapshot)
{
	if (!boolean_or(volume->encrypted, false))
		return;
	snapshot->encrypted = some_boolean(true);
	snapshot->kms_key = volume->kms_key;
	if (!volume->data_key)
		return;
	snapshot->data_key = arena_alloc(call->arena, sizeof *snapshot->data_key);
	/* the grant is the volume's */
	*snapshot->data_key =
		(struct record_data_key){ .id = volume->data_key->id, .wrapped = volume->data_key->wrapped };
}

/* The layer is frozen before the call answers, so that the snapshot holds what had been written when it was asked for, and nothing later. */
static int put_snapshots(struct call *call, struct volume_record **volumes, unsigned count,
	const char *description, const struct record_tag_list *tags, bool copy_tags,
	struct snapshot_record *snapshots, struct error *err)
{
	uint64_t *layers = arena_alloc_array(call->arena, count + 1, sizeof *layers);
	const char **ids = arena_alloc_array(call->arena, count + 1, sizeof *ids);
	for (unsigned i = 0; i < count; i++)
		ids[i] = volumes[i]->record.id;
	if (freeze_volumes(call->amid, amid_find_region(call->amid, call->region), ids, count, call->arena,
		    layers, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (unsigned i = 0; i < count; i++) {
		snapshots[i] = (struct snapshot_record){
			.record = { .account = call->account,
				.region = call->region,
				.id = text_random_id(call->arena, "snap") },
			.state = "pending",
			.volume = volumes[i]->record.id,
			.volume_size_gib = volumes[i]->size_gib,
			.parent = volumes[i]->snapshot,
			.description = description,
			.started = ec2_now(),
			.layer = some_integer((int64_t)layers[i]),
			.tags = *tags,
		};
		snapshot_inherit_encryption(call, volumes[i], &snapshots[i]);
		for (size_t j = 0; copy_tags && j < volumes[i]->tags.count; j++) {
			const struct record_tag *tag = &volumes[i]->tags.items[j];
			if (!ec2_tags_find(tags, tag->key) && !text_starts_with(tag->key, "aws:") &&
				ec2_tags_set(call, &snapshots[i].tags, tag->key, tag->value, err))
				return -1;
		}
		meta_batch_expect(batch, &record_volume, volumes[i]);
		meta_batch_put(batch, &record_snapshot, &snapshots[i]);
	}
	return meta_commit(call->amid->meta, batch, err);
}

static int check_volume(const struct volume_record *volume, struct error *err)
{
	if (volume->twin)
		return error_set(err, ERROR_INCORRECT_STATE,
			"The volume '%s' is being encrypted; a snapshot can be made of it afterwards.",
			volume->record.id);
	if (strcmp(volume->state, "available") == 0 || strcmp(volume->state, "in-use") == 0)
		return 0;
	return error_set(err, ERROR_INCORRECT_STATE,
		"The volume '%s' is %s; a snapshot can be made of an available or in-use volume.",
		volume->record.id, volume->state);
}

int ec2_create_snapshot(struct call *call, const struct ec2_CreateSnapshotRequest *request,
	struct ec2_Snapshot *result, struct error *err)
{
	static const char *const refused[] = { "OutpostArn", "Location", NULL };
	struct volume_record *volume;
	struct snapshot_record snapshot;
	struct record_tag_list tags = { 0 };
	if (ec2_refuse_members(call, request, refused, err) ||
		volume_find(call, request->volume_id, &volume, err) || check_volume(volume, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "snapshot", taggable, &tags, err) ||
		put_snapshots(call, &volume, 1, request->description, &tags, false, &snapshot, err))
		return -1;
	snapshot_result(call, &snapshot, result);
	return 0;
}

static bool is_excluded(const struct ec2_InstanceSpecification *specification,
	const struct instance_record *instance, const struct volume_record *volume)
{
	if (boolean_or(specification->exclude_boot_volume, false) &&
		text_equal(volume->attachment->device, instance->root_device_name))
		return true;
	for (size_t i = 0; i < specification->exclude_data_volume_ids.count; i++)
		if (strcmp(specification->exclude_data_volume_ids.items[i], volume->record.id) == 0)
			return true;
	return false;
}

static void snapshot_info_result(
	struct call *call, const struct snapshot_record *snapshot, struct ec2_SnapshotInfo *result)
{
	*result = (struct ec2_SnapshotInfo){ .description = text_or(snapshot->description, ""),
		.tags = ec2_tags_result(call, &snapshot->tags),
		.encrypted = some_boolean(boolean_or(snapshot->encrypted, false)),
		.sse_type = boolean_or(snapshot->encrypted, false) ? "sse-kms" : "none",
		.volume_id = snapshot->volume,
		.state = snapshot->state,
		.volume_size = snapshot->volume_size_gib,
		.start_time = snapshot->started,
		.progress = snapshot_progress(call, snapshot),
		.owner_id = snapshot->record.account,
		.snapshot_id = snapshot->record.id };
}

int ec2_create_snapshots(struct call *call, const struct ec2_CreateSnapshotsRequest *request,
	struct ec2_CreateSnapshotsResult *result, struct error *err)
{
	static const char *const refused[] = { "OutpostArn", "Location", NULL };
	const struct ec2_InstanceSpecification *specification = request->instance_specification;
	struct instance_record *instance;
	struct meta_rows rows;
	struct record_tag_list tags = { 0 };
	if (!specification || !specification->instance_id)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter InstanceSpecification.InstanceId");
	if (ec2_refuse_members(call, request, refused, err) ||
		instance_find(call, specification->instance_id, &instance, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "snapshot", taggable, &tags, err))
		return -1;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "instance",
		.value = instance->record.id };
	if (meta_list(call->amid->meta, &record_volume, &query, call->arena, &rows, err))
		return -1;
	struct volume_record **volumes = arena_alloc_array(call->arena, rows.count + 1, sizeof *volumes);
	unsigned count = 0;
	for (size_t i = 0; i < rows.count; i++)
		if (!is_excluded(specification, instance, rows.items[i]))
			volumes[count++] = rows.items[i];
	if (!count)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The instance '%s' has no volumes to make snapshots of.", instance->record.id);
	struct snapshot_record *snapshots = arena_alloc_array(call->arena, count, sizeof *snapshots);
	if (put_snapshots(call, volumes, count, request->description, &tags,
		    request->copy_tags_from_source != NULL, snapshots, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		snapshot_info_result(call, &snapshots[i],
			ARENA_APPEND(call->arena, result->snapshots.items, result->snapshots.count));
	result->snapshots.set = true;
	return 0;
}

int ec2_delete_snapshot(struct call *call, const struct ec2_DeleteSnapshotRequest *request,
	struct ec2_DeleteSnapshotResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	struct image_record *user;
	if (snapshot_find(call, request->snapshot_id, &snapshot, err) ||
		snapshot_find_user(call, request->snapshot_id, NULL, &user, err))
		return -1;
	if (user)
		return error_set(err, ERROR_SNAPSHOT_IN_USE, "The snapshot %s is currently in use by %s",
			request->snapshot_id, user->record.id);
	if (snapshot_is_locked(snapshot))
		return error_set(err, ERROR_SNAPSHOT_LOCKED,
			"The snapshot %s is locked and cannot be deleted.", request->snapshot_id);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (recycle_snapshot(call, snapshot, batch, err) || meta_commit(call->amid->meta, batch, err))
		return -1;
	/* one that was being written or copied needs its keys no more */
	if (!snapshot->recycled) {
		data_key_retire(call->amid, data_key_take_grant(snapshot->data_key));
		data_key_retire(
			call->amid, snapshot->copy ? data_key_take_grant(snapshot->copy->source_key) : NULL);
	}
	if (snapshot->copy) /* the region that it was to come from keeps its tree no more */
		work_enqueue(call->amid->work, "collect", snapshot->copy->region);
	return 0;
}
