/*
 * CreateReplaceRootVolumeTask and DescribeReplaceRootVolumeTasks. The handler decides what the new root volume is made of and records the task; src/svc/control/root_replacement.c brings the instance down, puts the volume in the
 * place of the old one and starts it again. What is on the old volume stays there, and the instance keeps everything else: addresses, metadata, other volumes, its image id.
 */
#include <string.h>

#include "aws/idempotency.h"
#include "svc/ec2/describe.h"
#include "svc/ec2/encryption.h"
#include "svc/ec2/images.h"
#include "svc/ec2/instances.h"
#include "svc/ec2/snapshots.h"
#include "svc/key_ring.h"
#include "base/banned.h"

static const char *const taggable[] = { "replace-root-volume-task", NULL };

struct replacement {
	struct call *call;
	const struct ec2_CreateReplaceRootVolumeTaskRequest *request;
	struct instance_record *instance;
	struct volume_record *root;
	struct meta_rows tasks;           /* all of the instance */
	struct snapshot_record *snapshot; /* NULL: the launch state, which needs no snapshot any more */
	struct root_replacement_record task;
};

static void task_result(struct call *call, const struct root_replacement_record *task,
	struct ec2_ReplaceRootVolumeTask *result)
{
	*result = (struct ec2_ReplaceRootVolumeTask){ .replace_root_volume_task_id = task->record.id,
		.instance_id = task->instance,
		.task_state = task->state,
		.start_time = ec2_time_text(call, task->started),
		.complete_time = ec2_time_text(call, task->completed),
		.tags = ec2_tags_result(call, &task->tags),
		.image_id = task->image,
		.snapshot_id = task->snapshot,
		.delete_replaced_root_volume = some_boolean(boolean_or(task->delete_replaced, false)) };
}

static int find_root(struct replacement *replacement, struct error *err)
{
	struct call *call = replacement->call;
	struct meta_rows rows;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "instance",
		.value = replacement->instance->record.id };
	if (meta_list(call->amid->meta, &record_volume, &query, call->arena, &rows, err) ||
		meta_list(call->amid->meta, &record_root_replacement, &query, call->arena,
			&replacement->tasks, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct volume_record *volume = rows.items[i];
		if (text_equal(volume->attachment->device, replacement->instance->root_device_name))
			replacement->root = volume;
	}
	return replacement->root
		? 0
		: error_set(err, ERROR_INCORRECT_INSTANCE_STATE, "The instance '%s' has no root volume.",
			  replacement->instance->record.id);
}

static int check_instance(struct replacement *replacement, struct error *err)
{
	struct instance_record *instance = replacement->instance;
	if (strcmp(instance->state, "running") != 0)
		return error_set(err, ERROR_INCORRECT_INSTANCE_STATE,
			"The instance '%s' is not in the 'running' state (%s).", instance->record.id,
			instance->state);
	if (find_root(replacement, err))
		return -1;
	for (size_t i = 0; i < replacement->tasks.count; i++) {
		const struct root_replacement_record *task = replacement->tasks.items[i];
		if (strcmp(task->state, "pending") == 0 || strcmp(task->state, "in-progress") == 0)
			return error_set(err, ERROR_INCORRECT_STATE,
				"The root volume of instance '%s' is being replaced already (%s).",
				instance->record.id, task->record.id);
	}
	return 0;
}

/* Whether the snapshot is of the instance's root volume: the one it has, one that it had, or what these were made of. */
static bool is_of_root(const struct replacement *replacement, const struct snapshot_record *snapshot)
{
	const struct record_launch_root *launch = replacement->instance->launch_root;
	const char *id = snapshot->record.id;
	if (text_equal(snapshot->volume, replacement->root->record.id) ||
		text_equal(id, replacement->root->snapshot) || (launch && text_equal(id, launch->snapshot)))
		return true;
	for (size_t i = 0; i < replacement->tasks.count; i++) {
		const struct root_replacement_record *task = replacement->tasks.items[i];
		if ((task->replaced && text_equal(snapshot->volume, task->replaced)) ||
			text_equal(id, task->snapshot))
			return true;
	}
	return false;
}

static int choose_snapshot(struct replacement *replacement, struct error *err)
{
	const char *id = replacement->request->snapshot_id;
	if (snapshot_find_usable(replacement->call, id, &replacement->snapshot, err))
		return -1;
	if (!is_of_root(replacement, replacement->snapshot))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The snapshot '%s' is not one of the root volume of instance '%s'.", id,
			replacement->instance->record.id);
	return 0;
}

