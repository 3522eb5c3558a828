/*
 * The instance controller: brings the machine to what the instance's record says.
 *
 *	pending        launch the machine, then -> running (failed: -> shutting-down, or -> stopping if it had been started again)
 *	running        a restart asked for (RebootInstances, or an image to be captured from it): power button, wait for the guest, capture, start again;
 *	               guest powered off by itself -> stopping or shutting-down as InstanceInitiatedShutdownBehavior says; process gone (killed, host restarted): start again
 *	stopping       power button, then the machine's end -> stopped
 *	shutting-down  the machine's end, volumes deleted or detached -> terminated
 *	stopped        capture what is asked for
 *	terminated     forgotten after an hour
 *
 * Waiting is done by returning: events of the machine and timers bring the controller back. A guest that does not listen to its power button within LISTEN_MS loses its power.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "svc/control/internal.h"
#include "svc/key_ring.h"
#include "base/banned.h"

enum {
	PRESS_AGAIN_MS = 2000, /* a guest that is still booting misses the first press */
	LISTEN_MS = 120000,
	TERMINATE_LISTEN_MS = 20000, /* only when a volume outlives the instance */
	FORGET_MS = 3600 * 1000,
	LAUNCH_PATIENCE_MS = 15000,
	THAW_MS = 1000,
	THAW_AGAIN_MS = 10000,
	RESUME_AGAIN_MS = 5000,
};

static int commit_instance(struct instance_view *view, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_put(batch, &record_instance, view->instance);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	view->instance->record.version++;
	return 0;
}

static void set_reason(struct instance_view *view, const char *code, const char *message)
{
	view->instance->state_reason_code = code;
	view->instance->state_reason = arena_printf(view->arena, "%s: %s", code, message);
}

static int compare_attachments(const void *a, const void *b, void *root_device_name)
{
	const struct volume_record *const *left = a, *const *right = b;
	const char *root = root_device_name;
	const char *left_device = (*left)->attachment->device, *right_device = (*right)->attachment->device;
	bool left_root = root && strcmp(left_device, root) == 0,
	     right_root = root && strcmp(right_device, root) == 0;
	return left_root != right_root ? (left_root ? -1 : 1) : strcmp(left_device, right_device);
}

static int load_volumes(struct instance_view *view, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "instance", .value = view->instance->record.id };
	if (meta_list(view->amid->meta, &record_volume, &query, view->arena, &rows, err))
		return -1;
	view->volumes = (struct volume_record **)rows.items;
	view->volume_count = (unsigned)rows.count;
	if (rows.count)
		qsort_r(view->volumes, rows.count, sizeof *view->volumes, compare_attachments,
			(void *)(uintptr_t)view->instance->root_device_name);
	return 0;
}

/* Volumes that were being attached when the machine started are attached now. */
static void put_attached(struct instance_view *view, struct meta_batch *batch)
{
	for (unsigned i = 0; i < view->volume_count; i++) {
		struct volume_record *volume = view->volumes[i];
		if (strcmp(volume->attachment->state, "attaching") == 0) {
			volume->attachment->state = "attached";
			volume->state = "in-use";
			meta_batch_put(batch, &record_volume, volume);
		}
	}
}

/* What is before the colon of a reason. */
static const char *cut_code(struct instance_view *view, const char *reason)
{
	return arena_strndup(view->arena, reason, strcspn(reason, ":"));
}

/* The launch has failed for good: the reason stays on the instance. */
static int fail_launch(struct instance_view *view, const struct error *why, struct error *err)
{
	struct instance_record *instance = view->instance;
	bool started_again = strcmp(instance->state, "running") == 0 ||
		(instance->restart && strcmp(instance->restart, "start") == 0);
	log_error("launch-failed", "again=%d error=\"%s\"", started_again, why->message);
	instance->state_reason = data_key_reason(view->arena, why);
	instance->state_reason_code = cut_code(view, instance->state_reason);
	instance->state = started_again ? "stopping" : "shutting-down";
	instance->force_stop = some_boolean(true);
	return commit_instance(view, err);
}

