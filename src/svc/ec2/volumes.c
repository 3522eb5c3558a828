/*
 * Volumes: look-up, CreateVolume, DeleteVolume, AttachVolume, DetachVolume. A volume made from a snapshot refers to the snapshot's tree: it can be used at once. The handlers write what is wanted; the volume
 * controller makes and removes the folder, the instance controller plugs and unplugs.
 */
#include "svc/ec2/volumes.h"

#include <string.h>

#include "aws/idempotency.h"
#include "svc/ec2/encryption.h"
#include "svc/ec2/instances.h"
#include "svc/ec2/snapshots.h"
#include "svc/instance_types.h"
#include "svc/volume_types.h"
#include "base/banned.h"

static const char *const taggable[] = { "volume", NULL };

int volume_find(struct call *call, const char *id, struct volume_record **volume, struct error *err)
{
	if (ec2_check_id(id, "vol", ERROR_VOLUME_ID_MALFORMED, err) ||
		EC2_GET(call, record_volume, id, volume, err))
		return -1;
	if (!*volume)
		return error_set(err, ERROR_VOLUME_NOT_FOUND, "The volume '%s' does not exist.", id);
	return 0;
}

static void attachment_result(const struct volume_record *volume, struct ec2_VolumeAttachment *result)
{
	*result = (struct ec2_VolumeAttachment){ .volume_id = volume->record.id,
		.instance_id = volume->attachment->instance,
		.device = volume->attachment->device,
		.state = volume->attachment->state,
		.attach_time = volume->attachment->attached,
		.delete_on_termination =
			some_boolean(boolean_or(volume->attachment->delete_on_termination, false)) };
}

/* "For gp2 volumes, this represents the baseline performance." */
static struct shape_integer shown_iops(const struct volume_record *volume)
{
	if (strcmp(volume->volume_type, "gp2") != 0)
		return volume->iops;
	return some_integer(volume_type_performance(
		volume->volume_type, volume->size_gib.value, volume->iops, volume->throughput)
				    .iops);
}

void volume_result(struct call *call, const struct volume_record *volume, struct ec2_Volume *result)
{
	*result = (struct ec2_Volume){ .volume_id = volume->record.id,
		.size = volume->size_gib,
		.snapshot_id = text_or(volume->snapshot, ""),
		.availability_zone = volume->zone,
		.state = volume->state,
		.create_time = volume->created,
		.iops = shown_iops(volume),
		.throughput = volume->throughput,
		.volume_type = volume->volume_type,
		.tags = ec2_tags_result(call, &volume->tags),
		.encrypted = some_boolean(boolean_or(volume->encrypted, false)),
		.kms_key_id = volume->kms_key,
		.sse_type = boolean_or(volume->encrypted, false) ? "sse-kms" : "none",
		.multi_attach_enabled = some_boolean(boolean_or(volume->multi_attach, false)),
		.attachments = { .set = true } };
	if (volume->attachment)
		attachment_result(volume,
			ARENA_APPEND(call->arena, result->attachments.items, result->attachments.count));
}

static int refuse_true(const char *name, struct shape_boolean value, struct error *err)
{
	return boolean_or(value, false) ? error_set(err, ERROR_UNSUPPORTED_OPERATION,
						  "The parameter %s is not supported by amid.", name)
					: 0;
}

static int check_create(struct call *call, const struct ec2_CreateVolumeRequest *request,
	struct volume_record *volume, struct snapshot_record **snapshot, struct error *err)
{
	static const char *const refused[] = { "AvailabilityZoneId", "OutpostArn", "VolumeInitializationRate",
		"Operator", NULL };
	if (ec2_refuse_members(call, request, refused, err) ||
		refuse_true("MultiAttachEnabled", request->multi_attach_enabled, err))
		return -1;
	if (!request->availability_zone)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter AvailabilityZone");
	if (!amid_is_zone(amid_find_region(call->amid, call->region), request->availability_zone))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter availabilityZone is invalid.", request->availability_zone);
	if (!request->size.set && !request->snapshot_id)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter size or snapshotId");
	*snapshot = NULL;
	if (request->snapshot_id && snapshot_find_usable(call, request->snapshot_id, snapshot, err))
		return -1;
	volume->size_gib = request->size.set ? request->size : (*snapshot)->volume_size_gib;
	if (*snapshot && volume->size_gib.value < (*snapshot)->volume_size_gib.value)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The specified volume size of %lldGiB is smaller than the snapshot size of %lldGiB.",
			(long long)volume->size_gib.value, (long long)(*snapshot)->volume_size_gib.value);
	volume->volume_type = text_or(request->volume_type, "gp2");
	volume->iops = request->iops;
	volume->throughput = request->throughput;
	return volume_type_check(
		volume->volume_type, volume->size_gib.value, &volume->iops, &volume->throughput, err);
}

