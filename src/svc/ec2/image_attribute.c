/* DescribeImageAttribute, ModifyImageAttribute, ResetImageAttribute, CancelImageLaunchPermission. */
#include <string.h>

#include "svc/ec2/block_devices.h"
#include "svc/ec2/image_lifecycle.h"
#include "svc/ec2/images.h"
#include "svc/ec2/permissions.h"
#include "svc/ec2/snapshots.h"
#include "svc/public_access.h"
#include "svc/secret_gate.h"
#include "base/banned.h"

enum { PUBLIC_MAX = 5 /* public images of an account in a region, as AWS's quota has it */ };

static struct ec2_AttributeValue *text_attribute(struct call *call, const char *value)
{
	struct ec2_AttributeValue *attribute = arena_alloc(call->arena, sizeof *attribute);
	attribute->value = value;
	return attribute;
}

static struct ec2_LaunchPermissionList permissions_result(struct call *call, const struct image_record *image)
{
	struct ec2_LaunchPermissionList list = { .set = true };
	for (size_t i = 0; i < image->launch_permissions.count; i++) {
		const struct record_launch_permission *permission = &image->launch_permissions.items[i];
		*ARENA_APPEND(call->arena, list.items, list.count) =
			(struct ec2_LaunchPermission){ .user_id = permission->user,
				.group = permission->group,
				.organization_arn = permission->organization,
				.organizational_unit_arn = permission->unit };
	}
	return list;
}

int ec2_describe_image_attribute(struct call *call, const struct ec2_DescribeImageAttributeRequest *request,
	struct ec2_ImageAttribute *result, struct error *err)
{
	struct image_record *image;
	const char *name = request->attribute;
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	result->image_id = image->record.id;
	if (strcmp(name, "launchPermission") == 0)
		result->launch_permissions = permissions_result(call, image);
	else if (strcmp(name, "description") == 0)
		result->description = text_attribute(call, image->description);
	else if (strcmp(name, "blockDeviceMapping") == 0)
		result->block_device_mappings = block_devices_result(call, &image->block_devices);
	else if (strcmp(name, "bootMode") == 0)
		result->boot_mode = text_attribute(call, image->boot_mode);
	else if (strcmp(name, "imdsSupport") == 0)
		result->imds_support = text_attribute(call, image->imds_support);
	else if (strcmp(name, "sriovNetSupport") == 0)
		result->sriov_net_support = text_attribute(call, image->sriov_net_support);
	else if (strcmp(name, "lastLaunchedTime") == 0)
		result->last_launched_time =
			text_attribute(call, ec2_time_text(call, image_last_launched(call, image)));
	else if (strcmp(name, "kernel") == 0)
		result->kernel_id = text_attribute(call, NULL);
	else if (strcmp(name, "ramdisk") == 0)
		result->ramdisk_id = text_attribute(call, NULL);
	else if (strcmp(name, "tpmSupport") == 0)
		result->tpm_support = text_attribute(call, image->tpm_support);
	else if (strcmp(name, "deregistrationProtection") == 0)
		result->deregistration_protection = text_attribute(call, image_protection(image));
	else if (strcmp(name, "productCodes") == 0)
		result->product_codes = image_product_codes(call, image);
	else
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The image attribute %s is not supported by amid.", name);
	return 0;
}

/* What makes a private image public: the account's setting, its quota, no encrypted disk; and it will be deprecated. The platform's images are exempt, as they are what everybody begins with. */
static int check_public(
	struct call *call, struct image_record *image, struct meta_batch *batch, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "public", .value = "true"
	};
	if (image_public_access_check(call, batch, err))
		return -1;
	for (size_t i = 0; i < image->block_devices.count; i++)
		if (boolean_or(image->block_devices.items[i].encrypted, false))
			return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
				"The image %s cannot be shared publicly: its device %s is encrypted.",
				image->record.id, image->block_devices.items[i].device);
	if (strcmp(call->account, ACCOUNT_PLATFORM) == 0)
		return 0;
	if (meta_list(call->amid->meta, &record_image, &query, call->arena, &rows, err))
		return -1;
	if (rows.count >= PUBLIC_MAX)
		return error_set(err, ERROR_RESOURCE_LIMIT,
			"You have reached your quota of %d public images in %s.", PUBLIC_MAX, call->region);
	image_limit_deprecation(image);
	return 0;
}

