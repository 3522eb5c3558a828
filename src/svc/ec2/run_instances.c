/*
 * RunInstances: everything is checked, then instances and volumes are put in one batch: the answer leaves when the promise is on disk, and the instance controller launches the machines.
 */
#include <string.h>

#include "aws/idempotency.h"
#include "base/clock.h"
#include "svc/ec2/block_devices.h"
#include "svc/ec2/encryption.h"
#include "svc/ec2/images.h"
#include "svc/ec2/instance_profiles.h"
#include "svc/ec2/instances.h"
#include "svc/ec2/placement.h"
#include "svc/ec2/snapshots.h"
#include "svc/instance_types.h"
#include "base/banned.h"

enum { INSTANCES_MAX = 500, USER_DATA_MAX = 16384 };

static const char *const refused[] = { "KernelId", "RamdiskId", "ElasticGpuSpecification",
	"ElasticInferenceAccelerators", "LaunchTemplate", "InstanceMarketOptions", "CreditSpecification",
	"CpuOptions", "CapacityReservationSpecification", "HibernationOptions", "LicenseSpecifications",
	"EnclaveOptions", "PrivateDnsNameOptions", "MaintenanceOptions", "EnablePrimaryIpv6",
	"NetworkPerformanceOptions", "Operator", "SecondaryInterfaces", "AdditionalInfo", "Ipv6AddressCount",
	"Ipv6Addresses", NULL };

static const char *const taggable[] = { "instance", "volume", "network-interface", NULL };

/* What all instances of the call have in common. */
struct launch {
	struct call *call;
	const struct ec2_RunInstancesRequest *request;
	struct image_record *image;
	const struct instance_type *type;
	struct key_pair_record *key;
	struct instance_profile_record *profile; /* NULL: none */
	struct placement placement;
	struct block_device_list devices;
	struct snapshot_record **snapshots; /* one a device, NULL: an empty volume */
	struct volume_origin *origins;      /* one a device */
	struct encryption_twins twins;
	struct record_tag_list instance_tags, volume_tags;
	struct record_metadata_options *metadata;
	const char *reservation;
	int64_t count;
};

static int check_counts(struct launch *launch, struct error *err)
{
	int64_t min = launch->request->min_count.value, max = launch->request->max_count.value;
	if (min < 1)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Invalid value '%lld' for minCount. Must be at least 1.", (long long)min);
	if (max < min)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"Invalid value '%lld' for maxCount. Must be at least minCount (%lld).",
			(long long)max, (long long)min);
	struct meta_rows rows;
	struct meta_query query = { .account = launch->call->account, .region = launch->call->region };
	if (meta_list(launch->call->amid->meta, &record_instance, &query, launch->call->arena, &rows, err))
		return -1;
	int64_t live = 0;
	for (size_t i = 0; i < rows.count; i++)
		live += strcmp(((struct instance_record *)rows.items[i])->state, "terminated") != 0;
	if (live + min > INSTANCES_MAX)
		return error_set(err, ERROR_INSTANCE_LIMIT,
			"You have requested more instances (%lld) than your current instance limit of %d allows.",
			(long long)(live + min), INSTANCES_MAX);
	launch->count = live + max > INSTANCES_MAX ? INSTANCES_MAX - live : max;
	if (launch->count > 1 &&
		(launch->request->private_ip_address ||
			(launch->request->network_interfaces.count &&
				launch->request->network_interfaces.items[0].private_ip_address)))
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"A private IP address can be given to one instance only, not to %lld.",
			(long long)launch->count);
	return 0;
}

static int choose_type(struct launch *launch, struct error *err)
{
	const char *name = text_or(launch->request->instance_type, "m1.small");
	launch->type = instance_type_find(name);
	if (!launch->type)
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "Invalid value '%s' for InstanceType.", name);
	if (strcmp(launch->image->architecture, "x86_64") != 0)
		return error_set(err, ERROR_UNSUPPORTED,
			"The requested instance type's architecture (x86_64) does not match the architecture in the manifest for %s (%s)",
			launch->image->record.id, launch->image->architecture);
	if (strcmp(launch->image->virtualization_type, "hvm") != 0)
		return error_set(err, ERROR_UNSUPPORTED, "The image %s is %s; amid launches only hvm images.",
			launch->image->record.id, launch->image->virtualization_type);
	return 0;
}

