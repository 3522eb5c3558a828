/* Instances: look-ups, and how a record is shown. */
#include "svc/ec2/instances.h"

#include <string.h>

#include "svc/instance_types.h"
#include "svc/ec2/instance_profiles.h"
#include "base/banned.h"

int64_t instance_state_code(const char *state)
{
	static const struct {
		const char *name;
		int64_t code;
	} codes[] = { { "pending", 0 }, { "running", 16 }, { "shutting-down", 32 }, { "terminated", 48 },
		{ "stopping", 64 }, { "stopped", 80 } };
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].name, state) == 0)
			return codes[i].code;
	return 0;
}

struct ec2_InstanceState *instance_state_result(struct call *call, const char *state)
{
	struct ec2_InstanceState *result = arena_alloc(call->arena, sizeof *result);
	*result =
		(struct ec2_InstanceState){ .code = some_integer(instance_state_code(state)), .name = state };
	return result;
}

int instance_find(struct call *call, const char *id, struct instance_record **instance, struct error *err)
{
	if (ec2_check_id(id, "i", ERROR_INSTANCE_ID_MALFORMED, err) ||
		EC2_GET(call, record_instance, id, instance, err))
		return -1;
	if (!*instance)
		return error_set(err, ERROR_INSTANCE_NOT_FOUND, "The instance ID '%s' does not exist", id);
	return 0;
}

int instance_find_all(struct call *call, const struct ec2_InstanceIdStringList *ids,
	struct instance_record ***instances, struct error *err)
{
	if (!ids->count)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter InstanceId");
	*instances = arena_alloc_array(call->arena, ids->count, sizeof **instances);
	for (size_t i = 0; i < ids->count; i++)
		if (instance_find(call, ids->items[i], &(*instances)[i], err))
			return -1;
	return 0;
}

int instance_context_load(struct call *call, struct instance_context *context, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };
	return meta_list(call->amid->meta, &record_volume, &query, call->arena, &context->volumes, err) ||
			meta_list(call->amid->meta, &record_security_group, &query, call->arena,
				&context->groups, err)
		? -1
		: 0;
}

struct ec2_InstanceBlockDeviceMappingList instance_devices_result(
	struct call *call, const struct instance_context *context, const struct instance_record *instance)
{
	struct ec2_InstanceBlockDeviceMappingList list = { .set = true };
	for (size_t i = 0; i < context->volumes.count; i++) {
		const struct volume_record *volume = context->volumes.items[i];
		if (!volume->attachment || strcmp(volume->attachment->instance, instance->record.id) != 0)
			continue;
		struct ec2_EbsInstanceBlockDevice *ebs = arena_alloc(call->arena, sizeof *ebs);
		*ebs = (struct ec2_EbsInstanceBlockDevice){
			.attach_time = volume->attachment->attached,
			.delete_on_termination =
				some_boolean(boolean_or(volume->attachment->delete_on_termination, false)),
			.status = volume->attachment->state,
			.volume_id = volume->record.id,
		};
		*ARENA_APPEND(call->arena, list.items, list.count) =
			(struct ec2_InstanceBlockDeviceMapping){ .device_name = volume->attachment->device,
				.ebs = ebs };
	}
	return list;
}

struct ec2_GroupIdentifierList instance_groups_result(
	struct call *call, const struct instance_context *context, const struct record_string_list *groups)
{
	struct ec2_GroupIdentifierList list = { .set = true };
	for (size_t i = 0; i < groups->count; i++) {
		struct ec2_GroupIdentifier *identifier = ARENA_APPEND(call->arena, list.items, list.count);
		identifier->group_id = groups->items[i];
		for (size_t j = 0; j < context->groups.count; j++) {
			const struct security_group_record *group = context->groups.items[j];
			if (strcmp(group->record.id, groups->items[i]) == 0)
				identifier->group_name = group->name;
		}
	}
	return list;
}