/* Only what can be launched is shared, and no disk that no other account can open. */
static int check_shareable(struct call *call, const struct image_record *image, struct error *err)
{
	if (strcmp(image->state, "available") != 0)
		return error_set(err, ERROR_AMI_ID_UNAVAILABLE,
			"The image ID '%s' is not available: its state is %s; it cannot be shared.",
			image->record.id, image->state);
	for (size_t i = 0; i < image->block_devices.count; i++) {
		const struct record_image_block_device *device = &image->block_devices.items[i];
		struct snapshot_record *snapshot;
		if (!device->snapshot || !boolean_or(device->encrypted, false))
			continue;
		if (meta_get_any(call->amid->meta, &record_snapshot, call->region, device->snapshot,
			    call->arena, &snapshot, err) ||
			(snapshot && snapshot_check_shareable(call, snapshot, err)))
			return -1;
	}
	return 0;
}

static int change_permissions(struct call *call, struct image_record *image,
	const struct ec2_LaunchPermissionList *changes, bool add, struct error *err)
{
	if (add && changes->count && check_shareable(call, image, err))
		return -1;
	for (size_t i = 0; i < changes->count; i++) {
		struct record_launch_permission permission = { .user = changes->items[i].user_id,
			.group = changes->items[i].group,
			.organization = changes->items[i].organization_arn,
			.unit = changes->items[i].organizational_unit_arn };
		if (permission_check(&permission, ERROR_AMI_ATTRIBUTE_ITEM, err) ||
			(add && permission_add(call, &image->launch_permissions, &permission, err)))
			return -1;
		if (!add)
			permission_remove(&image->launch_permissions, &permission);
	}
	return 0;
}

/*
 * The older form of a launch permission change: OperationType, UserId.N, UserGroup.N and the like. Without OperationType the lists mean nothing, and Packer sends them so, beside LaunchPermission.
 */
static int change_by_operation(struct call *call, struct image_record *image,
	const struct ec2_ModifyImageAttributeRequest *request, struct error *err)
{
	struct ec2_LaunchPermissionList changes = { .set = true };
	for (size_t i = 0; i < request->user_ids.count; i++)
		ARENA_APPEND(call->arena, changes.items, changes.count)->user_id = request->user_ids.items[i];
	for (size_t i = 0; i < request->user_groups.count; i++)
		ARENA_APPEND(call->arena, changes.items, changes.count)->group =
			request->user_groups.items[i];
	for (size_t i = 0; i < request->organization_arns.count; i++)
		ARENA_APPEND(call->arena, changes.items, changes.count)->organization_arn =
			request->organization_arns.items[i];
	for (size_t i = 0; i < request->organizational_unit_arns.count; i++)
		ARENA_APPEND(call->arena, changes.items, changes.count)->organizational_unit_arn =
			request->organizational_unit_arns.items[i];
	if (!changes.count || (!request->operation_type && request->launch_permission))
		return 0;
	if (!request->operation_type)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter operationType");
	return change_permissions(call, image, &changes, strcmp(request->operation_type, "add") == 0, err);
}

static int set_imds_support(struct image_record *image, const char *value, struct error *err)
{
	if (!value || strcmp(value, "v2.0") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter imdsSupport is invalid. It must be v2.0.",
			text_or(value, ""));
	image->imds_support = value;
	return 0;
}