static int find_key(struct launch *launch, struct error *err)
{
	const char *name = launch->request->key_name;
	struct meta_rows rows;
	if (!name)
		return 0;
	struct meta_query query = { .account = launch->call->account,
		.region = launch->call->region,
		.index = "name",
		.value = name };
	if (meta_list(launch->call->amid->meta, &record_key_pair, &query, launch->call->arena, &rows, err))
		return -1;
	if (!rows.count)
		return error_set(err, ERROR_KEY_PAIR_NOT_FOUND, "The key pair '%s' does not exist", name);
	launch->key = rows.items[0];
	return 0;
}

static int check_user_data(struct launch *launch, struct error *err)
{
	size_t size;
	const char *text = launch->request->user_data;
	if (!text)
		return 0;
	if (!text_unbase64(launch->call->arena, text, &size))
		return error_set(err, ERROR_USER_DATA_MALFORMED, "Invalid BASE64 encoding of user data.");
	if (size > USER_DATA_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"User data is limited to %d bytes; this has %zu.", USER_DATA_MAX, size);
	return 0;
}

static int choose_metadata_options(struct launch *launch, struct error *err)
{
	const struct ec2_InstanceMetadataOptionsRequest *request = launch->request->metadata_options;
	struct record_metadata_options *options = arena_alloc(launch->call->arena, sizeof *options);
	bool v2_image = launch->image->imds_support && strcmp(launch->image->imds_support, "v2.0") == 0;
	*options = (struct record_metadata_options){ .tokens = v2_image ? "required" : "optional",
		.hop_limit = some_integer(v2_image ? 2 : 1),
		.endpoint = "enabled",
		.tags = "disabled" };
	launch->metadata = options;
	if (!request)
		return 0;
	if (request->http_protocol_ipv6 && strcmp(request->http_protocol_ipv6, "disabled") != 0)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The parameter MetadataOptions.HttpProtocolIpv6 is not supported by amid.");
	options->tokens = text_or(request->http_tokens, options->tokens);
	options->endpoint = text_or(request->http_endpoint, options->endpoint);
	options->tags = text_or(request->instance_metadata_tags, options->tags);
	if (request->http_put_response_hop_limit.set)
		options->hop_limit = request->http_put_response_hop_limit;
	if (options->hop_limit.value < 1 || options->hop_limit.value > 64)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%lld) for parameter HttpPutResponseHopLimit is invalid. It must be between 1 and 64.",
			(long long)options->hop_limit.value);
	return 0;
}

/* The snapshot of a mapping: the image's own are there for whoever may launch the image, others for whom they are shared with. */
static int find_snapshot(struct launch *launch, const struct record_image_block_device *device,
	struct snapshot_record **snapshot, struct error *err)
{
	struct call *call = launch->call;
	*snapshot = NULL;
	if (!device->snapshot)
		return 0;
	bool of_image = false;
	for (size_t i = 0; i < launch->image->block_devices.count; i++)
		of_image |= text_equal(launch->image->block_devices.items[i].snapshot, device->snapshot);
	return of_image ? image_find_snapshot(call, launch->image, device->snapshot, snapshot, err)
			: snapshot_find_usable(call, device->snapshot, snapshot, err);
}

static int find_origin(struct launch *launch, size_t index, struct error *err)
{
	const struct record_image_block_device *device = &launch->devices.items[index];
	const struct snapshot_record *snapshot = launch->snapshots[index];
	struct encryption encryption;
	return encryption_choose(
		       launch->call, device->encrypted, device->kms_key, snapshot, &encryption, err) ||
			encryption_find_origin(launch->call, &encryption, snapshot, &launch->twins,
				&launch->origins[index], err)
		? -1
		: 0;
}

