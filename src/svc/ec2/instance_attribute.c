/* DescribeInstanceAttribute, ModifyInstanceAttribute, GetConsoleOutput. */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/instances.h"
#include "svc/instance_types.h"
#include "base/banned.h"

enum { CONSOLE_BYTES = 64 * 1024, USER_DATA_MAX = 16384 };

static struct ec2_AttributeValue *text_attribute(struct call *call, const char *value)
{
	struct ec2_AttributeValue *attribute = arena_alloc(call->arena, sizeof *attribute);
	attribute->value = value;
	return attribute;
}

static struct ec2_AttributeBooleanValue *boolean_attribute(struct call *call, struct shape_boolean value)
{
	struct ec2_AttributeBooleanValue *attribute = arena_alloc(call->arena, sizeof *attribute);
	attribute->value = some_boolean(boolean_or(value, false));
	return attribute;
}

int ec2_describe_instance_attribute(struct call *call,
	const struct ec2_DescribeInstanceAttributeRequest *request, struct ec2_InstanceAttribute *result,
	struct error *err)
{
	struct instance_record *instance;
	struct instance_context context;
	const char *name = request->attribute;
	if (instance_find(call, request->instance_id, &instance, err) ||
		instance_context_load(call, &context, err))
		return -1;
	result->instance_id = instance->record.id;
	if (strcmp(name, "instanceType") == 0)
		result->instance_type = text_attribute(call, instance->instance_type);
	else if (strcmp(name, "userData") == 0)
		result->user_data = text_attribute(call, instance->user_data);
	else if (strcmp(name, "disableApiTermination") == 0)
		result->disable_api_termination = boolean_attribute(call, instance->protect_termination);
	else if (strcmp(name, "disableApiStop") == 0)
		result->disable_api_stop = boolean_attribute(call, instance->protect_stop);
	else if (strcmp(name, "instanceInitiatedShutdownBehavior") == 0)
		result->instance_initiated_shutdown_behavior =
			text_attribute(call, instance->shutdown_behavior);
	else if (strcmp(name, "rootDeviceName") == 0)
		result->root_device_name = text_attribute(call, instance->root_device_name);
	else if (strcmp(name, "blockDeviceMapping") == 0)
		result->block_device_mappings = instance_devices_result(call, &context, instance);
	else if (strcmp(name, "groupSet") == 0)
		result->groups = instance_groups_result(call, &context, &instance->groups);
	else if (strcmp(name, "sourceDestCheck") == 0)
		result->source_dest_check = boolean_attribute(call, instance->source_dest_check);
	else if (strcmp(name, "ebsOptimized") == 0)
		result->ebs_optimized = boolean_attribute(call, instance->ebs_optimized);
	else if (strcmp(name, "enaSupport") == 0)
		result->ena_support = boolean_attribute(call, some_boolean(true));
	else if (strcmp(name, "kernel") == 0)
		result->kernel_id = text_attribute(call, NULL);
	else if (strcmp(name, "ramdisk") == 0)
		result->ramdisk_id = text_attribute(call, NULL);
	else if (strcmp(name, "sriovNetSupport") == 0)
		result->sriov_net_support = text_attribute(call, NULL);
	else if (strcmp(name, "productCodes") == 0)
		result->product_codes.set = true;
	else
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The instance attribute %s is not supported by amid.", name);
	return 0;
}

static int require_stopped(const struct instance_record *instance, const char *attribute, struct error *err)
{
	if (strcmp(instance->state, "stopped") == 0)
		return 0;
	return error_set(err, ERROR_INCORRECT_INSTANCE_STATE,
		"The instance '%s' is not in the 'stopped' state, so its %s cannot be modified (%s).",
		instance->record.id, attribute, instance->state);
}

static int set_type(struct instance_record *instance, const char *type, struct error *err)
{
	if (require_stopped(instance, "instanceType", err))
		return -1;
	if (!type || !instance_type_find(type))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "Invalid value '%s' for InstanceType.",
			text_or(type, ""));
	instance->instance_type = type;
	return 0;
}

/* `text` is Base64, as it stays in the record; NULL clears it. */
static int set_user_data(
	struct call *call, struct instance_record *instance, const char *text, struct error *err)
{
	size_t size = 0;
	if (require_stopped(instance, "userData", err))
		return -1;
	if (text && !text_unbase64(call->arena, text, &size))
		return error_set(err, ERROR_USER_DATA_MALFORMED, "Invalid BASE64 encoding of user data.");
	if (size > USER_DATA_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"User data is limited to %d bytes; this has %zu.", USER_DATA_MAX, size);
	instance->user_data = size ? text : NULL;
	return 0;
}

static int set_behavior(struct instance_record *instance, const char *value, struct error *err)
{
	if (!value || (strcmp(value, "stop") != 0 && strcmp(value, "terminate") != 0))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter instanceInitiatedShutdownBehavior is invalid. It must be stop or terminate.",
			text_or(value, ""));
	instance->shutdown_behavior = value;
	return 0;
}

static int set_groups(struct call *call, struct instance_record *instance,
	const struct ec2_GroupIdStringList *ids, struct error *err)
{
	struct record_string_list groups = { .set = true };
	for (size_t i = 0; i < ids->count; i++) {
		struct security_group_record *group;
		if (ec2_check_id(ids->items[i], "sg", ERROR_GROUP_ID_MALFORMED, err) ||
			EC2_GET(call, record_security_group, ids->items[i], &group, err))
			return -1;
		if (!group || strcmp(group->vpc, instance->vpc) != 0)
			return error_set(err, ERROR_GROUP_NOT_FOUND, "The security group '%s' does not exist",
				ids->items[i]);
		*ARENA_APPEND(call->arena, groups.items, groups.count) = group->record.id;
	}
	instance->groups = groups;
	return 0;
}

