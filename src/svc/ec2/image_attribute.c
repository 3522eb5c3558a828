/* DescribeImageAttribute, ModifyImageAttribute, ResetImageAttribute. */
#include <string.h>

#include "svc/ec2/block_devices.h"
#include "svc/ec2/images.h"
#include "base/banned.h"

enum { PERMISSIONS_MAX = 1000 };

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
		result->last_launched_time = text_attribute(call, ec2_time_text(call, image->last_launched));
	else if (strcmp(name, "kernel") == 0)
		result->kernel_id = text_attribute(call, NULL);
	else if (strcmp(name, "ramdisk") == 0)
		result->ramdisk_id = text_attribute(call, NULL);
	else if (strcmp(name, "productCodes") == 0)
		result->product_codes.set = true;
	else
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The image attribute %s is not supported by amid.", name);
	return 0;
}

static int check_permission(const struct ec2_LaunchPermission *permission, struct error *err)
{
	if (permission->organization_arn || permission->organizational_unit_arn)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"Launch permissions for organizations are not supported by amid yet.");
	if (!permission->user_id == !permission->group)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"A launch permission names either a user ID or a group.");
	if (permission->group && strcmp(permission->group, "all") != 0)
		return error_set(err, ERROR_AMI_ATTRIBUTE_ITEM,
			"Invalid attribute item value \"%s\" for group item type.", permission->group);
	if (permission->user_id &&
		(strlen(permission->user_id) != 12 || strspn(permission->user_id, "0123456789") != 12))
		return error_set(err, ERROR_AMI_ATTRIBUTE_ITEM,
			"Invalid attribute item value \"%s\" for userId item type.", permission->user_id);
	return 0;
}

static void remove_permission(struct image_record *image, const struct ec2_LaunchPermission *permission)
{
	struct record_launch_permission_list *list = &image->launch_permissions;
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++)
		if (!text_equal(list->items[i].user, permission->user_id) ||
			!text_equal(list->items[i].group, permission->group))
			list->items[kept++] = list->items[i];
	list->count = kept;
}

static int change_permissions(struct call *call, struct image_record *image,
	const struct ec2_LaunchPermissionList *changes, bool add, struct error *err)
{
	for (size_t i = 0; i < changes->count; i++) {
		const struct ec2_LaunchPermission *change = &changes->items[i];
		if (check_permission(change, err))
			return -1;
		remove_permission(image, change);
		if (!add)
			continue;
		if (image->launch_permissions.count == PERMISSIONS_MAX)
			return error_set(err, ERROR_AMI_ATTRIBUTE_ITEM,
				"An image has at most %d launch permissions.", PERMISSIONS_MAX);
		/* a copy: the list decoded from the record has no room to grow in place */
		struct record_launch_permission *items =
			arena_alloc_array(call->arena, image->launch_permissions.count + 1, sizeof *items);
		for (size_t j = 0; j < image->launch_permissions.count; j++)
			items[j] = image->launch_permissions.items[j];
		items[image->launch_permissions.count++] =
			(struct record_launch_permission){ .user = change->user_id, .group = change->group };
		image->launch_permissions.items = items;
		image->launch_permissions.set = true;
	}
	bool is_public = false;
	for (size_t i = 0; i < image->launch_permissions.count; i++)
		is_public |= image->launch_permissions.items[i].group != NULL;
	image->public = some_boolean(is_public);
	return 0;
}

/* The older form of a launch permission change: OperationType, UserId.N, UserGroup.N. */
static int change_by_operation(struct call *call, struct image_record *image,
	const struct ec2_ModifyImageAttributeRequest *request, struct error *err)
{
	struct ec2_LaunchPermissionList changes = { .set = true };
	for (size_t i = 0; i < request->user_ids.count; i++)
		*ARENA_APPEND(call->arena, changes.items, changes.count) =
			(struct ec2_LaunchPermission){ .user_id = request->user_ids.items[i] };
	for (size_t i = 0; i < request->user_groups.count; i++)
		*ARENA_APPEND(call->arena, changes.items, changes.count) =
			(struct ec2_LaunchPermission){ .group = request->user_groups.items[i] };
	if (!changes.count)
		return 0;
	if (!request->operation_type)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter operationType");
	return change_permissions(call, image, &changes, strcmp(request->operation_type, "add") == 0, err);
}

static int change_by_attribute(
	struct image_record *image, const struct ec2_ModifyImageAttributeRequest *request, struct error *err)
{
	const char *name = request->attribute;
	if (!name || strcmp(name, "launchPermission") == 0)
		return 0;
	if (strcmp(name, "description") == 0) {
		if (request->value)
			image->description = request->value;
		return 0;
	}
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
		"Value (%s) for parameter attribute is invalid. It must be description or launchPermission.",
		name);
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

int ec2_modify_image_attribute(struct call *call, const struct ec2_ModifyImageAttributeRequest *request,
	struct ec2_ModifyImageAttributeResult *result, struct error *err)
{
	static const char *const refused[] = { "ProductCodes", "OrganizationArns", "OrganizationalUnitArns",
		NULL };
	struct image_record *image;
	if (ec2_refuse_members(call, request, refused, err) ||
		image_find_own(call, request->image_id, &image, err))
		return -1;
	if (request->description)
		image->description = text_or(request->description->value, "");
	if (request->imds_support && set_imds_support(image, request->imds_support->value, err))
		return -1;
	if (change_by_attribute(image, request, err) || change_by_operation(call, image, request, err))
		return -1;
	if (request->launch_permission &&
		(change_permissions(call, image, &request->launch_permission->add, true, err) ||
			change_permissions(call, image, &request->launch_permission->remove, false, err)))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_image, image);
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_reset_image_attribute(struct call *call, const struct ec2_ResetImageAttributeRequest *request,
	struct ec2_ResetImageAttributeResult *result, struct error *err)
{
	struct image_record *image;
	if (strcmp(request->attribute, "launchPermission") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter attribute is invalid. It must be launchPermission.",
			request->attribute);
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	image->launch_permissions.count = 0;
	image->public = some_boolean(false);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_image, image);
	return meta_commit(call->amid->meta, batch, err);
}