static int prepare_devices(struct launch *launch, struct error *err)
{
	if (block_devices_merge(launch->call, &launch->image->block_devices,
		    &launch->request->block_device_mappings, &launch->devices, err))
		return -1;
	if (launch->devices.count > launch->type->max_volumes)
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
			"The instance type %s takes at most %u volumes, not %zu.", launch->type->name,
			launch->type->max_volumes, launch->devices.count);
	launch->snapshots =
		arena_alloc_array(launch->call->arena, launch->devices.count + 1, sizeof *launch->snapshots);
	launch->origins =
		arena_alloc_array(launch->call->arena, launch->devices.count + 1, sizeof *launch->origins);
	bool has_root = false;
	for (size_t i = 0; i < launch->devices.count; i++) {
		struct record_image_block_device *device = &launch->devices.items[i];
		has_root |= strcmp(device->device, launch->image->root_device_name) == 0;
		if (find_snapshot(launch, device, &launch->snapshots[i], err) ||
			block_device_complete(launch->call, device, launch->snapshots[i], err) ||
			find_origin(launch, i, err))
			return -1;
	}
	return has_root
		? 0
		: error_set(err, ERROR_BLOCK_DEVICE_MAPPING, "The root device %s of image %s has no volume.",
			  launch->image->root_device_name, launch->image->record.id);
}

static int prepare(struct launch *launch, struct error *err)
{
	struct call *call = launch->call;
	const struct ec2_RunInstancesRequest *request = launch->request;
	if (ec2_refuse_members(call, request, refused, err))
		return -1;
	if (!request->image_id)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter ImageId");
	if (image_find_launchable(call, request->image_id, &launch->image, err))
		return -1;
	if (check_counts(launch, err) || choose_type(launch, err) || find_key(launch, err) ||
		instance_profile_choose(call, request->iam_instance_profile, &launch->profile, err) ||
		check_user_data(launch, err) || choose_metadata_options(launch, err) ||
		prepare_devices(launch, err) || placement_choose(call, request, &launch->placement, err))
		return -1;
	launch->reservation = text_random_id(call->arena, "r");
	return ec2_tags_from_specifications(call, &request->tag_specifications, "instance", taggable,
		       &launch->instance_tags, err) ||
			ec2_tags_from_specifications(call, &request->tag_specifications, "volume", taggable,
				&launch->volume_tags, err)
		? -1
		: 0;
}

static int put_volume(struct launch *launch, struct meta_batch *batch, const struct instance_record *instance,
	size_t index, struct error *err)
{
	struct call *call = launch->call;
	const struct record_image_block_device *device = &launch->devices.items[index];
	const struct snapshot_record *snapshot = launch->snapshots[index];
	struct record_volume_attachment attachment = {
		.instance = instance->record.id,
		.device = device->device,
		.state = "attaching",
		.attached = instance->launched,
		.delete_on_termination = device->delete_on_termination,
	};
	struct volume_record volume = {
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "vol") },
		.state = "in-use",
		.size_gib = device->size_gib,
		.volume_type = device->volume_type,
		.iops = device->iops,
		.throughput = device->throughput,
		.snapshot = device->snapshot,
		.zone = launch->placement.subnet->zone,
		.created = instance->launched,
		.attachment = &attachment,
		.tags = launch->volume_tags,
	};
	if (encryption_apply(call, &launch->origins[index], &volume, err))
		return -1;
	if (snapshot)
		meta_batch_expect(batch, &record_snapshot, snapshot);
	meta_batch_put(batch, &record_volume, &volume);
	return 0;
}