static bool has_codes_of(const struct instance_record *instance, const struct image_record *original,
	const struct image_record *image)
{
	/* without its first image nothing is known of the instance's product codes but that amid gives none */
	size_t count = original ? original->product_codes.count : 0;
	bool equal = count == image->product_codes.count;
	for (size_t i = 0; equal && i < count; i++)
		equal = text_equal(original->product_codes.items[i], image->product_codes.items[i]);
	return equal && text_equal(image->architecture, instance->architecture) &&
		text_equal(image->virtualization_type, instance->virtualization_type);
}

/* Its root device's snapshot, which is there for whoever may launch the image. */
static int choose_image(struct replacement *replacement, struct error *err)
{
	struct call *call = replacement->call;
	const char *id = replacement->request->image_id, *snapshot_id = NULL;
	struct image_record *image, *original;
	if (image_find_launchable(call, id, &image, err) ||
		meta_get_any(call->amid->meta, &record_image, call->region, replacement->instance->image,
			call->arena, &original, err))
		return -1;
	if (!has_codes_of(replacement->instance, original, image))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The image '%s' has not the architecture, virtualization type and product codes of instance '%s'.",
			id, replacement->instance->record.id);
	for (size_t i = 0; i < image->block_devices.count; i++)
		if (text_equal(image->block_devices.items[i].device, image->root_device_name))
			snapshot_id = image->block_devices.items[i].snapshot;
	if (!snapshot_id)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The image '%s' has no snapshot of a root device.", id);
	return image_find_snapshot(call, image, snapshot_id, &replacement->snapshot, err);
}

/* The new volume is encrypted if its source or the old one is, under the old one's key if that has one. */
static int choose_key(struct replacement *replacement, struct error *err)
{
	struct call *call = replacement->call;
	const struct volume_record *root = replacement->root;
	struct root_replacement_record *task = &replacement->task;
	struct encryption encryption;
	struct encryption_twins twins = { 0 };
	struct volume_origin origin;
	bool sealed = boolean_or(root->encrypted, false);
	if (encryption_choose(call, some_boolean(sealed), sealed ? root->kms_key : NULL,
		    replacement->snapshot, &encryption, err) ||
		encryption_find_origin(call, &encryption, replacement->snapshot, &twins, &origin, err))
		return -1;
	if (!encryption.wanted)
		return 0;
	if (origin.encryption.refusal)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "%s", origin.encryption.refusal);
	if (!origin.base)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The new root volume would have to be encrypted first, under %s: launch an instance of the same image under that key, or copy the snapshot under it.",
			encryption.kms_key);
	task->base = origin.base;
	task->encrypted = some_boolean(true);
	task->kms_key = origin.encryption.kms_key;
	task->volume = text_random_id(call->arena, "vol");
	return encryption_share_key(call, origin.data_key, task->volume, &task->data_key, err);
}

/* The volume's first state, whose key is that of its lineage. */
static int keep_key(struct replacement *replacement, struct error *err)
{
	const struct volume_record *root = replacement->root;
	const struct record_launch_root *launch = replacement->instance->launch_root;
	struct root_replacement_record *task = &replacement->task;
	if (!boolean_or(root->encrypted, false))
		return 0;
	task->encrypted = some_boolean(true);
	task->kms_key = root->kms_key;
	task->volume = text_random_id(replacement->call->arena, "vol");
	return encryption_share_key(replacement->call, launch ? launch->data_key : root->data_key,
		task->volume, &task->data_key, err);
}

/* What the new volume is made of. The launch state outlives its snapshot: the volume's record has the tree. */
static int choose_source(struct replacement *replacement, struct error *err)
{
	const struct ec2_CreateReplaceRootVolumeTaskRequest *request = replacement->request;
	struct root_replacement_record *task = &replacement->task;
	if (request->snapshot_id && request->image_id)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The parameters SnapshotId and ImageId cannot be used together.");
	if (request->snapshot_id ? choose_snapshot(replacement, err)
				 : request->image_id && choose_image(replacement, err))
		return -1;
	task->size_gib = replacement->root->size_gib;
	task->image = request->image_id;
	if (replacement->snapshot) {
		task->snapshot = replacement->snapshot->record.id;
		task->base = replacement->snapshot->root;
		if (replacement->snapshot->volume_size_gib.value > task->size_gib.value)
			task->size_gib = replacement->snapshot->volume_size_gib;
		return choose_key(replacement, err);
	}
	const struct record_launch_root *launch = replacement->instance->launch_root;
	task->snapshot = launch ? launch->snapshot : replacement->root->snapshot;
	task->base = launch ? launch->base : replacement->root->base;
	return keep_key(replacement, err);
}

