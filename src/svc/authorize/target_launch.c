/*
 * What RunInstances acts on besides the image, snapshots and key pair that it names: the subnet and the security groups (those that are taken when none is named), and the instance, its volumes and its network
 * interface, which are to be made. A volume is asked about for each device of the launch, as image and request together have it. What the handler will refuse anyway is left out here: it says so to those who may launch.
 * Runs on the thread of the call.
 */
#include <string.h>

#include "api/ec2.h"
#include "svc/authorize/internal.h"
#include "svc/ec2/block_devices.h"
#include "svc/network.h"
#include "base/text.h"
#include "base/banned.h"

struct launch_places {
	const char *subnet_id;
	const struct ec2_SecurityGroupIdStringList *groups;
	const struct subnet_record *subnet; /* NULL: there is none of that id */
};

static const struct ec2_InstanceNetworkInterfaceSpecification *interface_of(
	const struct ec2_RunInstancesRequest *request)
{
	return request->network_interfaces.count ? &request->network_interfaces.items[0] : NULL;
}

static int find_places(struct call *call, const struct ec2_RunInstancesRequest *request,
	struct launch_places *places, struct error *err)
{
	const struct ec2_InstanceNetworkInterfaceSpecification *interface = interface_of(request);
	const char *zone = request->placement ? request->placement->availability_zone : NULL;
	bool known = zone && amid_is_zone(amid_find_region(call->amid, call->region), zone);
	*places = (struct launch_places){
		.subnet_id = interface ? interface->subnet_id : request->subnet_id,
		.groups = interface ? &interface->groups : &request->security_group_ids,
	};
	if (!places->subnet_id)
		places->subnet_id = network_default_subnet_id(call->account, call->region,
			known ? (unsigned)(zone[strlen(zone) - 1] - 'a') : 0, call->arena);
	void *found = NULL;
	int result = meta_get(call->amid->meta, &record_subnet, call->account, call->region,
		places->subnet_id, call->arena, &found, err);
	places->subnet = found;
	return result;
}

static int add_groups(struct target_list *list, const struct ec2_RunInstancesRequest *request,
	const struct launch_places *places, struct error *err)
{
	size_t before = list->count;
	for (size_t i = 0; i < places->groups->count; i++)
		target_add(list, RESOURCE_SECURITY_GROUP, places->groups->items[i], NULL);
	for (size_t i = 0; i < request->security_groups.count; i++)
		if (target_add_name(list, RESOURCE_SECURITY_GROUP, request->security_groups.items[i], err))
			return -1;
	return list->count > before ? 0 : target_add_name(list, RESOURCE_SECURITY_GROUP, "default", err);
}

static struct record_metadata_options *metadata_of(struct call *call,
	const struct ec2_InstanceMetadataOptionsRequest *request, const struct image_record *image)
{
	struct record_metadata_options *options = arena_alloc(call->arena, sizeof *options);
	bool v2 = image && text_equal(image->imds_support, "v2.0");
	*options = (struct record_metadata_options){ .tokens = v2 ? "required" : "optional",
		.hop_limit = some_integer(v2 ? 2 : 1),
		.endpoint = "enabled",
		.tags = "disabled" };
	if (!request)
		return options;
	if (request->http_tokens)
		options->tokens = request->http_tokens;
	if (request->http_endpoint)
		options->endpoint = request->http_endpoint;
	if (request->instance_metadata_tags)
		options->tags = request->instance_metadata_tags;
	if (request->http_put_response_hop_limit.set)
		options->hop_limit = request->http_put_response_hop_limit;
	return options;
}

static void add_instance(struct target_list *list, const struct ec2_RunInstancesRequest *request,
	const struct launch_places *places, const struct image_record *image)
{
	struct call *call = list->call;
	struct instance_record *instance = arena_alloc(call->arena, sizeof *instance);
	*instance = (struct instance_record){
		.record = { .account = call->account, .region = call->region },
		.image = request->image_id,
		.instance_type = request->instance_type ? request->instance_type : "m1.small",
		.zone = places->subnet ? places->subnet->zone : NULL,
		.subnet = places->subnet_id,
		.vpc = places->subnet ? places->subnet->vpc : NULL,
		.metadata = metadata_of(call, request->metadata_options, image),
		.ebs_optimized = some_boolean(boolean_or(request->ebs_optimized, false)),
		.root_device_type = image ? image->root_device_type : NULL,
	};
	target_add(list, RESOURCE_INSTANCE, NULL, instance);
}

