/*
 * Another root volume for an instance (CreateReplaceRootVolumeTask). The steps, each one commit that can be repeated until it is made:
 *
 *	pending      the task is recorded, with the root digest of the new volume's tree
 *	in-progress  the machine is brought down; when it is, one batch takes the old root volume off, puts a new one in its place and says what comes next. So a crash finds the one root volume or the other, never both or none
 *	succeeded    the instance runs again (or is stopped, if it was stopped meanwhile); the old volume is deleted if that was asked for
 *	failed       the instance was terminated before
 *
 * Part of the instance's controller: runs on the work queue's threads, for one instance at a time.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "svc/key_ring.h"
#include "base/banned.h"

enum { SERVER_STOP_MS = 10000 };

static bool is_unfinished(const struct root_replacement_record *task)
{
	return strcmp(task->state, "pending") == 0 || strcmp(task->state, "in-progress") == 0;
}

int control_root_replacement(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct amid *amid = context;
	struct root_replacement_record *task;
	if (meta_get_any(amid->meta, &record_root_replacement, NULL, id, arena, &task, err))
		return -1;
	if (task && is_unfinished(task))
		work_enqueue(amid->work, "instance", task->instance);
	return 0;
}

static int list_tasks(struct instance_view *view, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .index = "instance", .value = view->instance->record.id };
	return meta_list(view->amid->meta, &record_root_replacement, &query, view->arena, rows, err);
}

int root_replacement_find(
	struct instance_view *view, struct root_replacement_record **task, struct error *err)
{
	struct meta_rows rows;
	*task = NULL;
	if (list_tasks(view, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (is_unfinished(rows.items[i]))
			*task = rows.items[i]; /* the handler lets no second one begin */
	return 0;
}

bool root_replacement_is_due(const struct root_replacement_record *task)
{
	return task && !task->replacement;
}

int root_replacement_begin(
	struct instance_view *view, struct root_replacement_record *task, struct error *err)
{
	if (strcmp(task->state, "pending") != 0)
		return 0;
	task->state = "in-progress";
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_put(batch, &record_root_replacement, task);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	task->record.version++;
	return 0;
}

static struct volume_record *find_root(struct instance_view *view)
{
	for (unsigned i = 0; i < view->volume_count; i++)
		if (text_equal(view->volumes[i]->attachment->device, view->instance->root_device_name))
			return view->volumes[i];
	return NULL;
}

/* As the old one is, but for what is on it, and for a size that a larger snapshot needs. */
static struct volume_record *make_volume(struct instance_view *view,
	const struct root_replacement_record *task, const struct volume_record *old)
{
	struct volume_record *volume = arena_alloc(view->arena, sizeof *volume);
	struct record_volume_attachment *attachment = arena_alloc(view->arena, sizeof *attachment);
	*attachment = *old->attachment;
	attachment->state = "attached";
	attachment->attached = some_timestamp(clock_now_ms());
	*volume = (struct volume_record){
		.record = { .account = old->record.account,
			.region = old->record.region,
			.id = task->volume ? task->volume : text_random_id(view->arena, "vol") },
		.state = "in-use",
		/* the old one may have grown since the task was made */
		.size_gib = task->size_gib.value > old->size_gib.value ? task->size_gib : old->size_gib,
		.volume_type = old->volume_type,
		.iops = old->iops,
		.throughput = old->throughput,
		.snapshot = task->snapshot,
		.zone = old->zone,
		.created = some_timestamp(clock_now_ms()),
		.base = task->base,
		.encrypted = task->encrypted,
		.kms_key = task->kms_key,
		.data_key = task->data_key,
		.attachment = attachment,
		.tags = old->tags,
	};
	return volume;
}

/* Ends what still uses the old volume. */
static int let_go(struct instance_view *view, const struct volume_record *old, struct error *err)
{
	struct volume_server_paths paths =
		amid_volume_paths(view->amid, view->region, old->record.id, view->arena);
	return view->amid->config->compute->destroy(
		       view->amid->compute, view->instance->record.id, view->folder, err) ||
			volume_server_stop(&paths, SERVER_STOP_MS, err)
		? -1
		: 0;
}

int root_replacement_swap(struct instance_view *view, struct root_replacement_record *task,
	const char *restart, struct error *err)
{
	struct instance_record *instance = view->instance;
	struct volume_record *old = find_root(view);
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	if (!old) {
		/* detached while the instance was stopped: nothing is there to be replaced */
		task->state = "failed";
		task->base = NULL;
		task->completed = some_timestamp(clock_now_ms());
		meta_batch_put(batch, &record_root_replacement, task);
		return meta_commit(view->amid->meta, batch, err);
	}
	if (let_go(view, old, err))
		return -1;
	key_ring_drop(view->amid, old->record.id);
	struct volume_record *volume = make_volume(view, task, old);
	struct record_data_key first_key = { 0 };
	struct record_launch_root first = { .snapshot = old->snapshot, .base = old->base };
	if (old->data_key) {
		first_key = *old->data_key;
		first_key.grant = NULL; /* that is the volume's */
		first.data_key = &first_key;
	}
	if (!instance->launch_root)
		instance->launch_root = &first;
	instance->restart = restart;
	old->attachment = NULL;
	old->state = "available";
	task->replaced = old->record.id;
	task->replacement = volume->record.id;
	task->base = NULL;
	task->data_key = NULL; /* the volume's now */
	meta_batch_put(batch, &record_volume, old);
	meta_batch_put(batch, &record_volume, volume);
	meta_batch_put(batch, &record_instance, instance);
	meta_batch_put(batch, &record_root_replacement, task);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	log_info("root-volume-replaced", "task=%s old=%s new=%s", task->record.id, task->replaced,
		task->replacement);
	return 0;
}

int root_replacement_finish(
	struct instance_view *view, struct root_replacement_record *task, struct error *err)
{
	struct volume_record *old = NULL;
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	if (boolean_or(task->delete_replaced, false) &&
		meta_get_any(view->amid->meta, &record_volume, NULL, task->replaced, view->arena, &old, err))
		return -1;
	/* its owner may have found another use for it */
	if (old && strcmp(old->state, "available") == 0) {
		old->state = "deleting";
		meta_batch_put(batch, &record_volume, old);
	}
	task->state = "succeeded";
	task->completed = some_timestamp(clock_now_ms());
	meta_batch_put(batch, &record_root_replacement, task);
	return meta_commit(view->amid->meta, batch, err);
}

int root_replacement_abandon(struct instance_view *view, struct meta_batch *batch, struct error *err)
{
	struct root_replacement_record *task;
	if (root_replacement_find(view, &task, err))
		return -1;
	if (task) {
		task->state = "failed";
		task->base = NULL;
		task->completed = some_timestamp(clock_now_ms());
		meta_batch_put(batch, &record_root_replacement, task);
	}
	return 0;
}

int root_replacement_forget(struct instance_view *view, struct meta_batch *batch, struct error *err)
{
	struct meta_rows rows;
	if (list_tasks(view, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		meta_batch_delete(batch, &record_root_replacement, rows.items[i]);
	return 0;
}