static const char *dashed(struct call *call, const char *address)
{
	char *text = arena_strdup(call->arena, address);
	for (char *p = text; *p; p++)
		if (*p == '.')
			*p = '-';
	return text;
}

const char *instance_private_dns_name(struct call *call, const struct instance_record *instance)
{
	if (!instance->private_address)
		return NULL;
	bool first_region = strcmp(instance->record.region, "us-east-1") == 0;
	return arena_printf(call->arena, "ip-%s.%s%s", dashed(call, instance->private_address),
		first_region ? "ec2" : instance->record.region,
		first_region ? ".internal" : ".compute.internal");
}

/* No name server answers for public names, so the address itself is the name that a client can use. */
const char *instance_public_dns_name(struct call *call, const struct instance_record *instance)
{
	return instance->public_address;
}

static struct ec2_InstanceNetworkInterfaceAssociation *association_result(
	struct call *call, const struct instance_record *instance)
{
	if (!instance->public_address)
		return NULL;
	struct ec2_InstanceNetworkInterfaceAssociation *association =
		arena_alloc(call->arena, sizeof *association);
	*association = (struct ec2_InstanceNetworkInterfaceAssociation){ .ip_owner_id = "amazon",
		.public_ip = instance->public_address,
		.public_dns_name = instance_public_dns_name(call, instance) };
	return association;
}

static struct ec2_InstanceNetworkInterfaceList interfaces_result(
	struct call *call, const struct instance_context *context, const struct instance_record *instance)
{
	struct ec2_InstanceNetworkInterfaceList list = { .set = true };
	if (!instance->private_address)
		return list;
	struct ec2_InstanceNetworkInterfaceAttachment *attachment =
		arena_alloc(call->arena, sizeof *attachment);
	*attachment = (struct ec2_InstanceNetworkInterfaceAttachment){ .attach_time = instance->launched,
		.delete_on_termination = some_boolean(true),
		.device_index = some_integer(0),
		.network_card_index = some_integer(0),
		.status = "attached",
		.attachment_id =
			arena_printf(call->arena, "eni-attach-%s", strchr(instance->interface, '-') + 1) };
	struct ec2_InstanceNetworkInterface *interface = ARENA_APPEND(call->arena, list.items, list.count);
	*interface = (struct ec2_InstanceNetworkInterface){ .association = association_result(call, instance),
		.attachment = attachment,
		.groups = instance_groups_result(call, context, &instance->groups),
		.mac_address = instance->mac,
		.network_interface_id = instance->interface,
		.owner_id = instance->record.account,
		.private_dns_name = instance_private_dns_name(call, instance),
		.private_ip_address = instance->private_address,
		.source_dest_check = instance->source_dest_check,
		.status = "in-use",
		.subnet_id = instance->subnet,
		.vpc_id = instance->vpc,
		.interface_type = "interface",
		.description = "" };
	*ARENA_APPEND(
		call->arena, interface->private_ip_addresses.items, interface->private_ip_addresses.count) =
		(struct ec2_InstancePrivateIpAddress){ .primary = some_boolean(true),
			.private_ip_address = instance->private_address,
			.private_dns_name = interface->private_dns_name,
			.association = interface->association };
	interface->private_ip_addresses.set = true;
	return list;
}

static struct ec2_InstanceMetadataOptionsResponse *metadata_result(
	struct call *call, const struct record_metadata_options *options)
{
	if (!options)
		return NULL;
	struct ec2_InstanceMetadataOptionsResponse *result = arena_alloc(call->arena, sizeof *result);
	*result = (struct ec2_InstanceMetadataOptionsResponse){ .state = "applied",
		.http_tokens = options->tokens,
		.http_put_response_hop_limit = options->hop_limit,
		.http_endpoint = options->endpoint,
		.http_protocol_ipv6 = "disabled",
		.instance_metadata_tags = options->tags };
	return result;
}