/* What another attempt may mend: a host that is overloaded, something that is just ending. */
static bool may_pass(const struct instance_view *view, const struct error *why)
{
	if (why->code == ERROR_CONFLICT)
		return true;
	return (why->code == ERROR_INTERNAL || why->code == ERROR_TIMEOUT ||
		       why->code == ERROR_UNAVAILABLE) &&
		clock_now_ms() - view->instance->launched.ms < LAUNCH_PATIENCE_MS;
}

/* Brings the volumes that wait for a twin to what they are made of; *state is that of the worst off. */
static int adopt_twins(struct instance_view *view, enum twin_state *state, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	bool adopted = false;
	*state = TWIN_READY;
	for (unsigned i = 0; i < view->volume_count && *state == TWIN_READY; i++) {
		const char *awaited = view->volumes[i]->twin;
		if (twin_adopt(view->amid, view->volumes[i], view->arena, state, err))
			return -1;
		if (*state == TWIN_FAILED)
			view->instance->state_reason = view->volumes[i]->key_error;
		if (!awaited || *state != TWIN_READY)
			continue;
		meta_batch_put(batch, &record_volume, view->volumes[i]);
		adopted = true;
	}
	if (*state != TWIN_READY)
		return 0;
	return adopted && (meta_commit(view->amid->meta, batch, err) || load_volumes(view, err)) ? -1 : 0;
}

/* An encrypted volume cannot be made: of a key that is not there, or may not be used. */
static int refuse_launch(struct instance_view *view, struct error *err)
{
	struct instance_record *instance = view->instance;
	log_error("launch-refused", "reason=\"%s\"", instance->state_reason);
	instance->state_reason_code = cut_code(view, instance->state_reason);
	instance->state = "shutting-down";
	instance->force_stop = some_boolean(true);
	return commit_instance(view, err);
}

static int launch(struct instance_view *view, struct error *err)
{
	struct instance_record *instance = view->instance;
	int64_t begun_ms = clock_monotonic_ms();
	enum twin_state twins;
	if (adopt_twins(view, &twins, err))
		return -1;
	if (twins == TWIN_PENDING)
		return 0; /* its completion wakes us */
	if (twins == TWIN_FAILED)
		return refuse_launch(view, err);
	if (machine_launch(view, err)) {
		struct error why = *err;
		return may_pass(view, &why) ? -1 : fail_launch(view, &why, err);
	}
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	instance->state = "running";
	instance->restart = NULL;
	instance->state_reason = instance->state_reason_code = instance->transition_reason = NULL;
	meta_batch_put(batch, &record_instance, instance);
	put_attached(view, batch);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	log_info("instance-running", "type=%s image=%s volumes=%u ms=%lld", instance->instance_type,
		instance->image, view->volume_count, (long long)(clock_monotonic_ms() - begun_ms));
	return 0;
}

/* Guests whose writes find no room wait; now and then they try again. */
static int resume(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	bool paused;
	if (view->amid->config->compute->resume(view->amid->compute, view->instance->record.id, &paused, err))
		return -1;
	if (paused) {
		log_warning("disk-full", "the guest waits for room");
		*again_ms = RESUME_AGAIN_MS;
	}
	return 0;
}

/* A capture that was cut short, by a death of amid or by a slow guest, may have left file systems frozen. */
static void thaw_leftovers(struct instance_view *view, int64_t *again_ms)
{
	struct error why;
	if (view->amid->config->compute->thaw_file_systems(
		    view->amid->compute, view->instance->record.id, THAW_MS, &why) == 0 ||
		why.code == ERROR_NOT_FOUND)
		return;
	log_warning("thaw-owed", "error=\"%s\"", why.message);
	*again_ms = THAW_AGAIN_MS;
}

/*
 * Presses the power button until the guest has shut down. *down: it has (or the machine is gone); else *again_ms says when to look again. After `limit_ms` the machine is ended by force, and *clean says
 * whether the guest had the chance to shut down. The record keeps since when the guest is asked.
 */
