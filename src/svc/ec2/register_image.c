/* RegisterImage: an image from snapshots that are there. */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/block_devices.h"
#include "svc/ec2/image_names.h"
#include "svc/ec2/images.h"
#include "svc/ec2/snapshots.h"
#include "base/banned.h"

static const char *const refused[] = { "BillingProducts", "KernelId", "RamdiskId", "UefiData", "TpmSupport",
	NULL };
static const char *const taggable[] = { "image", "snapshot", NULL };

static int complete_devices(
	struct call *call, struct block_device_list *devices, const char *root_device_name, struct error *err)
{
	bool has_root = false;
	for (size_t i = 0; i < devices->count; i++) {
		struct record_image_block_device *device = &devices->items[i];
		struct snapshot_record *snapshot = NULL;
		if (device->snapshot && snapshot_find_usable(call, device->snapshot, &snapshot, err))
			return -1;
		if (block_device_complete(call, device, snapshot, err))
			return -1;
		has_root |= snapshot && strcmp(device->device, root_device_name) == 0;
	}
	return has_root ? 0
			: error_set(err, ERROR_BLOCK_DEVICE_MAPPING,
				  "The root device %s is not mapped to a snapshot.", root_device_name);
}

static int check_attributes(const struct ec2_RegisterImageRequest *request, struct error *err)
{
	if (request->image_location)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The parameter ImageLocation is not supported: amid registers EBS-backed images, from snapshots.");
	if (!request->name)
		return error_set(err, ERROR_MISSING_PARAMETER, "The request must contain the parameter name");
	if (!request->root_device_name)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter rootDeviceName");
	if (!request->block_device_mappings.count)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter blockDeviceMapping");
	if (request->virtualization_type && strcmp(request->virtualization_type, "hvm") != 0 &&
		strcmp(request->virtualization_type, "paravirtual") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter virtualizationType is invalid.",
			request->virtualization_type);
	if (request->sriov_net_support && strcmp(request->sriov_net_support, "simple") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter sriovNetSupport is invalid.", request->sriov_net_support);
	return image_check_name(request->name, err);
}

int ec2_register_image(struct call *call, const struct ec2_RegisterImageRequest *request,
	struct ec2_RegisterImageResult *result, struct error *err)
{
	struct block_device_list devices;
	struct record_tag_list tags = { 0 };
	if (ec2_refuse_members(call, request, refused, err) || check_attributes(request, err) ||
		block_devices_check_image(&request->block_device_mappings, err) ||
		block_devices_merge(call, NULL, &request->block_device_mappings, &devices, err) ||
		complete_devices(call, &devices, request->root_device_name, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "image", taggable, &tags, err))
		return -1;
	struct image_record image = {
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "ami") },
		.name = request->name,
		.description = request->description,
		.state = "available",
		.architecture = text_or(request->architecture, "i386"),
		.virtualization_type = text_or(request->virtualization_type, "paravirtual"),
		.root_device_name = request->root_device_name,
		.root_device_type = "ebs",
		.boot_mode = request->boot_mode,
		.ena_support = request->ena_support,
		.sriov_net_support = request->sriov_net_support,
		.imds_support = request->imds_support,
		.created = ec2_now(),
		.block_devices = { devices.items, devices.count, true },
		.tags = tags,
	};
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_image, &image);
	if (snapshot_keep_all(call, devices.items, devices.count, batch, err))
		return -1;
	if (meta_commit(call->amid->meta, batch, err))
		return image_explain_duplicate(call, request->name, err);
	result->image_id = image.record.id;
	return 0;
}