static struct ec2_CpuOptions *cpu_result(struct call *call, const struct instance_record *instance)
{
	const struct instance_type *type = instance_type_find(instance->instance_type);
	if (!type)
		return NULL;
	struct ec2_CpuOptions *options = arena_alloc(call->arena, sizeof *options);
	*options = (struct ec2_CpuOptions){ .core_count = some_integer(type->cores),
		.threads_per_core = some_integer(type->vcpus / type->cores) };
	return options;
}

/* What describes the running machine rather than the order for it. */
static void fill_state(struct call *call, const struct instance_record *instance, struct ec2_Instance *result)
{
	result->state = instance_state_result(call, instance->state);
	result->state_transition_reason = text_or(instance->transition_reason, "");
	if (instance->state_reason) {
		result->state_reason = arena_alloc(call->arena, sizeof *result->state_reason);
		*result->state_reason = (struct ec2_StateReason){ .code = instance->state_reason_code,
			.message = instance->state_reason };
	}
	result->monitoring = arena_alloc(call->arena, sizeof *result->monitoring);
	result->monitoring->state = boolean_or(instance->monitoring, false) ? "enabled" : "disabled";
	result->placement = arena_alloc(call->arena, sizeof *result->placement);
	*result->placement = (struct ec2_Placement){
		.availability_zone = instance->zone, .group_name = "", .tenancy = "default"
	};
	result->private_ip_address = instance->private_address;
	result->public_ip_address = instance->public_address;
	result->private_dns_name = text_or(instance_private_dns_name(call, instance), "");
	result->public_dns_name = text_or(instance_public_dns_name(call, instance), "");
}

void instance_result(struct call *call, const struct instance_context *context,
	const struct instance_record *instance, struct ec2_Instance *result)
{
	*result = (struct ec2_Instance){
		.instance_id = instance->record.id,
		.image_id = instance->image,
		.instance_type = instance->instance_type,
		.key_name = instance->key_name,
		.launch_time = instance->launched,
		.ami_launch_index = instance->launch_index,
		.subnet_id = instance->private_address ? instance->subnet : NULL,
		.vpc_id = instance->private_address ? instance->vpc : NULL,
		.architecture = instance->architecture,
		.block_device_mappings = instance_devices_result(call, context, instance),
		.client_token = instance->client_token,
		.ebs_optimized = some_boolean(boolean_or(instance->ebs_optimized, false)),
		.ena_support = some_boolean(true),
		.iam_instance_profile = instance_profile_result(call, instance->profile),
		.hypervisor = "xen", /* what the API says for every type, Nitro included */
		.network_interfaces = interfaces_result(call, context, instance),
		.root_device_name = instance->root_device_name,
		.root_device_type = instance->root_device_type,
		.security_groups = instance_groups_result(call, context, &instance->groups),
		.source_dest_check = instance->source_dest_check,
		.tags = ec2_tags_result(call, &instance->tags),
		.virtualization_type = instance->virtualization_type,
		.cpu_options = cpu_result(call, instance),
		.metadata_options = metadata_result(call, instance->metadata),
		.boot_mode = instance->boot_mode,
		.current_instance_boot_mode = instance->boot_mode && strcmp(instance->boot_mode, "uefi") == 0
			? "uefi"
			: "legacy-bios",
		.platform_details = "Linux/UNIX",
		.usage_operation = "RunInstances",
		.usage_operation_update_time = instance->launched,
	};
	fill_state(call, instance, result);
}

void instance_reservation_result(struct call *call, const struct instance_context *context,
	const struct instance_record *instance, struct ec2_Reservation *result)
{
	*result = (struct ec2_Reservation){ .reservation_id = instance->reservation,
		.owner_id = instance->record.account,
		.groups = { .set = true },
		.instances = { .set = true } };
	instance_result(call, context, instance,
		ARENA_APPEND(call->arena, result->instances.items, result->instances.count));
}
