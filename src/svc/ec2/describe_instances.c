/* DescribeInstances and DescribeInstanceStatus. */
#include <string.h>

#include "aws/filter.h"
#include "aws/page.h"
#include "svc/ec2/instances.h"
#include "base/banned.h"

/* What a filter looks at: the record, and what belongs to it. */
struct instance_row {
	struct call *call;
	const struct instance_context *context;
	const struct instance_record *instance;
};

#define OFFER_TEXT(name, expression) \
	static void name(const void *resource, struct filter_match *match) \
	{ \
		const struct instance_record *instance = ((const struct instance_row *)resource)->instance; \
		filter_offer(match, (expression)); \
	}

OFFER_TEXT(offer_architecture, instance->architecture)
OFFER_TEXT(offer_zone, instance->zone)
OFFER_TEXT(offer_client_token, instance->client_token)
OFFER_TEXT(offer_public_address, instance->public_address)
OFFER_TEXT(offer_image, instance->image)
OFFER_TEXT(offer_id, instance->record.id)
OFFER_TEXT(offer_state, instance->state)
OFFER_TEXT(offer_type, instance->instance_type)
OFFER_TEXT(offer_key, instance->key_name)
OFFER_TEXT(offer_owner, instance->record.account)
OFFER_TEXT(offer_private_address, instance->private_address)
OFFER_TEXT(offer_reservation, instance->reservation)
OFFER_TEXT(offer_root_device_name, instance->root_device_name)
OFFER_TEXT(offer_root_device_type, instance->root_device_type)
OFFER_TEXT(offer_reason, instance->transition_reason)
OFFER_TEXT(offer_reason_code, instance->state_reason_code)
OFFER_TEXT(offer_subnet, instance->private_address ? instance->subnet : NULL)
OFFER_TEXT(offer_vpc, instance->private_address ? instance->vpc : NULL)
OFFER_TEXT(offer_virtualization_type, instance->virtualization_type)
OFFER_TEXT(offer_interface, instance->interface)
OFFER_TEXT(offer_mac, instance->mac)
OFFER_TEXT(offer_hypervisor, instance->state ? "xen" : NULL)
OFFER_TEXT(offer_monitoring, boolean_or(instance->monitoring, false) ? "enabled" : "disabled")
OFFER_TEXT(offer_tenancy, instance->state ? "default" : NULL)
OFFER_TEXT(offer_tokens, instance->metadata ? instance->metadata->tokens : NULL)
OFFER_TEXT(offer_endpoint, instance->metadata ? instance->metadata->endpoint : NULL)
OFFER_TEXT(offer_boot_mode, instance->boot_mode)

static void offer_state_code(const void *resource, struct filter_match *match)
{
	filter_offer_integer(match, some_integer(instance_state_code(((const struct instance_row *)resource)->instance->state)));
}

static void offer_launch_time(const void *resource, struct filter_match *match)
{
	filter_offer_time(match, ((const struct instance_row *)resource)->instance->launched);
}

static void offer_launch_index(const void *resource, struct filter_match *match)
{
	filter_offer_integer(match, ((const struct instance_row *)resource)->instance->launch_index);
}

static void offer_private_dns(const void *resource, struct filter_match *match)
{
	const struct instance_row *row = resource;
	filter_offer(match, instance_private_dns_name(row->call, row->instance));
}

static void offer_group_ids(const void *resource, struct filter_match *match)
{
	const struct instance_record *instance = ((const struct instance_row *)resource)->instance;
	for (size_t i = 0; i < instance->groups.count; i++)
		filter_offer(match, instance->groups.items[i]);
}

static void offer_group_names(const void *resource, struct filter_match *match)
{
	const struct instance_row *row = resource;
	struct ec2_GroupIdentifierList groups = instance_groups_result(row->call, row->context, &row->instance->groups);
	for (size_t i = 0; i < groups.count; i++)
		filter_offer(match, groups.items[i].group_name);
}

#define OFFER_DEVICES(name, expression) \
	static void name(const void *resource, struct filter_match *match) \
	{ \
		const struct instance_row *row = resource; \
		struct ec2_InstanceBlockDeviceMappingList devices = instance_devices_result(row->call, row->context, row->instance); \
		for (size_t i = 0; i < devices.count; i++) { \
			const struct ec2_InstanceBlockDeviceMapping *device = &devices.items[i]; \
			expression; \
		} \
	}

OFFER_DEVICES(offer_device_name, filter_offer(match, device->device_name))
OFFER_DEVICES(offer_device_volume, filter_offer(match, device->ebs->volume_id))
OFFER_DEVICES(offer_device_status, filter_offer(match, device->ebs->status))
OFFER_DEVICES(offer_device_delete, filter_offer_boolean(match, device->ebs->delete_on_termination))

