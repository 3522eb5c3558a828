/* DescribeSnapshotAttribute, ModifySnapshotAttribute, ResetSnapshotAttribute: who may make volumes of a snapshot. There are no product codes. */
#include <string.h>

#include "svc/ec2/permissions.h"
#include "svc/ec2/snapshots.h"
#include "svc/keys.h"
#include "svc/public_access.h"
#include "svc/secret_gate.h"
#include "base/banned.h"

#define PERMISSION "createVolumePermission"

int ec2_describe_snapshot_attribute(struct call *call,
	const struct ec2_DescribeSnapshotAttributeRequest *request,
	struct ec2_DescribeSnapshotAttributeResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	if (snapshot_find(call, request->snapshot_id, &snapshot, err))
		return -1;
	result->snapshot_id = snapshot->record.id;
	if (strcmp(request->attribute, PERMISSION) != 0) {
		result->product_codes.set = true;
		return 0;
	}
	result->create_volume_permissions.set = true;
	for (size_t i = 0; i < snapshot->create_volume_permissions.count; i++) {
		const struct record_launch_permission *permission =
			&snapshot->create_volume_permissions.items[i];
		*ARENA_APPEND(call->arena, result->create_volume_permissions.items,
			result->create_volume_permissions.count) =
			(struct ec2_CreateVolumePermission){ .user_id = permission->user,
				.group = permission->group };
	}
	return 0;
}

int snapshot_check_shareable(struct call *call, const struct snapshot_record *snapshot, struct error *err)
{
	struct key_description key;
	if (!boolean_or(snapshot->encrypted, false) || !snapshot->kms_key)
		return 0;
	if (keys_describe(call->amid, snapshot->kms_key, call->arena, &key, err))
		return err->code == ERROR_KMS_NOT_FOUND ? 0 : -1; /* gone: nobody can use it, shared or not */
	if (key.aws_managed)
		return error_set(err, ERROR_INVALID_PARAMETER,
			"Encrypted snapshots with EBS default key cannot be shared (%s)",
			snapshot->record.id);
	return 0;
}

static int change_permissions(struct call *call, struct snapshot_record *snapshot,
	const struct ec2_CreateVolumePermissionList *changes, bool add, struct error *err)
{
	struct record_launch_permission_list *list = &snapshot->create_volume_permissions;
	if (add && changes->count && snapshot_check_shareable(call, snapshot, err))
		return -1;
	for (size_t i = 0; i < changes->count; i++) {
		const struct record_launch_permission permission = { .user = changes->items[i].user_id,
			.group = changes->items[i].group };
		if (permission_check(&permission, ERROR_INVALID_PARAMETER_VALUE, err) ||
			(add && permission_add(call, list, &permission, err)))
			return -1;
		if (!add)
			permission_remove(list, &permission);
	}
	return 0;
}

/* The older form of a change: OperationType, UserId.N, UserGroup.N; without OperationType it means nothing beside the newer one. */
static int change_by_operation(struct call *call, struct snapshot_record *snapshot,
	const struct ec2_ModifySnapshotAttributeRequest *request, struct error *err)
{
	struct ec2_CreateVolumePermissionList changes = { .set = true };
	for (size_t i = 0; i < request->user_ids.count; i++)
		ARENA_APPEND(call->arena, changes.items, changes.count)->user_id = request->user_ids.items[i];
	for (size_t i = 0; i < request->group_names.count; i++)
		ARENA_APPEND(call->arena, changes.items, changes.count)->group =
			request->group_names.items[i];
	if (!changes.count || (!request->operation_type && request->create_volume_permission))
		return 0;
	if (!request->operation_type)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter operationType");
	return change_permissions(call, snapshot, &changes, strcmp(request->operation_type, "add") == 0, err);
}

/* Whether somebody gets a permission by it. */
static bool is_sharing(const struct ec2_ModifySnapshotAttributeRequest *request)
{
	return (request->operation_type && strcmp(request->operation_type, "add") == 0) ||
		(request->create_volume_permission && request->create_volume_permission->add.count);
}

int ec2_modify_snapshot_attribute(struct call *call, const struct ec2_ModifySnapshotAttributeRequest *request,
	struct ec2_ModifySnapshotAttributeResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	(void)result;
	if (request->attribute && strcmp(request->attribute, PERMISSION) != 0)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The attribute %s of a snapshot cannot be changed at this endpoint.",
			request->attribute);
	if (snapshot_find(call, request->snapshot_id, &snapshot, err))
		return -1;
	if (snapshot_is_archived(snapshot))
		return snapshot_check_usable(snapshot, err);
	bool was_public = snapshot_is_public(snapshot);
	const struct ec2_CreateVolumePermissionModifications *changes = request->create_volume_permission;
	if (change_by_operation(call, snapshot, request, err) ||
		(changes &&
			(change_permissions(call, snapshot, &changes->add, true, err) ||
				change_permissions(call, snapshot, &changes->remove, false, err))))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (!was_public && snapshot_is_public(snapshot)) {
		if (boolean_or(snapshot->encrypted, false))
			return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
				"The snapshot %s is encrypted and cannot be shared publicly.",
				snapshot->record.id);
		if (snapshot_public_access_check(call, batch, err))
			return -1;
	}
	if (is_sharing(request) && secret_gate_check_snapshot(call, snapshot, batch, err))
		return -1;
	meta_batch_put(batch, &record_snapshot, snapshot);
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_reset_snapshot_attribute(struct call *call, const struct ec2_ResetSnapshotAttributeRequest *request,
	struct ec2_ResetSnapshotAttributeResult *result, struct error *err)
{
	struct snapshot_record *snapshot;
	(void)result;
	if (strcmp(request->attribute, PERMISSION) != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter attribute is invalid. It must be " PERMISSION ".",
			request->attribute);
	if (snapshot_find(call, request->snapshot_id, &snapshot, err))
		return -1;
	snapshot->create_volume_permissions = (struct record_launch_permission_list){ 0 };
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_snapshot, snapshot);
	return meta_commit(call->amid->meta, batch, err);
}