static int make_instance(
	struct launch *launch, int64_t index, struct instance_record *instance, struct error *err)
{
	struct call *call = launch->call;
	const struct ec2_RunInstancesRequest *request = launch->request;
	uint8_t mac[4];
	text_random_bytes(mac, sizeof mac);
	*instance = (struct instance_record){
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "i") },
		.image = launch->image->record.id,
		.instance_type = launch->type->name,
		.state = "pending",
		.key_name = launch->key ? launch->key->name : NULL,
		.public_key = launch->key ? launch->key->public_key : NULL,
		.launched = ec2_now(),
		.launch_index = some_integer(index),
		.reservation = launch->reservation,
		.zone = launch->placement.subnet->zone,
		.vpc = launch->placement.subnet->vpc,
		.subnet = launch->placement.subnet->record.id,
		.associate_public = some_boolean(launch->placement.public_address),
		.mac = arena_printf(call->arena, "02:00:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3]),
		.interface = text_random_id(call->arena, "eni"),
		.groups = launch->placement.groups,
		.user_data = request->user_data,
		.shutdown_behavior = text_or(request->instance_initiated_shutdown_behavior, "stop"),
		.protect_termination = some_boolean(boolean_or(request->disable_api_termination, false)),
		.protect_stop = some_boolean(boolean_or(request->disable_api_stop, false)),
		.source_dest_check = some_boolean(true),
		.ebs_optimized = some_boolean(boolean_or(request->ebs_optimized, false)),
		.monitoring =
			some_boolean(request->monitoring && boolean_or(request->monitoring->enabled, false)),
		.metadata = launch->metadata,
		.root_device_name = launch->image->root_device_name,
		.root_device_type = launch->image->root_device_type,
		.architecture = launch->image->architecture,
		.virtualization_type = launch->image->virtualization_type,
		.boot_mode = launch->image->boot_mode,
		.platform = launch->image->platform,
		.client_token = request->client_token,
		.tags = launch->instance_tags,
	};
	if (placement_take_private_address(call, &launch->placement, &instance->private_address, err) ||
		(launch->placement.public_address &&
			placement_take_public_address(call, &instance->public_address, err)))
		return -1;
	instance->network_key = arena_printf(call->arena, "%s/%s", instance->vpc, instance->private_address);
	return 0;
}

static int describe_reservation(
	struct call *call, const char *reservation, struct ec2_Reservation *result, struct error *err)
{
	struct meta_rows rows;
	struct instance_context context;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "reservation", .value = reservation
	};
	if (meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err) ||
		instance_context_load(call, &context, err))
		return -1;
	if (!rows.count)
		return error_set(err, ERROR_INTERNAL, "reservation %s has no instances", reservation);
	instance_reservation_result(call, &context, rows.items[0], result);
	for (size_t i = 1; i < rows.count; i++)
		instance_result(call, &context, rows.items[i],
			ARENA_APPEND(call->arena, result->instances.items, result->instances.count));
	return 0;
}

static int commit_launch(struct launch *launch, struct idempotency *idempotency, struct error *err)
{
	struct call *call = launch->call;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (int64_t i = 0; i < launch->count; i++) {
		struct instance_record instance;
		if (make_instance(launch, i, &instance, err))
			return -1;
		if (launch->profile)
			instance.profile = instance_profile_associate(call, batch, launch->profile);
		meta_batch_put(batch, &record_instance, &instance);
		for (size_t j = 0; j < launch->devices.count; j++)
			if (put_volume(launch, batch, &instance, j, err))
				return -1;
	}
	encryption_put_twins(&launch->twins, batch);
	/* the image must still be there, and as it was, when the launch is promised */
	meta_batch_expect(batch, &record_image, launch->image);
	idempotency_record(idempotency, batch, &launch->reservation, 1);
	if (idempotency_commit(idempotency, batch, err) == 0)
		return 0;
	if (err->code == ERROR_DUPLICATE)
		err->code =
			ERROR_CONFLICT; /* another call has just taken the address: choose again, or made a twin */
	return -1;
}

int ec2_run_instances(struct call *call, const struct ec2_RunInstancesRequest *request,
	struct ec2_Reservation *result, struct error *err)
{
	struct launch launch = { .call = call, .request = request };
	struct idempotency idempotency;
	if (idempotency_begin(call, call->amid->meta, request, ERROR_IDEMPOTENT_MISMATCH, &idempotency, err))
		return -1;
	if (idempotency.done)
		return describe_reservation(call, idempotency.resource_ids[0], result, err);
	if (prepare(&launch, err) || commit_launch(&launch, &idempotency, err))
		return -1;
	image_note_launch(call, launch.image);
	return describe_reservation(call, launch.reservation, result, err);
}