static void add_interface(struct target_list *list, const struct ec2_RunInstancesRequest *request,
	const struct launch_places *places)
{
	const struct ec2_InstanceNetworkInterfaceSpecification *interface = interface_of(request);
	struct subnet_record *record = NULL;
	if (places->subnet) {
		record = arena_memdup(list->call->arena, places->subnet, sizeof *record);
		record->tags = (struct record_tag_list){ 0 }; /* the subnet's, not the interface's */
		if (interface && interface->associate_public_ip_address.set)
			record->map_public = interface->associate_public_ip_address;
	}
	target_add(list, RESOURCE_NETWORK_INTERFACE, NULL, record);
}

static int add_volume(struct target_list *list, const struct record_image_block_device *device,
	const struct launch_places *places, struct error *err)
{
	struct call *call = list->call;
	struct snapshot_record *snapshot = NULL;
	struct volume_record *volume = arena_alloc(call->arena, sizeof *volume);
	if (device->snapshot &&
		meta_get_any(call->amid->meta, &record_snapshot, call->region, device->snapshot, call->arena,
			&snapshot, err))
		return -1;
	struct record_image_block_device full = *device;
	struct error refused;
	block_device_complete(call, &full, snapshot, &refused); /* the handler refuses it too */
	*volume = (struct volume_record){
		.record = { .account = call->account, .region = call->region },
		.size_gib = full.size_gib,
		.volume_type = full.volume_type,
		.iops = full.iops,
		.throughput = full.throughput,
		.snapshot = full.snapshot,
		.zone = places->subnet ? places->subnet->zone : NULL,
		.encrypted = some_boolean(boolean_or(full.encrypted, false)),
		.kms_key = full.kms_key,
	};
	target_add(list, RESOURCE_VOLUME, NULL, volume);
	return 0;
}

static int add_volumes(struct target_list *list, const struct ec2_RunInstancesRequest *request,
	const struct launch_places *places, const struct image_record *image, struct error *err)
{
	struct block_device_list devices = { 0 };
	struct error refused;
	if (!image ||
		block_devices_merge(list->call, &image->block_devices, &request->block_device_mappings,
			&devices, &refused)) {
		target_add(list, RESOURCE_VOLUME, NULL, NULL);
		return 0;
	}
	for (size_t i = 0; i < devices.count; i++)
		if (!devices.items[i].virtual_name && add_volume(list, &devices.items[i], places, err))
			return -1;
	return 0;
}

int target_find_launch(struct target_list *list, struct error *err)
{
	const struct ec2_RunInstancesRequest *request = list->input;
	struct launch_places places;
	const struct image_record *image = NULL;
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].type == RESOURCE_IMAGE) {
			if (target_load(list->call, &list->items[i], err))
				return -1;
			image = list->items[i].record;
		}
	if (find_places(list->call, request, &places, err))
		return -1;
	target_add(list, RESOURCE_SUBNET, places.subnet_id, places.subnet);
	if (add_groups(list, request, &places, err))
		return -1;
	add_interface(list, request, &places);
	if (add_volumes(list, request, &places, image, err))
		return -1;
	add_instance(list, request, &places, image);
	return 0;
}

/* An instance that gets a role's credentials: its caller must be allowed to pass that role on. */
int target_find_instance_role(struct target_list *list, struct error *err)
{
	const struct shape *shape = list->operation->shape->input;
	struct call *call = list->call;
	const char *name = walk_text(shape, list->input, "IamInstanceProfile.Name", call->arena);
	const char *arn = walk_text(shape, list->input, "IamInstanceProfile.Arn", call->arena);
	if (!name && arn)
		name = strrchr(arn, '/') ? strrchr(arn, '/') + 1 : arn;
	if (!name)
		return 0;
	struct target_list profiles = *list;
	profiles.items = NULL;
	profiles.count = 0;
	if (target_add_name(&profiles, RESOURCE_INSTANCE_PROFILE, name, err))
		return -1;
	const struct instance_profile_record *profile = profiles.items[0].record;
	struct iam_role_record *role = NULL;
	if (profile && profile->role &&
		meta_get(call->amid->meta, &record_iam_role, call->account, "", profile->role, call->arena,
			&role, err))
		return -1;
	if (!role)
		return 0; /* no such profile, or none with a role: nothing is passed on */
	if (target_add_name(list, RESOURCE_ROLE, role->name, err))
		return -1;
	list->items[list->count - 1].action = "iam:PassRole";
	list->items[list->count - 1].passed_to = "ec2.amazonaws.com";
	return 0;
}
