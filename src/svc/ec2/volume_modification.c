/*
 * ModifyVolume and DescribeVolumesModifications. The handler checks and writes what is wanted into the volume's record; src/svc/control/modification.c brings it about. A volume remembers its newest modification only, as
 * DescribeVolumesModifications shows it.
 */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/describe.h"
#include "svc/ec2/volumes.h"
#include "svc/volume_types.h"
#include "base/banned.h"

/* "Wait at least six hours between modifications": by the clock that the operator may move. */
enum { MODIFICATION_PAUSE_MS = 6 * 3600 * 1000 };

static void modification_result(const struct volume_record *volume, struct ec2_VolumeModification *result)
{
	const struct record_volume_modification *modification = volume->modification;
	bool modifying = strcmp(modification->state, "modifying") == 0;
	bool completed = strcmp(modification->state, "completed") == 0;
	*result = (struct ec2_VolumeModification){ .volume_id = volume->record.id,
		.modification_state = modification->state,
		.status_message = modification->status_message,
		.target_size = modification->size_gib,
		.target_volume_type = modification->volume_type,
		.target_iops = modification->iops,
		.target_throughput = modification->throughput,
		.target_multi_attach_enabled = some_boolean(boolean_or(volume->multi_attach, false)),
		.original_size = modification->original_size_gib,
		.original_volume_type = modification->original_volume_type,
		.original_iops = modification->original_iops,
		.original_throughput = modification->original_throughput,
		.original_multi_attach_enabled = some_boolean(boolean_or(volume->multi_attach, false)),
		/* two steps: the volume itself, then its guest */
		.progress = some_integer(completed ? 100
				: modifying        ? 0
						   : 50),
		.start_time = modification->started,
		.end_time = modification->ended };
}

static int check_state(const struct volume_record *volume, struct error *err)
{
	const struct record_volume_modification *before = volume->modification;
	if (strcmp(volume->state, "available") != 0 && strcmp(volume->state, "in-use") != 0)
		return error_set(err, ERROR_INCORRECT_STATE,
			"The volume '%s' is %s; it must be available or in-use to be modified.",
			volume->record.id, volume->state);
	if (!before || strcmp(before->state, "failed") == 0)
		return 0;
	if (strcmp(before->state, "completed") != 0)
		return error_set(err, ERROR_MODIFICATION_STATE,
			"Volume %s cannot be modified in modification state %s", volume->record.id,
			strcmp(before->state, "modifying") == 0 ? "MODIFYING" : "OPTIMIZING");
	if (clock_now_ms() < before->started.ms + MODIFICATION_PAUSE_MS)
		return error_set(err, ERROR_MODIFICATION_RATE,
			"You've reached the maximum modification rate per volume limit. Wait at least 6 hours between modifications per EBS volume.");
	return 0;
}

/* What a volume of a type without these was promised, for a gp2 volume that becomes gp3: the new one is at least as fast. */
static void carry_over_gp2(const struct volume_record *volume, struct record_volume_modification *target)
{
	struct shape_integer none = { 0 };
	struct volume_performance old = volume_type_performance("gp2", volume->size_gib.value, none, none);
	int64_t throughput = volume->size_gib.value <= 170 ? 128 : 250;
	if (!target->iops.set && old.iops > 3000)
		target->iops = some_integer(old.iops);
	if (!target->throughput.set && throughput > 128)
		target->throughput = some_integer(throughput);
}

/* The target: what the request names, else what the volume has, as far as the type takes it. */
static int choose_target(const struct ec2_ModifyVolumeRequest *request, const struct volume_record *volume,
	struct record_volume_modification *target, struct error *err)
{
	const char *type = text_or(request->volume_type, volume->volume_type);
	*target = (struct record_volume_modification){ .state = "modifying",
		.started = ec2_now(),
		.size_gib = request->size.set ? request->size : volume->size_gib,
		.volume_type = type,
		.iops = request->iops,
		.throughput = request->throughput,
		.original_size_gib = volume->size_gib,
		.original_volume_type = volume->volume_type,
		.original_iops = volume->iops,
		.original_throughput = volume->throughput };
	if (target->size_gib.value < volume->size_gib.value)
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "New size cannot be smaller than existing size");
	if (!target->iops.set && volume_type_takes_iops(type))
		target->iops = volume->iops;
	if (!target->throughput.set && volume_type_takes_throughput(type))
		target->throughput = volume->throughput;
	if (strcmp(type, "gp3") == 0 && strcmp(volume->volume_type, "gp2") == 0)
		carry_over_gp2(volume, target);
	/* an io1 volume of 100 IOPS that becomes gp3 gets gp3's baseline */
	if (strcmp(type, "gp3") == 0 && !request->iops.set && target->iops.set && target->iops.value < 3000)
		target->iops.set = false;
	return volume_type_check(type, target->size_gib.value, &target->iops, &target->throughput, err);
}

int ec2_modify_volume(struct call *call, const struct ec2_ModifyVolumeRequest *request,
	struct ec2_ModifyVolumeResult *result, struct error *err)
{
	struct volume_record *volume;
	struct record_volume_modification target;
	if (volume_find(call, request->volume_id, &volume, err))
		return -1;
	if (boolean_or(request->multi_attach_enabled, false))
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The parameter MultiAttachEnabled is not supported by amid.");
	if (!request->size.set && !request->volume_type && !request->iops.set && !request->throughput.set)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain at least one of the parameters Size, VolumeType, Iops and Throughput");
	if (check_state(volume, err) || choose_target(request, volume, &target, err))
		return -1;
	volume->modification = &target;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_volume, volume);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	result->volume_modification = arena_alloc(call->arena, sizeof *result->volume_modification);
	volume->modification = arena_alloc(call->arena, sizeof target);
	*volume->modification = target;
	modification_result(volume, result->volume_modification);
	return 0;
}

static const struct describe_kind modifications = {
	.shape = &ec2_shape_VolumeModification,
	.key = "VolumeId",
	.page_rules = { .min = 1, .max = 500 },
	.filters =
		(const struct describe_filter[]){
			{ "modification-state", "ModificationState" },
			{ "original-iops", "OriginalIops" },
			{ "original-size", "OriginalSize" },
			{ "original-volume-type", "OriginalVolumeType" },
			{ "originalMultiAttachEnabled", "OriginalMultiAttachEnabled" },
			{ "start-time", "StartTime" },
			{ "target-iops", "TargetIops" },
			{ "target-size", "TargetSize" },
			{ "target-volume-type", "TargetVolumeType" },
			{ "targetMultiAttachEnabled", "TargetMultiAttachEnabled" },
			{ "volume-id", "VolumeId" },
			{ NULL },
		},
};

int ec2_describe_volumes_modifications(struct call *call,
	const struct ec2_DescribeVolumesModificationsRequest *request,
	struct ec2_DescribeVolumesModificationsResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows;
	if (volume_list(call, &request->volume_ids, request->max_results, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct volume_record *volume = rows.items[i];
		if (volume->modification)
			modification_result(volume,
				ARENA_APPEND(call->arena, result->volumes_modifications.items,
					result->volumes_modifications.count));
		else if (request->volume_ids.count)
			return error_set(err, ERROR_MODIFICATION_NOT_FOUND,
				"Modification for volume '%s' does not exist.", volume->record.id);
	}
	return describe_finish(
		call, &modifications, &request->filters, &page, &result->volumes_modifications, err);
}
