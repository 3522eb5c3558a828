/*
 * The list of machines that this process speaks to, and what their monitors report. Events come on the loop's thread and go straight to the listener; the end of a process
 * is seen through its pidfd, whatever its monitor said.
 */
#include "compute/qemu_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "compute/console.h"
#include "base/banned.h"

char *machine_socket(struct arena *arena, const struct compute *compute, const char *id, const char *kind)
{
	return arena_printf(arena, "%s/%s.%s", compute->runtime_folder, id, kind);
}

void machine_unref(struct machine *machine)
{
	if (atomic_fetch_sub(&machine->references, 1) > 1)
		return;
	pthread_cond_destroy(&machine->changed);
	pthread_mutex_destroy(&machine->lock);
	free(machine->id);
	free(machine->folder);
	free(machine);
}

static struct machine *ref_machine(struct machine *machine)
{
	atomic_fetch_add(&machine->references, 1);
	return machine;
}

static void release_machine(void *context)
{
	machine_unref(context);
}

struct machine *machine_find(struct compute *compute, const char *id)
{
	pthread_mutex_lock(&compute->lock);
	struct machine *machine = compute->machines;
	while (machine && strcmp(machine->id, id) != 0)
		machine = machine->next;
	if (machine)
		ref_machine(machine);
	pthread_mutex_unlock(&compute->lock);
	return machine;
}

int machine_get(struct compute *compute, const char *id, struct machine **machine, struct error *err)
{
	*machine = machine_find(compute, id);
	return *machine ? 0 : error_set(err, ERROR_NOT_FOUND, "machine %s does not run", id);
}

static void tell(struct machine *machine, enum machine_event event)
{
	machine->compute->listener(machine->compute->context, machine->id, event);
}

static void note_device(struct machine *machine, const char *device, bool deleted)
{
	pthread_mutex_lock(&machine->lock);
	if (device && machine->awaited_device && strcmp(device, machine->awaited_device) == 0) {
		machine->device_deleted |= deleted;
		machine->unplug_refused |= !deleted;
		pthread_cond_broadcast(&machine->changed);
	}
	pthread_mutex_unlock(&machine->lock);
}

static void take_event(void *context, const char *name, json_t *data)
{
	struct machine *machine = context;
	bool by_guest = json_is_true(json_object_get(data, "guest"));
	if (strcmp(name, "SHUTDOWN") == 0 && by_guest) {
		tell(machine, EVENT_MACHINE_SHUT_DOWN);
	} else if (strcmp(name, "RESET") == 0 && by_guest) {
		machine->thaw_owed = false;
		tell(machine, EVENT_MACHINE_RESET);
	} else if (strcmp(name, "VSERPORT_CHANGE") == 0) {
		const char *port = json_string_value(json_object_get(data, "id"));
		if (port && strcmp(port, "agent") == 0 && json_is_true(json_object_get(data, "open")))
			tell(machine, EVENT_MACHINE_AGENT);
	} else if (strcmp(name, "DEVICE_DELETED") == 0) {
		/* "device" is missing for a device's own inner parts */
		note_device(machine, json_string_value(json_object_get(data, "device")), true);
	} else if (strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR") == 0) {
		note_device(machine, json_string_value(json_object_get(data, "device")), false);
	} else if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
		const char *node = json_string_value(json_object_get(data, "node-name"));
		log_warning("machine-disk-error", "id=%s node=%.40s", machine->id, node ? node : "");
		if (text_equal(json_string_value(json_object_get(data, "action")), "stop"))
			tell(machine, EVENT_MACHINE_FULL);
	}
}

static const struct qmp_listener monitor_listener = { .event = take_event, .release = release_machine };

static void process_ended(void *context, uint32_t events)
{
	struct machine *machine = context;
	pthread_mutex_lock(&machine->lock);
	struct compute_loop_source *source = machine->end_source;
	bool destroying = machine->destroying;
	machine->end_source = NULL;
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
	if (!source)
		return;
	compute_loop_remove(machine->compute->loop, source);
	if (destroying)
		return;
	log_warning("machine-gone", "id=%s pid=%d", machine->id, (int)machine->process.pid);
	tell(machine, EVENT_MACHINE_GONE);
}

static const struct compute_loop_handler end_handler = { .ready = process_ended, .release = release_machine };