static int bring_down(struct instance_view *view, int64_t limit_ms, bool *down, bool *clean,
	int64_t *again_ms, struct error *err)
{
	enum machine_state state;
	struct instance_record *instance = view->instance;
	*down = *clean = false;
	if (!instance->stop_requested.set) {
		instance->stop_requested = some_timestamp(clock_now_ms());
		if (commit_instance(view, err))
			return -1;
	}
	if (machine_get_state(view, &state, err))
		return -1;
	/* A guest that waits for its disk cannot shut down, and volumes are frozen through their servers, all or none. But what cannot be served must not keep an instance from ending. */
	struct error serving;
	if (machine_serve_volumes(view, &serving))
		log_warning("volumes-not-served", "error=\"%s\"", serving.message);
	if (state != MACHINE_RUNNING) {
		*down = true;
		*clean = state == MACHINE_SHUT_DOWN;
		return 0;
	}
	if (resume(view, again_ms, err))
		return -1;
	thaw_leftovers(view, again_ms);
	int64_t waited_ms = clock_now_ms() - instance->stop_requested.ms;
	if (waited_ms >= limit_ms || boolean_or(instance->force_stop, false)) {
		log_warning("power-cut", "waited_ms=%lld", (long long)waited_ms);
		*down = true;
		return view->amid->config->compute->destroy(
			view->amid->compute, instance->record.id, view->folder, err);
	}
	*again_ms = limit_ms - waited_ms < PRESS_AGAIN_MS ? limit_ms - waited_ms : PRESS_AGAIN_MS;
	return view->amid->config->compute->power_button(view->amid->compute, instance->record.id, err);
}

/* A machine that is to run again, and whose disks' key may not be used any more: the instance stops, and says why. */
static int launch_again(struct instance_view *view, struct error *err)
{
	if (machine_launch(view, err) == 0)
		return 0;
	struct error why = *err;
	return data_key_is_refused(&why) && fail_launch(view, &why, err) == 0
		? error_set(err, ERROR_CONFLICT, "%s", why.message)
		: -1;
}

/* The second half of a restart, told apart by the record: a machine that runs by now is the new one, and must not be brought down again after a crash. */
static int bring_up(struct instance_view *view, struct error *err)
{
	struct instance_record *instance = view->instance;
	enum machine_state state;
	if (machine_get_state(view, &state, err))
		return -1;
	if (state != MACHINE_RUNNING &&
		(view->amid->config->compute->destroy(
			 view->amid->compute, instance->record.id, view->folder, err) ||
			launch_again(view, err)))
		return -1;
	instance->restart = NULL;
	instance->stop_requested.set = false;
	log_info("instance-restarted", "type=%s", instance->instance_type);
	return commit_instance(view, err);
}

/* A restart: RebootInstances, the capture of an image with a reboot (`image`, else NULL), or another root volume (`task`, else NULL). */
static int restart(struct instance_view *view, struct image_record *image,
	struct root_replacement_record *task, int64_t *again_ms, struct error *err)
{
	struct instance_record *instance = view->instance;
	bool down, clean;
	if (instance->restart && strcmp(instance->restart, "up") == 0)
		return bring_up(view, err);
	if (bring_down(view, LISTEN_MS, &down, &clean, again_ms, err))
		return -1;
	if (!down)
		return 0;
	if (image && capture_now(view, image, false, clean, err))
		return -1;
	if (root_replacement_is_due(task)) {
		*again_ms = 0;
		return root_replacement_swap(view, task, "up", err);
	}
	instance->restart = "up";
	return commit_instance(view, err) ? -1 : bring_up(view, err);
}