/* What KMS refuses, as this operation says it. */
static int choose_allowed_source(struct replacement *replacement, struct error *err)
{
	if (choose_source(replacement, err) == 0)
		return 0;
	if (data_key_is_refused(err))
		err->code = ERROR_OPERATION_NOT_PERMITTED;
	return -1;
}

static int describe_made(
	struct call *call, const char *id, struct ec2_ReplaceRootVolumeTask *result, struct error *err)
{
	struct root_replacement_record *task;
	if (EC2_GET(call, record_root_replacement, id, &task, err))
		return -1;
	if (!task)
		return error_set(err, ERROR_REPLACE_TASK_NOT_FOUND,
			"The replace root volume task '%s' does not exist", id);
	task_result(call, task, result);
	return 0;
}

int ec2_create_replace_root_volume_task(struct call *call,
	const struct ec2_CreateReplaceRootVolumeTaskRequest *request,
	struct ec2_CreateReplaceRootVolumeTaskResult *result, struct error *err)
{
	static const char *const refused[] = { "VolumeInitializationRate", NULL };
	struct replacement replacement = { .call = call, .request = request };
	struct root_replacement_record *task = &replacement.task;
	struct idempotency idempotency;
	result->replace_root_volume_task = arena_alloc(call->arena, sizeof *result->replace_root_volume_task);
	if (idempotency_begin(call, call->amid->meta, request, ERROR_IDEMPOTENT_MISMATCH, &idempotency, err))
		return -1;
	if (idempotency.done)
		return describe_made(
			call, idempotency.resource_ids[0], result->replace_root_volume_task, err);
	if (ec2_refuse_members(call, request, refused, err) ||
		instance_find(call, request->instance_id, &replacement.instance, err) ||
		check_instance(&replacement, err) || choose_allowed_source(&replacement, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, taggable[0], taggable, &task->tags, err))
		return -1;
	task->record = (struct record){ .account = call->account,
		.region = call->region,
		.id = text_random_id(call->arena, "replacevol") };
	task->instance = replacement.instance->record.id;
	task->state = "pending";
	task->started = ec2_now();
	task->delete_replaced = some_boolean(boolean_or(request->delete_replaced_root_volume, false));
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	/* put, not expected: of two calls for one instance, one is run again and sees the other's task */
	meta_batch_put(batch, &record_instance, replacement.instance);
	meta_batch_expect(batch, &record_volume, replacement.root);
	if (replacement.snapshot)
		meta_batch_expect(batch, &record_snapshot, replacement.snapshot);
	meta_batch_put(batch, &record_root_replacement, task);
	idempotency_record(&idempotency, batch, &task->record.id, 1);
	if (idempotency_commit(&idempotency, batch, err))
		return -1;
	task_result(call, task, result->replace_root_volume_task);
	return 0;
}

static const struct describe_kind tasks = {
	.shape = &ec2_shape_ReplaceRootVolumeTask,
	.key = "ReplaceRootVolumeTaskId",
	.page_rules = { .min = 1, .max = 50 },
	.filters = (const struct describe_filter[]){ { "instance-id", "InstanceId" }, { NULL } },
};

int ec2_describe_replace_root_volume_tasks(struct call *call,
	const struct ec2_DescribeReplaceRootVolumeTasksRequest *request,
	struct ec2_DescribeReplaceRootVolumeTasksResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows = { 0 };
	struct meta_query query = { .account = call->account, .region = call->region };
	const char *const *ids;
	size_t count = request->replace_root_volume_task_ids.count;
	if (describe_sort_ids(call, request->replace_root_volume_task_ids.items, &count, NULL,
		    request->max_results, &ids, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (ec2_check_id(ids[i], "replacevol", ERROR_REPLACE_TASK_MALFORMED, err) ||
			describe_made(call, ids[i],
				ARENA_APPEND(call->arena, result->replace_root_volume_tasks.items,
					result->replace_root_volume_tasks.count),
				err))
			return -1;
	if (!count && meta_list(call->amid->meta, &record_root_replacement, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		task_result(call, rows.items[i],
			ARENA_APPEND(call->arena, result->replace_root_volume_tasks.items,
				result->replace_root_volume_tasks.count));
	return describe_finish(
		call, &tasks, &request->filters, &page, &result->replace_root_volume_tasks, err);
}
