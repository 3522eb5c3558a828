/* Block device mappings. Owns nothing; runs on the thread of the call. */
#include "svc/ec2/block_devices.h"

#include <stdlib.h>
#include <string.h>

#include "svc/volume_types.h"
#include "base/banned.h"

static struct record_image_block_device *find_device(struct block_device_list *list, const char *device)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].device, device) == 0)
			return &list->items[i];
	return NULL;
}

static void remove_device(struct block_device_list *list, const char *device)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].device, device) != 0)
			list->items[kept++] = list->items[i];
	list->count = kept;
}

static int check_device_name(const char *device, struct error *err)
{
	if (!device)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter DeviceName of each BlockDeviceMapping.");
	const char *name = text_starts_with(device, "/dev/") ? device + 5 : device;
	size_t size = strlen(name);
	if (!size || size > 31 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != size)
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING, "Invalid device name %s", device);
	return 0;
}

static int refuse_unknown(const char *device, const struct ec2_EbsBlockDevice *ebs, struct error *err)
{
	const char *name = ebs->outpost_arn           ? "OutpostArn"
		: ebs->volume_initialization_rate.set ? "VolumeInitializationRate"
		: ebs->ebs_card_index.set             ? "EbsCardIndex"
		: ebs->availability_zone              ? "AvailabilityZone"
		: ebs->availability_zone_id           ? "AvailabilityZoneId"
						      : NULL;
	return name ? error_set(err, ERROR_UNSUPPORTED_OPERATION,
			      "The parameter Ebs.%s (device %s) is not supported by amid.", name, device)
		    : 0;
}

static void change_device(struct record_image_block_device *device, const struct ec2_EbsBlockDevice *ebs)
{
	if (ebs->snapshot_id)
		device->snapshot = ebs->snapshot_id;
	if (ebs->volume_size.set)
		device->size_gib = ebs->volume_size;
	if (ebs->volume_type) {
		if (!device->volume_type || strcmp(device->volume_type, ebs->volume_type) != 0)
			device->iops.set = device->throughput.set =
				false; /* another type's do not carry over */
		device->volume_type = ebs->volume_type;
	}
	if (ebs->iops.set)
		device->iops = ebs->iops;
	if (ebs->throughput.set)
		device->throughput = ebs->throughput;
	if (ebs->delete_on_termination.set)
		device->delete_on_termination = ebs->delete_on_termination;
	if (ebs->encrypted.set)
		device->encrypted = ebs->encrypted;
	if (ebs->kms_key_id)
		device->kms_key = ebs->kms_key_id;
}

static int merge_one(struct call *call, const struct ec2_BlockDeviceMapping *mapping,
	struct block_device_list *list, struct error *err)
{
	if (check_device_name(mapping->device_name, err))
		return -1;
	if (mapping->no_device) {
		remove_device(list, mapping->device_name);
		return 0;
	}
	if (mapping->virtual_name)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The parameter VirtualName (%s of device %s) is not supported: amid has no instance store volumes yet.",
			mapping->virtual_name, mapping->device_name);
	if (!mapping->ebs)
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
			"The mapping of device %s has neither Ebs nor NoDevice.", mapping->device_name);
	if (refuse_unknown(mapping->device_name, mapping->ebs, err))
		return -1;
	if (mapping->ebs->kms_key_id && !boolean_or(mapping->ebs->encrypted, false))
		return error_set(err, ERROR_PARAMETER_DEPENDENCY,
			"The parameter KmsKeyId requires the parameter Encrypted to be set.");
	struct record_image_block_device *device = find_device(list, mapping->device_name);
	if (!device) {
		if (!mapping->ebs->snapshot_id && !mapping->ebs->volume_size.set)
			return error_set(err, ERROR_MISSING_PARAMETER,
				"The request must contain the parameter size or snapshotId for device %s.",
				mapping->device_name);
		device = ARENA_APPEND(call->arena, list->items, list->count);
		device->device = mapping->device_name;
		device->delete_on_termination = some_boolean(true);
	}
	change_device(device, mapping->ebs);
	return 0;
}

int block_devices_merge(struct call *call, const struct record_image_block_device_list *base,
	const struct ec2_BlockDeviceMappingRequestList *request, struct block_device_list *result,
	struct error *err)
{
	*result = (struct block_device_list){ 0 };
	for (size_t i = 0; base && i < base->count; i++)
		*ARENA_APPEND(call->arena, result->items, result->count) = base->items[i];
	for (size_t i = 0; i < request->count; i++) {
		for (size_t j = 0; j < i; j++)
			if (text_equal(request->items[i].device_name, request->items[j].device_name) &&
				request->items[i].device_name)
				return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
					"The device %s is used in more than one block device mapping.",
					request->items[i].device_name);
		if (merge_one(call, &request->items[i], result, err))
			return -1;
	}
	return 0;
}

int block_devices_check_image(const struct ec2_BlockDeviceMappingRequestList *request, struct error *err)
{
	for (size_t i = 0; i < request->count; i++) {
		const struct ec2_EbsBlockDevice *ebs = request->items[i].ebs;
		if (ebs && ebs->kms_key_id)
			return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
				"The parameter KmsKeyId (device %s) is not supported for the block devices of an image.",
				text_or(request->items[i].device_name, ""));
		if (ebs && ebs->snapshot_id && ebs->encrypted.set)
			return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
				"the encrypted flag cannot be specified since device %s has a snapshot specified.",
				text_or(request->items[i].device_name, ""));
	}
	return 0;
}

int block_device_complete(struct call *call, struct record_image_block_device *device,
	const struct snapshot_record *snapshot, struct error *err)
{
	if (!device->volume_type)
		device->volume_type = "gp3";
	if (!device->size_gib.set && snapshot)
		device->size_gib = snapshot->volume_size_gib;
	if (snapshot && device->size_gib.value < snapshot->volume_size_gib.value)
		return error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
			"Volume of size %lldGB is smaller than snapshot '%s', expect size>= %lldGB",
			(long long)device->size_gib.value, snapshot->record.id,
			(long long)snapshot->volume_size_gib.value);
	if (!device->delete_on_termination.set)
		device->delete_on_termination = some_boolean(true);
	device->encrypted = some_boolean(
		boolean_or(device->encrypted, false) || (snapshot && boolean_or(snapshot->encrypted, false)));
	return volume_type_check(
		device->volume_type, device->size_gib.value, &device->iops, &device->throughput, err);
}

struct ec2_BlockDeviceMappingList block_devices_result(
	struct call *call, const struct record_image_block_device_list *devices)
{
	struct ec2_BlockDeviceMappingList list = { .set = true };
	for (size_t i = 0; i < devices->count; i++) {
		const struct record_image_block_device *device = &devices->items[i];
		struct ec2_EbsBlockDevice *ebs = arena_alloc(call->arena, sizeof *ebs);
		*ebs = (struct ec2_EbsBlockDevice){
			.delete_on_termination = device->delete_on_termination,
			.iops = device->iops,
			.snapshot_id = device->snapshot,
			.volume_size = device->size_gib,
			.volume_type = device->volume_type,
			.throughput = device->throughput,
			.encrypted = some_boolean(boolean_or(device->encrypted, false)),
		};
		*ARENA_APPEND(call->arena, list.items, list.count) =
			(struct ec2_BlockDeviceMapping){ .device_name = device->device, .ebs = ebs };
	}
	return list;
}