static int describe_made(struct call *call, const char *id, struct ec2_Volume *result, struct error *err)
{
	struct volume_record *volume;
	if (volume_find(call, id, &volume, err))
		return -1;
	volume_result(call, volume, result);
	return 0;
}

static int encrypt(struct call *call, const struct ec2_CreateVolumeRequest *request,
	const struct snapshot_record *snapshot, struct encryption_twins *twins, struct volume_record *volume,
	struct error *err)
{
	struct encryption encryption;
	struct volume_origin origin;
	return encryption_choose(call, request->encrypted, request->kms_key_id, snapshot, &encryption, err) ||
			encryption_find_origin(call, &encryption, snapshot, twins, &origin, err) ||
			encryption_apply(call, &origin, volume, err)
		? -1
		: 0;
}

int ec2_create_volume(struct call *call, const struct ec2_CreateVolumeRequest *request,
	struct ec2_Volume *result, struct error *err)
{
	struct idempotency idempotency;
	struct snapshot_record *snapshot;
	struct encryption_twins twins = { 0 };
	struct volume_record volume = { .record = { .account = call->account,
						.region = call->region,
						.id = text_random_id(call->arena, "vol") } };
	if (idempotency_begin(call, call->amid->meta, request, ERROR_IDEMPOTENT_MISMATCH, &idempotency, err))
		return -1;
	if (idempotency.done)
		return describe_made(call, idempotency.resource_ids[0], result, err);
	if (check_create(call, request, &volume, &snapshot, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "volume", taggable, &volume.tags, err))
		return -1;
	volume.state = "creating";
	volume.zone = request->availability_zone;
	volume.created = ec2_now();
	volume.snapshot = request->snapshot_id;
	if (encrypt(call, request, snapshot, &twins, &volume, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	encryption_put_twins(&twins, batch);
	if (snapshot)
		meta_batch_expect(batch, &record_snapshot, snapshot);
	meta_batch_put(batch, &record_volume, &volume);
	idempotency_record(&idempotency, batch, &volume.record.id, 1);
	if (idempotency_commit(&idempotency, batch, err)) {
		if (err->code == ERROR_DUPLICATE && twins.count)
			err->code =
				ERROR_CONFLICT; /* another call has just made the twin: wait for that one */
		return -1;
	}
	volume_result(call, &volume, result);
	result->sse_type = NULL; /* not of CreateVolume */
	return 0;
}

int ec2_delete_volume(struct call *call, const struct ec2_DeleteVolumeRequest *request,
	struct ec2_DeleteVolumeResult *result, struct error *err)
{
	struct volume_record *volume;
	if (volume_find(call, request->volume_id, &volume, err))
		return -1;
	if (volume->attachment)
		return error_set(err, ERROR_VOLUME_IN_USE, "Volume %s is currently attached to %s",
			request->volume_id, volume->attachment->instance);
	if (strcmp(volume->state, "deleting") == 0)
		return 0;
	if (strcmp(volume->state, "available") != 0 && strcmp(volume->state, "error") != 0)
		return error_set(err, ERROR_INCORRECT_STATE, "The volume '%s' is %s and cannot be deleted.",
			request->volume_id, volume->state);
	volume->state = "deleting";
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_volume, volume);
	return meta_commit(call->amid->meta, batch, err);
}

static int check_device(
	struct call *call, const struct instance_record *instance, const char *device, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "instance",
		.value = instance->record.id };
	const char *name = text_starts_with(device, "/dev/") ? device + 5 : device;
	if (!*name || strlen(name) > 31 ||
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(name))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter device is invalid. %s is not a valid EBS device name.",
			device, device);
	if (meta_list(call->amid->meta, &record_volume, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (text_equal(((struct volume_record *)rows.items[i])->attachment->device, device))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Invalid value '%s' for unixDevice. Attachment point %s is already in use",
				device, device);
	const struct instance_type *type = instance_type_find(instance->instance_type);
	if (type && rows.count >= type->max_volumes)
		return error_set(err, ERROR_VOLUME_LIMIT,
			"The instance '%s' has %zu volumes, the most that %s takes.", instance->record.id,
			rows.count, type->name);
	return 0;
}

