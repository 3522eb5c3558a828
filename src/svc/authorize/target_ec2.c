/*
 * What EC2 calls act on beyond what they name: volumes of an instance, the network that is taken when none is named, and what new volumes and snapshots will be like. Of something new the target's record is the one
 * that it would become, as far as policies can ask for it. Runs on the thread of the call.
 */
#include <string.h>

#include "api/ebs.h"
#include "api/ec2.h"
#include "svc/authorize/internal.h"
#include "svc/network.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

/* The source of a copy, in its own region. */
static int add_source(struct target_list *list, enum resource_type type, const char *member)
{
	const struct shape *shape = list->operation->shape->input;
	struct call *call = list->call;
	const char *id = walk_text(shape, list->input, member, call->arena);
	const char *region = walk_text(shape, list->input, "SourceRegion", call->arena);
	if (!id)
		return 0;
	struct target *target = target_add(list, type, id, NULL);
	target->region = region;
	target->arn = target_make_arn(call, type, region, NULL, id);
	return 0;
}

int target_find_copied_snapshot(struct target_list *list, struct error *err)
{
	return add_source(list, RESOURCE_SNAPSHOT, "SourceSnapshotId");
}

int target_find_copied_image(struct target_list *list, struct error *err)
{
	return add_source(list, RESOURCE_IMAGE, "SourceImageId");
}

int target_find_new_volume(struct target_list *list, struct error *err)
{
	const struct ec2_CreateVolumeRequest *request = list->input;
	struct call *call = list->call;
	struct volume_record *volume = arena_alloc(call->arena, sizeof *volume);
	*volume = (struct volume_record){
		.record = { .account = call->account, .region = call->region },
		.size_gib = request->size,
		.volume_type = request->volume_type ? request->volume_type : "gp2",
		.iops = request->iops,
		.throughput = request->throughput,
		.snapshot = request->snapshot_id,
		.zone = request->availability_zone,
		.encrypted = some_boolean(boolean_or(request->encrypted, false)),
		.kms_key = request->kms_key_id,
	};
	target_add(list, RESOURCE_VOLUME, NULL, volume);
	if (volume->size_gib.set || !request->snapshot_id)
		return 0;
	/* as large as its snapshot */
	struct snapshot_record *snapshot;
	if (meta_get_any(call->amid->meta, &record_snapshot, call->region, request->snapshot_id, call->arena,
		    &snapshot, err))
		return -1;
	if (snapshot)
		volume->size_gib = snapshot->volume_size_gib;
	return 0;
}

/* CreateSnapshot of ec2 and StartSnapshot of ebs. */
int target_find_new_snapshot(struct target_list *list, struct error *err)
{
	struct call *call = list->call;
	struct snapshot_record *snapshot = arena_alloc(call->arena, sizeof *snapshot);
	*snapshot = (struct snapshot_record){
		.record = { .account = call->account, .region = call->region },
		.started = some_timestamp(clock_now_ms()),
	};
	target_add(list, RESOURCE_SNAPSHOT, NULL, snapshot);
	if (list->operation->shape == &ebs_operation_StartSnapshot) {
		const struct ebs_StartSnapshotRequest *request = list->input;
		snapshot->volume_size_gib = request->volume_size;
		return 0;
	}
	const struct ec2_CreateSnapshotRequest *request = list->input;
	struct volume_record *volume = NULL;
	snapshot->volume = request->volume_id;
	if (request->volume_id &&
		meta_get(call->amid->meta, &record_volume, call->account, call->region, request->volume_id,
			call->arena, &volume, err))
		return -1;
	if (volume) {
		snapshot->volume_size_gib = volume->size_gib;
		snapshot->encrypted = volume->encrypted;
	}
	return 0;
}

int target_find_instance_volumes(struct target_list *list, struct error *err)
{
	const struct ec2_CreateSnapshotsRequest *request = list->input;
	const char *instance =
		request->instance_specification ? request->instance_specification->instance_id : NULL;
	struct call *call = list->call;
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "instance", .value = instance
	};
	if (!instance)
		return 0;
	if (meta_list(call->amid->meta, &record_volume, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		target_add(list, RESOURCE_VOLUME, ((struct record *)rows.items[i])->id, rows.items[i]);
	return 0;
}

int target_find_vpc(struct target_list *list, struct error *err)
{
	const struct ec2_CreateSecurityGroupRequest *request = list->input;
	struct call *call = list->call;
	const char *vpc = request->vpc_id ? request->vpc_id
					  : network_default_vpc_id(call->account, call->region, call->arena);
	target_add(list, RESOURCE_VPC, vpc, NULL);
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].type == RESOURCE_SECURITY_GROUP && !list->items[i].record) {
			struct security_group_record *group = arena_alloc(call->arena, sizeof *group);
			group->record = (struct record){ .account = call->account, .region = call->region };
			group->vpc = vpc;
			list->items[i].record = group;
		}
	return 0;
}