static const struct filter_field fields[] = {
	{ "architecture", offer_architecture },
	{ "availability-zone", offer_zone },
	{ "block-device-mapping.delete-on-termination", offer_device_delete },
	{ "block-device-mapping.device-name", offer_device_name },
	{ "block-device-mapping.status", offer_device_status },
	{ "block-device-mapping.volume-id", offer_device_volume },
	{ "boot-mode", offer_boot_mode },
	{ "client-token", offer_client_token },
	{ "dns-name", offer_public_address },
	{ "group-id", offer_group_ids },
	{ "group-name", offer_group_names },
	{ "hypervisor", offer_hypervisor },
	{ "image-id", offer_image },
	{ "instance-id", offer_id },
	{ "instance-state-code", offer_state_code },
	{ "instance-state-name", offer_state },
	{ "instance-type", offer_type },
	{ "instance.group-id", offer_group_ids },
	{ "instance.group-name", offer_group_names },
	{ "ip-address", offer_public_address },
	{ "key-name", offer_key },
	{ "launch-index", offer_launch_index },
	{ "launch-time", offer_launch_time },
	{ "metadata-options.http-endpoint", offer_endpoint },
	{ "metadata-options.http-tokens", offer_tokens },
	{ "monitoring-state", offer_monitoring },
	{ "network-interface.group-id", offer_group_ids },
	{ "network-interface.mac-address", offer_mac },
	{ "network-interface.network-interface-id", offer_interface },
	{ "network-interface.subnet-id", offer_subnet },
	{ "network-interface.vpc-id", offer_vpc },
	{ "owner-id", offer_owner },
	{ "private-dns-name", offer_private_dns },
	{ "private-ip-address", offer_private_address },
	{ "reason", offer_reason },
	{ "reservation-id", offer_reservation },
	{ "root-device-name", offer_root_device_name },
	{ "root-device-type", offer_root_device_type },
	{ "state-reason-code", offer_reason_code },
	{ "subnet-id", offer_subnet },
	{ "tenancy", offer_tenancy },
	{ "virtualization-type", offer_virtualization_type },
	{ "vpc-id", offer_vpc },
	{ 0 },
};

static const struct record_tag_list *instance_tags(const void *resource)
{
	return &((const struct instance_row *)resource)->instance->tags;
}

static const struct filter_table table = { fields, instance_tags };

static const struct filter_field status_fields[] = {
	{ "availability-zone", offer_zone },
	{ "instance-state-code", offer_state_code },
	{ "instance-state-name", offer_state },
	{ 0 },
};
static const struct filter_table status_table = { status_fields, NULL };

static int load(struct call *call, const struct ec2_InstanceIdStringList *ids, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };
	if (!ids->count)
		return meta_list(call->amid->meta, &record_instance, &query, call->arena, rows, err);
	struct instance_record **instances;
	if (instance_find_all(call, ids, &instances, err))
		return -1;
	*rows = (struct meta_rows){ (void **)instances, ids->count };
	return 0;
}

static int refuse_ids_with_page(const struct ec2_InstanceIdStringList *ids, struct shape_integer max_results, struct error *err)
{
	if (ids->count && max_results.set)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION, "The parameter instancesSet cannot be used with the parameter maxResults");
	return 0;
}

int ec2_describe_instances(struct call *call, const struct ec2_DescribeInstancesRequest *request, struct ec2_DescribeInstancesResult *result,
	struct error *err)
{
	static const struct page_rules rules = { .min = 5, .max = 1000 };
	struct meta_rows rows;
	struct page page;
	struct instance_context context;
	if (refuse_ids_with_page(&request->instance_ids, request->max_results, err) || filter_check(&table, &request->filters, err) ||
		load(call, &request->instance_ids, &rows, err) || instance_context_load(call, &context, err) ||
		page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token, &page, err))
		return -1;
	result->reservations.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		struct instance_row row = { call, &context, rows.items[i] };
		if (!page_is_ahead(&page, row.instance->record.id) || !filter_passes(&table, &request->filters, &row))
			continue;
		if (!page_take(&page, row.instance->record.id))
			break;
		struct ec2_Instance *instance = instance_add_to_reservations(call, &result->reservations, row.instance);
		instance_result(call, &context, row.instance, instance);
	}
	result->next_token = page_close(&page);
	return 0;
}

/* A machine is reachable when its guest could answer; amid knows that its process runs, which is what these two checks can honestly say. */
static struct ec2_InstanceStatusSummary *summary_result(struct call *call, bool running)
{
	struct ec2_InstanceStatusSummary *summary = arena_alloc(call->arena, sizeof *summary);
	summary->status = running ? "ok" : "not-applicable";
	summary->details.set = true;
	if (running)
		*ARENA_APPEND(call->arena, summary->details.items, summary->details.count) =
			(struct ec2_InstanceStatusDetails){ .name = "reachability", .status = "passed" };
	return summary;
}

int ec2_describe_instance_status(struct call *call, const struct ec2_DescribeInstanceStatusRequest *request,
	struct ec2_DescribeInstanceStatusResult *result, struct error *err)
{
	static const struct page_rules rules = { .min = 5, .max = 1000 };
	struct meta_rows rows;
	struct page page;
	struct instance_context context = { 0 };
	if (refuse_ids_with_page(&request->instance_ids, request->max_results, err) || filter_check(&status_table, &request->filters, err) ||
		load(call, &request->instance_ids, &rows, err) ||
		page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token, &page, err))
		return -1;
	result->instance_statuses.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		struct instance_row row = { call, &context, rows.items[i] };
		bool running = strcmp(row.instance->state, "running") == 0;
		if (!page_is_ahead(&page, row.instance->record.id) || (!running && !boolean_or(request->include_all_instances, false)) ||
			!filter_passes(&status_table, &request->filters, &row))
			continue;
		if (!page_take(&page, row.instance->record.id))
			break;
		*ARENA_APPEND(call->arena, result->instance_statuses.items, result->instance_statuses.count) = (struct ec2_InstanceStatus){
			.availability_zone = row.instance->zone,
			.instance_id = row.instance->record.id,
			.instance_state = instance_state_result(call, row.instance->state),
			.instance_status = summary_result(call, running),
			.system_status = summary_result(call, running),
		};
	}
	result->next_token = page_close(&page);
	return 0;
}
