/*
 * CreateImage: promises an image of an instance. The image and its snapshots are put (pending) in one batch with the volumes they are to be of; the instance controller freezes the volumes at one instant, after a clean shutdown of
 * the guest unless NoReboot, and the volume controller seals them.
 */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/block_devices.h"
#include "svc/ec2/image_names.h"
#include "svc/ec2/instances.h"
#include "svc/ec2/snapshots.h"
#include "base/banned.h"

static const char *const refused[] = { "SnapshotLocation", NULL };
static const char *const taggable[] = { "image", "snapshot", NULL };

struct creation {
	struct call *call;
	const struct ec2_CreateImageRequest *request;
	struct instance_record *instance;
	struct meta_rows volumes; /* attached to the instance */
	struct block_device_list devices;
	struct record_tag_list image_tags, snapshot_tags;
	const char *image_id;
};

static struct volume_record *find_volume(const struct creation *creation, const char *device)
{
	for (size_t i = 0; i < creation->volumes.count; i++) {
		struct volume_record *volume = creation->volumes.items[i];
		if (strcmp(volume->attachment->device, device) == 0)
			return volume;
	}
	return NULL;
}

/* The instance's volumes as mappings, onto which the request's are laid. */
static struct record_image_block_device_list describe_volumes(struct creation *creation)
{
	struct record_image_block_device_list list = { .set = true };
	for (size_t i = 0; i < creation->volumes.count; i++) {
		const struct volume_record *volume = creation->volumes.items[i];
		if (strcmp(volume->attachment->state, "detaching") == 0)
			continue;
		*ARENA_APPEND(creation->call->arena, list.items, list.count) =
			(struct record_image_block_device){
				.device = volume->attachment->device,
				.size_gib = volume->size_gib,
				.volume_type = volume->volume_type,
				.iops = volume->iops,
				.throughput = volume->throughput,
				.delete_on_termination = volume->attachment->delete_on_termination,
			};
	}
	return list;
}

static int check_device(
	struct creation *creation, struct record_image_block_device *device, struct error *err)
{
	struct snapshot_record *snapshot = NULL;
	const struct volume_record *volume = find_volume(creation, device->device);
	if (volume && device->snapshot)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The device %s holds volume %s, so its snapshot cannot be %s.", device->device,
			volume->record.id, device->snapshot);
	if (volume && device->size_gib.value < volume->size_gib.value)
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
			"Volume of size %lldGB is smaller than volume '%s' of device %s, expect size>= %lldGB",
			(long long)device->size_gib.value, volume->record.id, device->device,
			(long long)volume->size_gib.value);
	if (volume && boolean_or(device->encrypted, false) && !boolean_or(volume->encrypted, false))
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
			"the encrypted flag cannot be specified since device %s holds a volume, which is not encrypted.",
			device->device);
	if (device->snapshot && snapshot_find_usable(creation->call, device->snapshot, &snapshot, err))
		return -1;
	return block_device_complete(creation->call, device, snapshot, err);
}

static int prepare(struct creation *creation, struct error *err)
{
	struct call *call = creation->call;
	const struct ec2_CreateImageRequest *request = creation->request;
	if (ec2_refuse_members(call, request, refused, err) || image_check_name(request->name, err) ||
		instance_find(call, request->instance_id, &creation->instance, err))
		return -1;
	const char *state = creation->instance->state;
	if (strcmp(state, "running") != 0 && strcmp(state, "stopped") != 0 && strcmp(state, "stopping") != 0)
		return error_set(err, ERROR_INCORRECT_INSTANCE_STATE,
			"The instance '%s' is %s; an image can be created of a running or stopped instance.",
			request->instance_id, state);
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "instance",
		.value = creation->instance->record.id };
	if (meta_list(call->amid->meta, &record_volume, &query, call->arena, &creation->volumes, err))
		return -1;
	struct record_image_block_device_list base = describe_volumes(creation);
	if (block_devices_check_image(&request->block_device_mappings, err) ||
		block_devices_merge(call, &base, &request->block_device_mappings, &creation->devices, err))
		return -1;
	bool has_root = false;
	for (size_t i = 0; i < creation->devices.count; i++) {
		if (check_device(creation, &creation->devices.items[i], err))
			return -1;
		has_root |=
			text_equal(creation->devices.items[i].device, creation->instance->root_device_name);
	}
	if (!has_root)
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
			"The root device %s cannot be left out of the image.",
			creation->instance->root_device_name);
	return ec2_tags_from_specifications(
		       call, &request->tag_specifications, "image", taggable, &creation->image_tags, err) ||
			ec2_tags_from_specifications(call, &request->tag_specifications, "snapshot", taggable,
				&creation->snapshot_tags, err)
		? -1
		: 0;
}