/* The instance is that of the volume's attachment when it is not named. */
int target_find_detached(struct target_list *list, struct error *err)
{
	const struct ec2_DetachVolumeRequest *request = list->input;
	struct call *call = list->call;
	const char *instance = request->instance_id;
	struct volume_record *volume = NULL;
	if (!instance && request->volume_id &&
		meta_get(call->amid->meta, &record_volume, call->account, call->region, request->volume_id,
			call->arena, &volume, err))
		return -1;
	if (volume && volume->attachment)
		instance = volume->attachment->instance;
	if (instance)
		target_add(list, RESOURCE_INSTANCE, instance, NULL);
	return 0;
}

/* The instance that an association with an instance profile belongs to; of one that is not there, one that is not there either. */
int target_find_associated(struct target_list *list, struct error *err)
{
	struct call *call = list->call;
	const char *id = walk_text(list->operation->shape->input, list->input, "AssociationId", call->arena);
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "profile_association", .value = id
	};
	struct meta_rows rows = { 0 };
	if (id && meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err))
		return -1;
	target_add(list, RESOURCE_INSTANCE, rows.count ? ((struct record *)rows.items[0])->id : id, NULL);
	return 0;
}

/* DeregisterImage with DeleteAssociatedSnapshots deletes these too. */
int target_find_associated_snapshots(struct target_list *list, struct error *err)
{
	const struct ec2_DeregisterImageRequest *request = list->input;
	struct call *call = list->call;
	struct image_record *image = NULL;
	if (!boolean_or(request->delete_associated_snapshots, false) || !request->image_id)
		return 0;
	if (meta_get(call->amid->meta, &record_image, call->account, call->region, request->image_id,
		    call->arena, &image, err))
		return -1;
	for (size_t i = 0; image && i < image->block_devices.count; i++)
		if (image->block_devices.items[i].snapshot)
			target_add(list, RESOURCE_SNAPSHOT, image->block_devices.items[i].snapshot, NULL)
				->action = "ec2:DeleteSnapshot";
	return 0;
}

/* UpdateUser, UpdateGroup: whoever gives a new name or path must be allowed to act on what it will be called. */
int target_find_renamed(struct target_list *list, struct error *err)
{
	const struct shape *shape = list->operation->shape->input;
	struct call *call = list->call;
	const struct target *now = list->count ? &list->items[0] : NULL;
	bool user = now && now->type == RESOURCE_USER;
	const char *path = walk_text(shape, list->input, "NewPath", call->arena);
	const char *name = walk_text(shape, list->input, user ? "NewUserName" : "NewGroupName", call->arena);
	(void)err;
	if (!now || (!path && !name))
		return 0;
	const struct record_kind *kind = resource_kinds[now->type].record;
	if (!path)
		path = now->record ? walk_text(kind->shape, now->record, "path", call->arena) : "/";
	if (!name)
		name = now->id;
	enum resource_type type = now->type;
	struct target *target = target_add(list, type, NULL, now->record);
	target->arn = target_make_arn(call, type, NULL, NULL,
		arena_printf(call->arena, "%s%s", path ? path + (*path == '/') : "", name));
	return 0;
}

int target_find_key_owner(struct target_list *list, struct error *err)
{
	struct call *call = list->call;
	struct access_key_record *key = NULL;
	const char *id = walk_text(list->operation->shape->input, list->input, "AccessKeyId", call->arena);
	if (id &&
		meta_get(call->amid->meta, &record_access_key, call->account, "", id, call->arena, &key, err))
		return -1;
	struct iam_user_record *user = NULL;
	if (key && key->principal_id &&
		meta_get(call->amid->meta, &record_iam_user, call->account, "", key->principal_id,
			call->arena, &user, err))
		return -1;
	if (user)
		return target_add_name(list, RESOURCE_USER, user->name, err);
	target_add(list, RESOURCE_USER, NULL, NULL);
	return 0;
}