/* Which attribute a call changes: exactly one; NULL and *err otherwise. */
static const char *choose_attribute(const struct ec2_ModifyImageAttributeRequest *request, struct error *err)
{
	const char *named = request->attribute;
	bool lists = request->user_ids.count || request->user_groups.count ||
		request->organization_arns.count || request->organizational_unit_arns.count;
	bool description = request->description || (named && strcmp(named, "description") == 0);
	bool imds = request->imds_support || (named && strcmp(named, "imdsSupport") == 0);
	bool permission =
		request->launch_permission || lists || (named && strcmp(named, "launchPermission") == 0);
	if (named && strcmp(named, "description") != 0 && strcmp(named, "imdsSupport") != 0 &&
		strcmp(named, "launchPermission") != 0) {
		error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter attribute is invalid. It must be description, imdsSupport or launchPermission.",
			named);
		return NULL;
	}
	if (description + imds + permission == 1)
		return description ? "description" : imds ? "imdsSupport" : "launchPermission";
	error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
		description || imds || permission ? "Fields for multiple attribute types specified"
						  : "No attributes specified.");
	return NULL;
}

static int change_attribute(struct call *call, struct image_record *image,
	const struct ec2_ModifyImageAttributeRequest *request, struct error *err)
{
	const char *attribute = choose_attribute(request, err);
	if (!attribute)
		return -1;
	if (strcmp(attribute, "imdsSupport") == 0)
		return set_imds_support(
			image, request->imds_support ? request->imds_support->value : request->value, err);
	if (strcmp(attribute, "description") == 0) {
		const char *value = request->description ? request->description->value : request->value;
		image->description = text_or(value, "");
		return 0;
	}
	if (change_by_operation(call, image, request, err))
		return -1;
	const struct ec2_LaunchPermissionModifications *changes = request->launch_permission;
	return changes &&
			(change_permissions(call, image, &changes->add, true, err) ||
				change_permissions(call, image, &changes->remove, false, err))
		? -1
		: 0;
}

/* Whether somebody gets a permission by it. */
static bool is_sharing(const struct ec2_ModifyImageAttributeRequest *request)
{
	return (request->operation_type && strcmp(request->operation_type, "add") == 0) ||
		(request->launch_permission && request->launch_permission->add.count);
}

int ec2_modify_image_attribute(struct call *call, const struct ec2_ModifyImageAttributeRequest *request,
	struct ec2_ModifyImageAttributeResult *result, struct error *err)
{
	static const char *const refused[] = { "ProductCodes", NULL };
	struct image_record *image;
	(void)result;
	if (ec2_refuse_members(call, request, refused, err) ||
		image_find_own(call, request->image_id, &image, err))
		return -1;
	if (change_attribute(call, image, request, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	bool was_public = boolean_or(image->public, false);
	bool is_public = permissions_are_public(&image->launch_permissions);
	image->public = some_boolean(is_public);
	if (is_public && !was_public && check_public(call, image, batch, err))
		return -1;
	if (is_sharing(request) && secret_gate_check_image(call, image, batch, err))
		return -1;
	meta_batch_put(batch, &record_image, image);
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_reset_image_attribute(struct call *call, const struct ec2_ResetImageAttributeRequest *request,
	struct ec2_ResetImageAttributeResult *result, struct error *err)
{
	struct image_record *image;
	(void)result;
	if (strcmp(request->attribute, "launchPermission") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter attribute is invalid. It must be launchPermission.",
			request->attribute);
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	image->launch_permissions = (struct record_launch_permission_list){ 0 };
	image->public = some_boolean(false);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_image, image);
	return meta_commit(call->amid->meta, batch, err);
}

/* The one change to an image that somebody else than its owner makes. What is shared with many at once cannot be given back by one of them. */
int ec2_cancel_image_launch_permission(struct call *call,
	const struct ec2_CancelImageLaunchPermissionRequest *request,
	struct ec2_CancelImageLaunchPermissionResult *result, struct error *err)
{
	const struct record_launch_permission permission = { .user = call->account };
	struct image_record *image;
	if (image_find_visible(call, call->region, request->image_id, &image, err))
		return -1;
	size_t count = image->launch_permissions.count;
	permission_remove(&image->launch_permissions, &permission);
	if (image->launch_permissions.count == count)
		return error_set(err, ERROR_INVALID_REQUEST,
			"The image %s is not shared with the account %s itself.", request->image_id,
			call->account);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_image, image);
	result->return_ = some_boolean(true);
	return meta_commit(call->amid->meta, batch, err);
}
