/*
 * DescribeVolumeStatus, EnableVolumeIO, DescribeVolumeAttribute, ModifyVolumeAttribute.
 *
 * A volume is impaired when reading, writing or sealing it has met damage or an I/O error: whoever met it has left a note in the volume's folder (volume_note_fault), which is what is looked at here. Its message names places of the host, so it is the operator's to read. Amid withholds the bytes that
 * are damaged, and no others: I/O elsewhere goes on. So EnableVolumeIO, or AutoEnableIO, takes note of the event; the next fault is another one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "svc/ec2/describe.h"
#include "svc/ec2/volumes.h"
#include "base/banned.h"

static const char event_type[] = "potential-data-inconsistency";

static const char *volume_folder(struct call *call, const struct volume_record *volume)
{
	return amid_volume_paths(
		call->amid, amid_find_region(call->amid, call->region), volume->record.id, call->arena)
		.volume_folder;
}

static void add_detail(
	struct call *call, struct ec2_VolumeStatusInfo *info, const char *name, const char *status)
{
	*ARENA_APPEND(call->arena, info->details.items, info->details.count) =
		(struct ec2_VolumeStatusDetails){ .name = name, .status = status };
	info->details.set = true;
}

static void add_event(struct call *call, struct ec2_VolumeStatusItem *item, const struct volume_fault *fault,
	const struct volume_record *volume, bool enabled)
{
	const char *event_id = arena_printf(call->arena, "evol-%016" PRIx64, (uint64_t)fault->noted_ms);
	*ARENA_APPEND(call->arena, item->events.items, item->events.count) = (struct ec2_VolumeStatusEvent){
		.event_id = event_id,
		.event_type = event_type,
		.description =
			"Damaged data or an I/O error was met: what the volume holds may be inconsistent",
		.not_before = some_timestamp(fault->noted_ms),
		.instance_id = volume->attachment ? volume->attachment->instance : NULL,
	};
	if (enabled)
		return;
	*ARENA_APPEND(call->arena, item->actions.items, item->actions.count) =
		(struct ec2_VolumeStatusAction){ .code = "enable-volume-io",
			.description = "Enable volume I/O",
			.event_id = event_id,
			.event_type = event_type };
}

static int status_result(struct call *call, const struct volume_record *volume,
	struct ec2_VolumeStatusItem *item, struct error *err)
{
	struct volume_fault fault;
	bool faulty, enabled = boolean_or(volume->auto_enable_io, false);
	bool unknown = strcmp(volume->state, "creating") == 0 || strcmp(volume->state, "error") == 0;
	struct ec2_VolumeStatusInfo *info = arena_alloc(call->arena, sizeof *info);
	if (volume_find_fault(volume_folder(call, volume), &fault, &faulty, err))
		return -1;
	*item = (struct ec2_VolumeStatusItem){ .volume_id = volume->record.id,
		.availability_zone = volume->zone,
		.volume_status = info,
		.events = { .set = true },
		.actions = { .set = true },
		.attachment_statuses = { .set = true } };
	*info = (struct ec2_VolumeStatusInfo){
		.status = unknown            ? "insufficient-data"
			: faulty && !enabled ? "impaired"
					     : "ok",
	};
	add_detail(call, info, "io-enabled",
		unknown                      ? "insufficient-data"
			: faulty && !enabled ? "failed"
					     : "passed");
	add_detail(call, info, "io-performance", "not-applicable");
	/* a volume made from a snapshot refers to it: there is nothing to be filled in first */
	add_detail(call, info, "initialization-state", unknown ? "insufficient-data" : "completed");
	if (faulty)
		add_event(call, item, &fault, volume, enabled);
	if (volume->attachment)
		*ARENA_APPEND(call->arena, item->attachment_statuses.items, item->attachment_statuses.count) =
			(struct ec2_VolumeStatusAttachmentStatus){ .instance_id =
									   volume->attachment->instance,
				.io_performance = "not-applicable" };
	return 0;
}

static const struct describe_kind statuses = {
	.shape = &ec2_shape_VolumeStatusItem,
	.key = "VolumeId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "action.code", "Actions.Code" },
			{ "action.description", "Actions.Description" },
			{ "action.event-id", "Actions.EventId" },
			{ "availability-zone", "AvailabilityZone" },
			{ "availability-zone-id", "AvailabilityZoneId" },
			{ "event.description", "Events.Description" },
			{ "event.event-id", "Events.EventId" },
			{ "event.event-type", "Events.EventType" },
			{ "event.not-after", "Events.NotAfter" },
			{ "event.not-before", "Events.NotBefore" },
			{ "operator.managed", "Operator.Managed" },
			{ "operator.principal", "Operator.Principal" },
			{ "volume-status.details-name", "VolumeStatus.Details.Name" },
			{ "volume-status.details-status", "VolumeStatus.Details.Status" },
			{ "volume-status.status", "VolumeStatus.Status" },
			{ NULL },
		},
};

int ec2_describe_volume_status(struct call *call, const struct ec2_DescribeVolumeStatusRequest *request,
	struct ec2_DescribeVolumeStatusResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows;
	if (volume_list(call, &request->volume_ids, request->max_results, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (status_result(call, rows.items[i],
			    ARENA_APPEND(call->arena, result->volume_statuses.items,
				    result->volume_statuses.count),
			    err))
			return -1;
	return describe_finish(call, &statuses, &request->filters, &page, &result->volume_statuses, err);
}

/* Can be repeated: a note that is gone stays gone. */
int ec2_enable_volume_io(struct call *call, const struct ec2_EnableVolumeIORequest *request,
	struct ec2_EnableVolumeIOResult *result, struct error *err)
{
	struct volume_record *volume;
	return volume_find(call, request->volume_id, &volume, err)
		? -1
		: volume_forget_fault(volume_folder(call, volume), err);
}

int ec2_describe_volume_attribute(struct call *call, const struct ec2_DescribeVolumeAttributeRequest *request,
	struct ec2_DescribeVolumeAttributeResult *result, struct error *err)
{
	struct volume_record *volume;
	if (volume_find(call, request->volume_id, &volume, err))
		return -1;
	result->volume_id = volume->record.id;
	if (strcmp(request->attribute, "productCodes") == 0) {
		result->product_codes.set = true;
		return 0;
	}
	result->auto_enable_io = arena_alloc(call->arena, sizeof *result->auto_enable_io);
	result->auto_enable_io->value = some_boolean(boolean_or(volume->auto_enable_io, false));
	return 0;
}

int ec2_modify_volume_attribute(struct call *call, const struct ec2_ModifyVolumeAttributeRequest *request,
	struct ec2_ModifyVolumeAttributeResult *result, struct error *err)
{
	struct volume_record *volume;
	if (volume_find(call, request->volume_id, &volume, err))
		return -1;
	if (!request->auto_enable_io || !request->auto_enable_io->value.set)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter AutoEnableIO");
	volume->auto_enable_io = request->auto_enable_io->value;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_volume, volume);
	return meta_commit(call->amid->meta, batch, err);
}