int ec2_attach_volume(struct call *call, const struct ec2_AttachVolumeRequest *request,
	struct ec2_VolumeAttachment *result, struct error *err)
{
	static const char *const refused[] = { "EbsCardIndex", NULL };
	struct volume_record *volume;
	struct instance_record *instance;
	if (ec2_refuse_members(call, request, refused, err) ||
		volume_find(call, request->volume_id, &volume, err) ||
		instance_find(call, request->instance_id, &instance, err))
		return -1;
	if (volume->attachment)
		return error_set(err, ERROR_VOLUME_IN_USE, "%s is already attached to an instance",
			request->volume_id);
	if (strcmp(volume->state, "available") != 0)
		return error_set(err, ERROR_INCORRECT_STATE, "%s is not 'available' (%s).",
			request->volume_id, volume->state);
	if (strcmp(instance->state, "running") != 0 && strcmp(instance->state, "stopped") != 0)
		return error_set(err, ERROR_INCORRECT_STATE,
			"Instance '%s' is not 'running' or 'stopped' (%s).", request->instance_id,
			instance->state);
	if (strcmp(volume->zone, instance->zone) != 0)
		return error_set(err, ERROR_VOLUME_ZONE_MISMATCH,
			"The volume '%s' is not in the same availability zone as instance '%s'",
			request->volume_id, request->instance_id);
	if (check_device(call, instance, request->device, err))
		return -1;
	struct record_volume_attachment attachment = { .instance = instance->record.id,
		.device = request->device,
		.state = "attaching",
		.attached = ec2_now(),
		.delete_on_termination = some_boolean(false) };
	volume->state = "in-use";
	volume->attachment = &attachment;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	/* put, not expected: of two calls for the same device, or the last free slot, one is run again and sees the other's volume */
	meta_batch_put(batch, &record_instance, instance);
	meta_batch_put(batch, &record_volume, volume);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	attachment_result(volume, result);
	return 0;
}

static int check_detach(struct call *call, const struct ec2_DetachVolumeRequest *request,
	const struct volume_record *volume, struct error *err)
{
	if (!volume->attachment)
		return error_set(err, ERROR_INCORRECT_STATE, "Volume '%s' is in the 'available' state.",
			request->volume_id);
	if ((request->instance_id && strcmp(request->instance_id, volume->attachment->instance) != 0) ||
		(request->device && strcmp(request->device, volume->attachment->device) != 0))
		return error_set(err, ERROR_ATTACHMENT_NOT_FOUND,
			"The volume '%s' is not attached to %s as %s.", request->volume_id,
			text_or(request->instance_id, volume->attachment->instance),
			text_or(request->device, volume->attachment->device));
	struct instance_record *instance;
	if (instance_find(call, volume->attachment->instance, &instance, err))
		return -1;
	if (strcmp(instance->state, "stopped") != 0 &&
		text_equal(volume->attachment->device, instance->root_device_name))
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"Unable to detach root volume '%s' from instance '%s'", request->volume_id,
			instance->record.id);
	return 0;
}

int ec2_detach_volume(struct call *call, const struct ec2_DetachVolumeRequest *request,
	struct ec2_VolumeAttachment *result, struct error *err)
{
	struct volume_record *volume;
	if (refuse_true("Force", request->force, err) ||
		volume_find(call, request->volume_id, &volume, err) ||
		check_detach(call, request, volume, err))
		return -1;
	if (strcmp(volume->attachment->state, "detaching") != 0) {
		volume->attachment->state = "detaching";
		struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
		meta_batch_put(batch, &record_volume, volume);
		if (meta_commit(call->amid->meta, batch, err))
			return -1;
	}
	attachment_result(volume, result);
	return 0;
}
