/*
 * The dry driver: machines that are only states, for API tests and runs with more machines than a host could boot. FOLDER/dry-state holds the state, so that a restarted amid
 * knows; it is replaced in one step but not synced, since machines of any driver are gone after a power loss. Events come from the loop's thread, as those of real machines do.
 */
#include "compute/compute.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "compute/console.h"
#include "compute/compute_loop.h"
#include "compute/qemu_arguments.h"
#include "base/banned.h"

struct dry_machine {
	char *id, *folder;
	enum machine_state state;
};

struct compute {
	compute_listener *listener;
	void *context;
	struct compute_loop *loop;
	pthread_mutex_t lock;
	void *machines; /* a tree (search.h) of struct dry_machine by id */
};

static const char running_text[] = "running\n", shut_down_text[] = "shut-down\n";

static int compare_machines(const void *a, const void *b)
{
	return strcmp(((const struct dry_machine *)a)->id, ((const struct dry_machine *)b)->id);
}

static void free_machine(void *node)
{
	struct dry_machine *machine = node;
	free(machine->id);
	free(machine->folder);
	free(machine);
}

/* Under the lock, like all functions on struct dry_machine. */
static struct dry_machine *find_machine(struct compute *compute, const char *id)
{
	struct dry_machine key = { .id = (char *)(uintptr_t)id };
	struct dry_machine **found = tfind(&key, &compute->machines, compare_machines);
	return found ? *found : NULL;
}

static void add_machine(struct compute *compute, const char *id, const char *folder, enum machine_state state)
{
	struct dry_machine *machine = find_machine(compute, id);
	if (!machine) {
		machine = memory_alloc(sizeof *machine);
		*machine = (struct dry_machine){ .id = memory_strdup(id), .folder = memory_strdup(folder) };
		tsearch(machine, &compute->machines, compare_machines);
	}
	machine->state = state;
}

static const char *state_path(struct arena *arena, const char *folder)
{
	return arena_printf(arena, "%s/dry-state", folder);
}

static int write_state(const char *folder, enum machine_state state, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = state_path(scratch, folder), *temporary = arena_printf(scratch, "%s.new", path);
	const char *text = state == MACHINE_RUNNING ? running_text : shut_down_text;
	int fd FILE_SCOPED = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || file_write_full(fd, text, strlen(text)) || rename(temporary, path))
		return error_set_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int read_state(const char *folder, enum machine_state *state, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct error reason;
	char *text;
	size_t size;
	*state = MACHINE_ABSENT;
	if (file_read(state_path(scratch, folder), 64, scratch, &text, &size, &reason)) {
		if (reason.code == ERROR_NOT_FOUND)
			return 0;
		return error_set(err, reason.code, "%.500s", reason.message);
	}
	if (text_equal(text, running_text))
		*state = MACHINE_RUNNING;
	else if (text_equal(text, shut_down_text))
		*state = MACHINE_SHUT_DOWN;
	else
		return error_set(err, ERROR_CORRUPT, "%s/dry-state holds no state", folder);
	return 0;
}

static int append_console(const char *folder, const char *line, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = console_path(scratch, folder);
	int fd FILE_SCOPED = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || file_write_full(fd, line, strlen(line)))
		return error_set_errno(err, errno, "cannot write %s", path);
	return console_trim(folder, err);
}

static int open_dry(const char *state_folder, const char *runtime_folder, compute_listener *listener,
	void *context, struct compute **result, struct error *err)
{
	struct compute *compute = memory_alloc(sizeof *compute);
	*compute = (struct compute){ .listener = listener, .context = context };
	pthread_mutex_init(&compute->lock, NULL);
	if (compute_loop_create(&compute->loop, err)) {
		pthread_mutex_destroy(&compute->lock);
		free(compute);
		return -1;
	}
	*result = compute;
	return 0;
}

static void close_dry(struct compute *compute)
{
	compute_loop_destroy(compute->loop);
	tdestroy(compute->machines, free_machine);
	pthread_mutex_destroy(&compute->lock);
	free(compute);
}

/* What the machine is now, from memory or, the first time, from its folder. */
static int find_state(struct compute *compute, const char *id, const char *folder, enum machine_state *state,
	struct error *err)
{
	if (qemu_check_id(id, err))
		return -1;
	pthread_mutex_lock(&compute->lock);
	struct dry_machine *machine = find_machine(compute, id);
	if (machine)
		*state = machine->state;
	pthread_mutex_unlock(&compute->lock);
	if (machine)
		return 0;
	if (read_state(folder, state, err))
		return -1;
	if (*state == MACHINE_ABSENT)
		return 0;
	pthread_mutex_lock(&compute->lock);
	add_machine(compute, id, folder, *state);
	pthread_mutex_unlock(&compute->lock);
	return 0;
}