/* The guest has powered itself off. */
static int follow_guest(struct instance_view *view, struct error *err)
{
	struct instance_record *instance = view->instance;
	bool terminate = instance->shutdown_behavior && strcmp(instance->shutdown_behavior, "terminate") == 0;
	instance->state = terminate ? "shutting-down" : "stopping";
	set_reason(view, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown");
	return commit_instance(view, err);
}

static int finish_attachment(
	struct instance_view *view, struct volume_record *volume, bool attached, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	if (attached) {
		volume->attachment->state = "attached";
		volume->state = "in-use";
	} else {
		volume->attachment = NULL;
		volume->state = "available";
	}
	meta_batch_put(batch, &record_volume, volume);
	return meta_commit(view->amid->meta, batch, err);
}

/* Hot-plug: brings every attachment to the state that its volume's record says. */
static int settle_attachments(struct instance_view *view, struct error *err)
{
	for (unsigned i = 0; i < view->volume_count; i++) {
		struct volume_record *volume = view->volumes[i];
		if (strcmp(volume->attachment->state, "attaching") == 0) {
			if (machine_attach(view, volume, err) || finish_attachment(view, volume, true, err))
				return -1;
		} else if (strcmp(volume->attachment->state, "detaching") == 0) {
			if (machine_detach(view, volume, err) || finish_attachment(view, volume, false, err))
				return -1;
		}
	}
	return 0;
}

/* The machine is down: attachments need no guest. */
static int settle_attachments_offline(struct instance_view *view, struct error *err)
{
	for (unsigned i = 0; i < view->volume_count; i++) {
		const char *state = view->volumes[i]->attachment->state;
		if (strcmp(state, "attached") != 0 &&
			finish_attachment(view, view->volumes[i], strcmp(state, "attaching") == 0, err))
			return -1;
	}
	return 0;
}

static int supervise(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	struct image_record *image;
	struct root_replacement_record *task;
	enum machine_state state;
	if (capture_find(view, &image, err) || root_replacement_find(view, &task, err) ||
		machine_get_state(view, &state, err))
		return -1;
	/* stop_requested: a restart had begun when amid ended; its image may be captured already */
	bool restarting = image || root_replacement_is_due(task) || view->instance->restart ||
		view->instance->stop_requested.set;
	if (state == MACHINE_SHUT_DOWN && !restarting)
		return follow_guest(view, err);
	if (machine_serve_volumes(view, err))
		return -1;
	if (state == MACHINE_RUNNING) {
		if (resume(view, again_ms, err))
			return -1;
		thaw_leftovers(view, again_ms);
	}
	if (image && boolean_or(image->capture->no_reboot, false)) {
		*again_ms = 0; /* there may be another */
		return capture_now(view, image, state == MACHINE_RUNNING, false, err);
	}
	if (root_replacement_is_due(task) && root_replacement_begin(view, task, err))
		return -1;
	if (restarting)
		return restart(view, image, task, again_ms, err);
	if (state == MACHINE_ABSENT) {
		log_warning("machine-lost", "starting it again");
		if (launch_again(view, err))
			return -1;
	}
	/* attachments last: a guest may refuse to let a disk go for as long as it likes */
	return limits_apply(view, err) || modification_settle(view, true, err) ||
			(task && root_replacement_finish(view, task, err)) || settle_attachments(view, err)
		? -1
		: 0;
}

static int stop(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	struct instance_record *instance = view->instance;
	bool down, clean;
	if (bring_down(view, LISTEN_MS, &down, &clean, again_ms, err))
		return -1;
	if (!down)
		return 0;
	struct image_record *image;
	if (capture_find(view, &image, err) || (image && capture_now(view, image, false, clean, err)) ||
		machine_end(view, err))
		return -1;
	instance->state = "stopped";
	instance->restart = NULL;
	instance->stop_requested.set = instance->force_stop.set = false;
	instance->public_address = NULL;
	if (commit_instance(view, err))
		return -1;
	log_info("instance-stopped", "clean=%d", clean);
	return network_apply(
		view->amid, instance->record.account, instance->record.region, instance->vpc, err);
}

static bool keeps_volume(const struct instance_view *view)
{
	for (unsigned i = 0; i < view->volume_count; i++)
		if (!boolean_or(view->volumes[i]->attachment->delete_on_termination, false))
			return true;
	return false;
}

static int commit_terminated(struct instance_view *view, struct error *err)
{
	struct instance_record *instance = view->instance;
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	for (unsigned i = 0; i < view->volume_count; i++) {
		struct volume_record *volume = view->volumes[i];
		volume->state = boolean_or(volume->attachment->delete_on_termination, false) ? "deleting"
											     : "available";
		volume->attachment = NULL;
		meta_batch_put(batch, &record_volume, volume);
	}
	if (root_replacement_abandon(view, batch, err))
		return -1;
	instance->state = "terminated";
	instance->restart = NULL;
	instance->launch_root = NULL;
	instance->profile = NULL;
	instance->private_address = instance->public_address = instance->network_key = NULL;
	instance->terminated_at = some_timestamp(clock_now_ms());
	meta_batch_put(batch, &record_instance, instance);
	return meta_commit(view->amid->meta, batch, err);
}

static int terminate(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	struct instance_record *instance = view->instance;
	bool down = true, clean = false;
	if (keeps_volume(view)) {
		if (bring_down(view, TERMINATE_LISTEN_MS, &down, &clean, again_ms, err))
			return -1;
		if (!down)
			return 0;
	}
	struct image_record *image;
	if (machine_end(view, err) || capture_find(view, &image, err) ||
		(image && capture_now(view, image, false, clean, err)) || commit_terminated(view, err))
		return -1;
	log_info("instance-terminated", "clean=%d", clean);
	return network_apply(
		view->amid, instance->record.account, instance->record.region, instance->vpc, err);
}

/* A terminated instance can be seen for an hour, as in AWS. */
static int forget(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	int64_t left_ms = view->instance->terminated_at.ms + FORGET_MS - clock_now_ms();
	if (left_ms > 0) {
		*again_ms = left_ms;
		return 0;
	}
	if (file_remove_tree(view->folder, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_delete(batch, &record_instance, view->instance);
	if (root_replacement_forget(view, batch, err))
		return -1;
	return meta_commit(view->amid->meta, batch, err);
}

static int look_at_stopped(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	struct image_record *image;
	struct root_replacement_record *task;
	if (settle_attachments_offline(view, err) || modification_settle(view, false, err) ||
		capture_find(view, &image, err) || root_replacement_find(view, &task, err))
		return -1;
	if (!image && !task)
		return 0;
	*again_ms = 0;
	if (image)
		return capture_now(view, image, false, true, err);
	return root_replacement_is_due(task) ? root_replacement_swap(view, task, NULL, err)
					     : root_replacement_finish(view, task, err);
}

static int dispatch(struct instance_view *view, int64_t *again_ms, struct error *err)
{
	const char *state = view->instance->state;
	if (strcmp(state, "pending") == 0)
		return launch(view, err);
	if (strcmp(state, "running") == 0)
		return supervise(view, again_ms, err);
	if (strcmp(state, "stopping") == 0)
		return stop(view, again_ms, err);
	if (strcmp(state, "shutting-down") == 0)
		return terminate(view, again_ms, err);
	if (strcmp(state, "stopped") == 0)
		return look_at_stopped(view, again_ms, err);
	return forget(view, again_ms, err);
}

/* No record, but perhaps a machine and a folder: the account was reset, or a crash came while it was being forgotten. */
static int remove_leftovers(struct instance_view *view, const char *id, struct error *err)
{
	for (unsigned i = 0; i < view->amid->region_count; i++) {
		char *folder = amid_instance_folder(&view->amid->regions[i], id, view->arena);
		if (access(folder, F_OK))
			continue;
		if (view->amid->config->compute->destroy(view->amid->compute, id, folder, err) ||
			file_remove_tree(folder, err))
			return -1;
		log_info("instance-removed", "id=%s", id);
	}
	return 0;
}

int control_instance(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct instance_view view = { .amid = context, .arena = arena };
	if (meta_get_any(view.amid->meta, &record_instance, NULL, id, arena, &view.instance, err))
		return -1;
	if (!view.instance)
		return remove_leftovers(&view, id, err);
	if (!(view.region = amid_find_region(view.amid, view.instance->record.region)))
		return 0;
	view.folder = amid_instance_folder(view.region, id, arena);
	if (load_volumes(&view, err))
		return -1;
	return dispatch(&view, again_ms, err);
}