/* A pending snapshot of the volume at `device`, without a layer: the instance controller adds that. */
static void put_snapshot(struct creation *creation, struct meta_batch *batch,
	struct record_image_block_device *device, const struct volume_record *volume)
{
	struct call *call = creation->call;
	struct snapshot_record snapshot = {
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "snap") },
		.state = "pending",
		.volume = volume->record.id,
		.volume_size_gib = volume->size_gib,
		.parent = volume->snapshot,
		.description = arena_printf(call->arena, "Created by CreateImage(%s) for %s",
			creation->instance->record.id, creation->image_id),
		.started = ec2_now(),
		.image = creation->image_id,
		.tags = creation->snapshot_tags,
	};
	snapshot_inherit_encryption(call, volume, &snapshot);
	device->snapshot = snapshot.record.id;
	device->encrypted = some_boolean(boolean_or(volume->encrypted, false));
	meta_batch_put(batch, &record_snapshot, &snapshot);
	meta_batch_expect(batch, &record_volume, volume);
}

static void put_image(struct creation *creation, struct meta_batch *batch)
{
	const struct instance_record *instance = creation->instance;
	struct record_image_capture capture = { .no_reboot = some_boolean(
							boolean_or(creation->request->no_reboot, false)),
		.requested = ec2_now() };
	struct image_record image = {
		.record = { .account = creation->call->account,
			.region = creation->call->region,
			.id = creation->image_id },
		.name = creation->request->name,
		.description = creation->request->description,
		.state = "pending",
		.architecture = instance->architecture,
		.virtualization_type = instance->virtualization_type,
		.root_device_name = instance->root_device_name,
		.root_device_type = instance->root_device_type,
		.boot_mode = instance->boot_mode,
		.platform = instance->platform,
		.ena_support = some_boolean(true),
		.created = ec2_now(),
		.source_instance = instance->record.id,
		.source_image = instance->image,
		.block_devices = { creation->devices.items, creation->devices.count, true },
		.capture = &capture,
		.tags = creation->image_tags,
	};
	meta_batch_put(batch, &record_image, &image);
}

int ec2_create_image(struct call *call, const struct ec2_CreateImageRequest *request,
	struct ec2_CreateImageResult *result, struct error *err)
{
	struct creation creation = {
		.call = call, .request = request, .image_id = text_random_id(call->arena, "ami")
	};
	if (prepare(&creation, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	/* those that the request names; the volumes' own are made below */
	if (snapshot_keep_all(call, creation.devices.items, creation.devices.count, batch, err))
		return -1;
	for (size_t i = 0; i < creation.devices.count; i++) {
		struct volume_record *volume = find_volume(&creation, creation.devices.items[i].device);
		if (volume)
			put_snapshot(&creation, batch, &creation.devices.items[i], volume);
	}
	put_image(&creation, batch);
	meta_batch_expect(batch, &record_instance, creation.instance);
	if (meta_commit(call->amid->meta, batch, err))
		return image_explain_duplicate(call, request->name, err);
	result->image_id = creation.image_id;
	return 0;
}