static struct machine *create_machine(
	struct compute *compute, const char *id, const char *folder, const struct process *process)
{
	struct machine *machine = memory_alloc(sizeof *machine);
	*machine = (struct machine){ .references = 1,
		.compute = compute,
		.id = memory_strdup(id),
		.folder = memory_strdup(folder),
		.process = *process };
	pthread_mutex_init(&machine->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&machine->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return machine;
}

static int watch_end(struct machine *machine, struct error *err)
{
	int fd = (int)syscall(SYS_pidfd_open, machine->process.pid, 0);
	/* alive after the pidfd was opened: it is that process's, not that of a later one with its pid */
	if (fd < 0 || !process_is_alive(&machine->process)) {
		if (fd >= 0)
			close(fd);
		return error_set(err, ERROR_UNAVAILABLE, "the process of machine %s has ended", machine->id);
	}
	struct compute_loop_source *source;
	pthread_mutex_lock(&machine->lock);
	int failed = compute_loop_add(
		machine->compute->loop, fd, &end_handler, ref_machine(machine), &source, err);
	machine->end_source = failed ? NULL : source;
	pthread_mutex_unlock(&machine->lock);
	if (!failed)
		return 0;
	close(fd);
	machine_unref(machine);
	return -1;
}

static void stop_watching(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	struct compute_loop_source *source = machine->end_source;
	machine->end_source = NULL;
	pthread_mutex_unlock(&machine->lock);
	if (source)
		compute_loop_remove(machine->compute->loop, source);
}

int machine_connect(struct compute *compute, const char *id, const char *folder,
	const struct process *process, int monitor_fd, int timeout_ms, struct machine **result,
	struct error *err)
{
	struct machine *machine = create_machine(compute, id, folder, process);
	int failed = qmp_open(compute->loop, monitor_fd, timeout_ms, &monitor_listener, ref_machine(machine),
		&machine->qmp, err);
	/* after the greeting: it is QEMU that speaks, and no longer what became it */
	if (!failed && (process_user(process, &machine->user, err) || watch_end(machine, err))) {
		qmp_close(machine->qmp);
		failed = -1;
	}
	if (failed) {
		machine_unref(machine);
		return error_prefix(err, "machine %s", id);
	}
	*result = ref_machine(machine);
	pthread_mutex_lock(&compute->lock);
	machine->next = compute->machines;
	compute->machines = machine;
	pthread_mutex_unlock(&compute->lock);
	return 0;
}

static void let_go(struct machine *machine)
{
	qmp_close(machine->qmp);
	stop_watching(machine);
	machine_unref(machine);
}

void machine_forget(struct machine *machine)
{
	struct compute *compute = machine->compute;
	pthread_mutex_lock(&compute->lock);
	struct machine **link = &compute->machines;
	while (*link && *link != machine)
		link = &(*link)->next;
	bool listed = *link;
	if (listed)
		*link = machine->next;
	pthread_mutex_unlock(&compute->lock);
	if (listed)
		let_go(machine);
}

void machine_forget_all(struct compute *compute)
{
	pthread_mutex_lock(&compute->lock);
	struct machine *machine = compute->machines;
	compute->machines = NULL;
	pthread_mutex_unlock(&compute->lock);
	while (machine) {
		struct machine *next = machine->next;
		let_go(machine);
		machine = next;
	}
}

void machine_trim_consoles(struct compute *compute)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char **folders = NULL;
	size_t count = 0;
	struct error err;
	pthread_mutex_lock(&compute->lock);
	for (struct machine *machine = compute->machines; machine; machine = machine->next)
		*ARENA_APPEND(scratch, folders, count) = arena_strdup(scratch, machine->folder);
	pthread_mutex_unlock(&compute->lock);
	for (size_t i = 0; i < count; i++)
		if (console_trim(folders[i], &err))
			log_warning("console-not-trimmed", "reason=\"%s\"", err.message);
}

int machine_agent_open(struct machine *machine, bool *open, struct error *err)
{
	json_t *devices, *device;
	size_t i;
	*open = false;
	if (qmp_command(machine->qmp, "query-chardev", NULL, COMMAND_TIMEOUT_MS, &devices, err))
		return -1;
	json_array_foreach(devices, i, device)
	{
		const char *label = json_string_value(json_object_get(device, "label"));
		if (text_equal(label, "agent"))
			*open = json_is_true(json_object_get(device, "frontend-open"));
	}
	json_decref(devices);
	return 0;
}

static void tell_agent(void *context)
{
	struct machine *machine = context;
	tell(machine, EVENT_MACHINE_AGENT);
	machine_unref(machine);
}

void machine_post_agent(struct machine *machine)
{
	compute_loop_post(machine->compute->loop, tell_agent, ref_machine(machine));
}