static int start_dry(struct compute *compute, const struct machine_spec *spec, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	enum machine_state state;
	if (qemu_check_spec(spec, err) || find_state(compute, spec->id, spec->folder, &state, err))
		return -1;
	if (state == MACHINE_RUNNING)
		return 0;
	if (state == MACHINE_SHUT_DOWN)
		return error_set(
			err, ERROR_CONFLICT, "machine %s has shut down and was not removed yet", spec->id);
	const char *line = arena_printf(scratch,
		"amid: %s is a dry machine (%s): nothing runs here, there is only its state\r\n", spec->id,
		spec->instance_type);
	if (append_console(spec->folder, line, err) || write_state(spec->folder, MACHINE_RUNNING, err))
		return -1;
	pthread_mutex_lock(&compute->lock);
	add_machine(compute, spec->id, spec->folder, MACHINE_RUNNING);
	pthread_mutex_unlock(&compute->lock);
	return 0;
}

/* The folder of a running machine, in the arena. */
static int get_running(
	struct compute *compute, struct arena *arena, const char *id, char **folder, struct error *err)
{
	pthread_mutex_lock(&compute->lock);
	struct dry_machine *machine = find_machine(compute, id);
	*folder = machine && machine->state == MACHINE_RUNNING ? arena_strdup(arena, machine->folder) : NULL;
	pthread_mutex_unlock(&compute->lock);
	return *folder ? 0 : error_set(err, ERROR_NOT_FOUND, "machine %s does not run", id);
}

struct dry_notice {
	struct compute *compute;
	char *id;
	enum machine_event event;
};

static void tell(void *context)
{
	struct dry_notice *notice = context;
	notice->compute->listener(notice->compute->context, notice->id, notice->event);
	free(notice->id);
	free(notice);
}

static void post_event(struct compute *compute, const char *id, enum machine_event event)
{
	struct dry_notice *notice = memory_alloc(sizeof *notice);
	*notice = (struct dry_notice){ .compute = compute, .id = memory_strdup(id), .event = event };
	compute_loop_post(compute->loop, tell, notice);
}

static int press_power_button(struct compute *compute, const char *id, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *folder;
	if (get_running(compute, scratch, id, &folder, err) ||
		append_console(folder, "amid: power button\r\n", err) ||
		write_state(folder, MACHINE_SHUT_DOWN, err))
		return -1;
	pthread_mutex_lock(&compute->lock);
	add_machine(compute, id, folder, MACHINE_SHUT_DOWN);
	pthread_mutex_unlock(&compute->lock);
	post_event(compute, id, EVENT_MACHINE_SHUT_DOWN);
	return 0;
}

static int destroy_dry(struct compute *compute, const char *id, const char *folder, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = state_path(scratch, folder);
	if (qemu_check_id(id, err))
		return -1;
	if (unlink(path) && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", path);
	pthread_mutex_lock(&compute->lock);
	struct dry_machine *machine = find_machine(compute, id);
	if (machine) {
		tdelete(machine, &compute->machines, compare_machines);
		free_machine(machine);
	}
	pthread_mutex_unlock(&compute->lock);
	return 0;
}

static int reset_dry(struct compute *compute, const char *id, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *folder;
	if (get_running(compute, scratch, id, &folder, err))
		return -1;
	return append_console(folder, "amid: reset\r\n", err);
}

static int check_running(struct compute *compute, const char *id, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *folder;
	return get_running(compute, scratch, id, &folder, err);
}

static int attach_dry(
	struct compute *compute, const char *id, const struct machine_disk *disk, struct error *err)
{
	return qemu_check_disk(disk, err) || check_running(compute, id, err) ? -1 : 0;
}

static int detach_dry(
	struct compute *compute, const char *id, const char *device_id, int timeout_ms, struct error *err)
{
	return check_running(compute, id, err);
}

static int resize_dry(
	struct compute *compute, const char *id, const char *device_id, uint64_t size, struct error *err)
{
	return check_running(compute, id, err);
}

static int limit_dry(struct compute *compute, const char *id, const char *device_id,
	const struct machine_disk_limits *limits, struct error *err)
{
	return check_running(compute, id, err);
}

static int resume_dry(struct compute *compute, const char *id, bool *paused, struct error *err)
{
	*paused = false; /* a dry machine writes nothing */
	return 0;
}

static int freeze_dry(struct compute *compute, const char *id, int timeout_ms, int *count, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, "machine %s is dry: it runs no guest agent", id);
}

static int thaw_dry(struct compute *compute, const char *id, int timeout_ms, struct error *err)
{
	return 0; /* nothing was frozen */
}

static int read_console(struct compute *compute, const char *id, const char *folder, size_t limit,
	struct arena *arena, char **data, size_t *size, int64_t *modified_ms, struct error *err)
{
	return console_read(folder, limit, arena, data, size, modified_ms, err);
}

static int find_user(
	struct compute *compute, const char *id, const char *folder, uid_t *user, struct error *err)
{
	*user = geteuid();
	return 0;
}

const struct compute_driver compute_driver_dry = {
	.name = "dry",
	.open = open_dry,
	.close = close_dry,
	.user = find_user,
	.start = start_dry,
	.state = find_state,
	.power_button = press_power_button,
	.destroy = destroy_dry,
	.reset = reset_dry,
	.attach_disk = attach_dry,
	.detach_disk = detach_dry,
	.resize_disk = resize_dry,
	.limit_disk = limit_dry,
	.resume = resume_dry,
	.freeze_file_systems = freeze_dry,
	.thaw_file_systems = thaw_dry,
	.console = read_console,
};