static int set_device_flags(struct call *call, struct instance_record *instance,
	const struct ec2_InstanceBlockDeviceMappingSpecificationList *mappings, struct meta_batch *batch,
	struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "instance",
		.value = instance->record.id };
	if (meta_list(call->amid->meta, &record_volume, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < mappings->count; i++) {
		const struct ec2_InstanceBlockDeviceMappingSpecification *mapping = &mappings->items[i];
		struct volume_record *found = NULL;
		for (size_t j = 0; j < rows.count; j++) {
			struct volume_record *volume = rows.items[j];
			if (text_equal(volume->attachment->device, mapping->device_name))
				found = volume;
		}
		if (!found)
			return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
				"No device is currently mapped at %s",
				text_or(mapping->device_name, "(none)"));
		if (!mapping->ebs || !mapping->ebs->delete_on_termination.set || mapping->ebs->volume_id ||
			mapping->virtual_name || mapping->no_device)
			return error_set(err, ERROR_UNSUPPORTED_OPERATION,
				"Only DeleteOnTermination of device %s can be modified.",
				mapping->device_name);
		found->attachment->delete_on_termination = mapping->ebs->delete_on_termination;
		meta_batch_put(batch, &record_volume, found);
	}
	return 0;
}

/* The older form: Attribute and Value. */
static int modify_by_name(struct call *call, struct instance_record *instance, const char *name,
	const char *value, struct error *err)
{
	bool truth = value && strcmp(value, "true") == 0;
	if (strcmp(name, "instanceType") == 0)
		return set_type(instance, value, err);
	if (strcmp(name, "userData") == 0)
		return set_user_data(call, instance, value, err);
	if (strcmp(name, "instanceInitiatedShutdownBehavior") == 0)
		return set_behavior(instance, value, err);
	if (strcmp(name, "disableApiTermination") != 0 && strcmp(name, "disableApiStop") != 0)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The instance attribute %s cannot be modified in amid.", name);
	if (!value || (!truth && strcmp(value, "false") != 0))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter %s is invalid. It must be true or false.",
			text_or(value, ""), name);
	if (strcmp(name, "disableApiTermination") == 0)
		instance->protect_termination = some_boolean(truth);
	else
		instance->protect_stop = some_boolean(truth);
	return 0;
}

static int modify_members(struct call *call, struct instance_record *instance,
	const struct ec2_ModifyInstanceAttributeRequest *request, struct error *err)
{
	if (request->instance_type && set_type(instance, request->instance_type->value, err))
		return -1;
	if (request->user_data) {
		struct shape_blob blob = request->user_data->value;
		if (set_user_data(call, instance,
			    blob.data ? text_base64(call->arena, blob.data, blob.size) : NULL, err))
			return -1;
	}
	if (request->instance_initiated_shutdown_behavior &&
		set_behavior(instance, request->instance_initiated_shutdown_behavior->value, err))
		return -1;
	if (request->disable_api_termination)
		instance->protect_termination = request->disable_api_termination->value;
	if (request->disable_api_stop)
		instance->protect_stop = request->disable_api_stop->value;
	return request->groups.count ? set_groups(call, instance, &request->groups, err) : 0;
}

int ec2_modify_instance_attribute(struct call *call, const struct ec2_ModifyInstanceAttributeRequest *request,
	struct ec2_ModifyInstanceAttributeResult *result, struct error *err)
{
	static const char *const refused[] = { "SourceDestCheck", "Kernel", "Ramdisk", "EbsOptimized",
		"SriovNetSupport", "EnaSupport", NULL };
	struct instance_record *instance;
	if (ec2_refuse_members(call, request, refused, err) ||
		instance_find(call, request->instance_id, &instance, err))
		return -1;
	if (strcmp(instance->state, "terminated") == 0 || strcmp(instance->state, "shutting-down") == 0)
		return error_set(err, ERROR_INCORRECT_INSTANCE_STATE,
			"The instance '%s' is %s and cannot be modified.", instance->record.id,
			instance->state);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (request->attribute && modify_by_name(call, instance, request->attribute, request->value, err))
		return -1;
	if (modify_members(call, instance, request, err) ||
		set_device_flags(call, instance, &request->block_device_mappings, batch, err))
		return -1;
	meta_batch_put(batch, &record_instance, instance);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	/* other groups are other rules of the instance's network */
	if (request->groups.count)
		work_enqueue(call->amid->work, "security_group", request->groups.items[0]);
	return 0;
}

int ec2_get_console_output(struct call *call, const struct ec2_GetConsoleOutputRequest *request,
	struct ec2_GetConsoleOutputResult *result, struct error *err)
{
	struct instance_record *instance;
	struct error console = { 0 };
	char *data = NULL;
	size_t size = 0;
	int64_t modified_ms = 0;
	if (instance_find(call, request->instance_id, &instance, err))
		return -1;
	char *folder = amid_instance_folder(
		amid_find_region(call->amid, call->region), instance->record.id, call->arena);
	if (call->amid->config->compute->console(call->amid->compute, instance->record.id, folder,
		    CONSOLE_BYTES, call->arena, &data, &size, &modified_ms, &console) &&
		console.code != ERROR_NOT_FOUND) {
		*err = console;
		return -1;
	}
	result->instance_id = instance->record.id;
	result->timestamp = some_timestamp(modified_ms ? modified_ms : clock_now_ms());
	if (size)
		result->output = text_base64(call->arena, data, size);
	return 0;
}
