/*
 * The life of QEMU machines: start, state, destroy, and taking up those of an earlier amid.
 *
 * Starting: take the machine's lock, listen at its monitor socket and connect to it ourselves, spawn QEMU with both descriptors, wait for its greeting (qemu_start.c). QEMU inherits the listening
 * socket, so there is no moment to poll for: either the greeting comes, or the process ends and the connection with it. Nothing is written down by amid; what a later
 * amid needs is the lock that QEMU holds and the identity that it wrote (process_lock.h), so amid may be killed at any point.
 */
#include "compute/qemu_internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "compute/console.h"
#include "compute/process_lock.h"
#include "compute/qemu_arguments.h"
#include "compute/sockets.h"
#include "base/banned.h"

enum {
	TRIM_INTERVAL_S = 10,
	QUIT_TIMEOUT_MS = 500,
	END_TIMEOUT_MS = 2000,
	KILL_TIMEOUT_MS = 20000,
	TAKE_UP_TIMEOUT_MS = 5000,
};

static void trim_tick(void *context, uint32_t events)
{
	struct compute *compute = context;
	uint64_t ticks;
	if (read(compute->trim_fd, &ticks, sizeof ticks) == sizeof ticks)
		machine_trim_consoles(compute);
}

static const struct compute_loop_handler trim_handler = { .ready = trim_tick };

static int start_trimming(struct compute *compute, struct error *err)
{
	struct itimerspec interval = { .it_interval.tv_sec = TRIM_INTERVAL_S,
		.it_value.tv_sec = TRIM_INTERVAL_S };
	compute->trim_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (compute->trim_fd < 0 || timerfd_settime(compute->trim_fd, 0, &interval, NULL))
		return error_set_errno(err, errno, "cannot make a timer");
	return compute_loop_add(
		compute->loop, compute->trim_fd, &trim_handler, compute, &compute->trim_source, err);
}

/* A set of those below 32. */
static uint32_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	return syscall(SYS_capget, &header, data) == 0 ? data[0].effective : 0;
}

/* What may be done to confine QEMU. */
static void look_at_privileges(struct compute *compute)
{
	const uint32_t users = 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_CHOWN;
	uint32_t all = effective_capabilities();
	compute->privileged = all & 1U << CAP_SETPCAP;
	compute->own_users =
		geteuid() == 0 && compute->privileged && (all & users) == users && qemu_users_possible();
}

static void close_qemu(struct compute *compute)
{
	acceleration_close(compute->acceleration);
	if (compute->loop) {
		machine_forget_all(compute);
		if (compute->trim_source)
			compute_loop_remove(compute->loop, compute->trim_source);
		else if (compute->trim_fd >= 0)
			close(compute->trim_fd);
		compute_loop_destroy(compute->loop);
	}
	qemu_users_close(compute);
	pthread_mutex_destroy(&compute->lock);
	free(compute->state_folder);
	free(compute->runtime_folder);
	free(compute);
}

static int open_qemu(const char *state_folder, const char *runtime_folder, compute_listener *listener,
	void *context, struct compute **result, struct error *err)
{
	struct compute *compute = memory_alloc(sizeof *compute);
	*compute = (struct compute){ .state_folder = memory_strdup(state_folder),
		.runtime_folder = memory_strdup(runtime_folder),
		.listener = listener,
		.context = context,
		.trim_fd = -1 };
	pthread_mutex_init(&compute->lock, NULL);
	look_at_privileges(compute);
	if (file_make_folder(state_folder, 0700, err) || file_make_folder(runtime_folder, 0700, err) ||
		compute_loop_create(&compute->loop, err) || start_trimming(compute, err) ||
		acceleration_open(state_folder, &compute->acceleration, err)) {
		close_qemu(compute);
		return -1;
	}
	*result = compute;
	return 0;
}

/* A machine that another amid started: finds its process and speaks to it. ERROR_NOT_FOUND if there is no process. */
static int take_up(struct compute *compute, const char *id, const char *folder, struct machine **machine,
	struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct process process;
	int monitor_fd;
	bool agent;
	if (process_lock_find(folder, &process, err))
		return -1;
	if (socket_connect(machine_socket(scratch, compute, id, "qmp"), &monitor_fd, err)) {
		if (err && err->code == ERROR_NOT_FOUND)
			err->code = ERROR_UNAVAILABLE; /* there is a machine, though nobody can speak to it */
		return error_prefix(err, "machine %s runs without a monitor", id);
	}
	if (machine_connect(compute, id, folder, &process, monitor_fd, TAKE_UP_TIMEOUT_MS, machine, err))
		return -1;
	log_info("machine-taken-up", "id=%s pid=%d", id, (int)process.pid);
	(*machine)->thaw_owed = true; /* perhaps: the amid that froze it may have died */
	if (machine_agent_open(*machine, &agent, NULL) == 0 && agent)
		machine_post_agent(*machine); /* the event itself came while nobody listened */
	return 0;
}

static int query_state(struct machine *machine, enum machine_state *state, struct error *err)
{
	json_t *result;
	if (qmp_command(machine->qmp, "query-status", NULL, COMMAND_TIMEOUT_MS, &result, err))
		return -1;
	const char *status = json_string_value(json_object_get(result, "status"));
	*state = text_equal(status, "shutdown") ? MACHINE_SHUT_DOWN : MACHINE_RUNNING;
	json_decref(result);
	return 0;
}

static int state_qemu(struct compute *compute, const char *id, const char *folder, enum machine_state *state,
	struct error *err)
{
	struct error reason = { 0 };
	*state = MACHINE_ABSENT;
	if (qemu_check_id(id, err))
		return -1;
	struct machine *known MACHINE_SCOPED = machine_find(compute, id);
	if (known && process_is_alive(&known->process) && query_state(known, state, &reason) == 0)
		return 0;
	/* ended, or its monitor's connection broke: look afresh */
	if (known && reason.code == ERROR_TIMEOUT)
		return error_set(err, reason.code, "machine %s: %.400s", id, reason.message);
	if (known)
		machine_forget(known);
	struct machine *machine MACHINE_SCOPED = NULL;
	if (take_up(compute, id, folder, &machine, &reason) == 0)
		return query_state(machine, state, err);
	if (reason.code == ERROR_NOT_FOUND)
		return 0;
	return error_set(err, reason.code, "%.500s", reason.message);
}

static int start_qemu(struct compute *compute, const struct machine_spec *spec, struct error *err)
{
	enum machine_state state;
	int lock_plain;
	bool kvm;
	int64_t begin = clock_monotonic_ms();
	struct error ignored;
	if (qemu_check_spec(spec, err) || state_qemu(compute, spec->id, spec->folder, &state, err))
		return -1;
	if (state == MACHINE_RUNNING)
		return 0;
	if (state == MACHINE_SHUT_DOWN)
		return error_set(
			err, ERROR_CONFLICT, "machine %s has shut down and was not removed yet", spec->id);
	if (process_lock_take(spec->folder, &lock_plain, err))
		return -1;
	int lock_fd FILE_SCOPED = lock_plain;
	if (console_trim(spec->folder, &ignored))
		log_warning("console-not-trimmed", "reason=\"%s\"", ignored.message);
	if (qemu_launch(compute, spec, lock_fd, &kvm, err))
		return error_prefix(err, "cannot start machine %s", spec->id);
	log_info("machine-started", "id=%s type=%s ms=%d accelerator=%s", spec->id, spec->instance_type,
		(int)(clock_monotonic_ms() - begin), kvm ? "kvm" : "tcg");
	return 0;
}

static void remove_leftovers(struct compute *compute, const char *id, const char *folder)
{
	static const char *const kinds[] = { "qmp", "agent", "serial" };
	struct arena *scratch ARENA_SCOPED = arena_create();
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
		unlink(machine_socket(scratch, compute, id, kinds[i]));
	unlink(arena_printf(scratch, "%s/%s", folder, process_lock_identity_file));
}

/* "quit" lets QEMU hand what it has to the volume servers; if it does not come to that soon, it is killed. */
static int end_machine(struct machine *machine, const struct process *process, struct error *err)
{
	if (machine) {
		pthread_mutex_lock(&machine->lock);
		machine->destroying = true;
		pthread_mutex_unlock(&machine->lock);
		qmp_command(machine->qmp, "quit", NULL, QUIT_TIMEOUT_MS, NULL, NULL);
		if (process_wait_end(process, END_TIMEOUT_MS, NULL) == 0)
			return 0;
		log_warning("machine-killed", "id=%s pid=%d", machine->id, (int)process->pid);
	}
	process_signal(process, SIGKILL);
	return process_wait_end(process, KILL_TIMEOUT_MS, err);
}

static int destroy_qemu(struct compute *compute, const char *id, const char *folder, struct error *err)
{
	struct process process;
	struct error reason;
	if (qemu_check_id(id, err))
		return -1;
	struct machine *machine MACHINE_SCOPED = machine_find(compute, id);
	bool found = process_lock_find(folder, &process, &reason) == 0;
	if (!found && reason.code != ERROR_NOT_FOUND)
		return error_set(err, reason.code, "%.500s", reason.message);
	if (!found && machine) {
		/* ended, most likely; but one that a guest has taken over may have let its lock go */
		process = machine->process;
		found = process_is_alive(&process);
	}
	if (found && end_machine(machine, &process, err))
		return error_prefix(err, "cannot end machine %s", id);
	if (machine)
		machine_forget(machine);
	remove_leftovers(compute, id, folder);
	qemu_users_release(compute, id);
	return 0;
}

static bool find_process_user(struct compute *compute, const char *id, uid_t *user)
{
	struct machine *machine MACHINE_SCOPED = machine_find(compute, id);
	if (!machine || !process_is_alive(&machine->process))
		return false;
	*user = machine->user;
	return true;
}

static int find_user(
	struct compute *compute, const char *id, const char *folder, uid_t *user, struct error *err)
{
	enum machine_state state;
	if (qemu_check_id(id, err))
		return -1;
	if (find_process_user(compute, id, user))
		return 0;
	/* takes it up if an earlier amid has started it */
	if (state_qemu(compute, id, folder, &state, err))
		return -1;
	return find_process_user(compute, id, user) ? 0 : qemu_users_promise(compute, id, user, err);
}

static int run_simple(struct compute *compute, const char *id, const char *command, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	if (machine_get(compute, id, &machine, err))
		return -1;
	if (qmp_command(machine->qmp, command, NULL, COMMAND_TIMEOUT_MS, NULL, err))
		return error_prefix(err, "machine %s", id);
	return 0;
}

static int press_power_button(struct compute *compute, const char *id, struct error *err)
{
	return run_simple(compute, id, "system_powerdown", err);
}

static int reset_qemu(struct compute *compute, const char *id, struct error *err)
{
	return run_simple(compute, id, "system_reset", err);
}

static int resume_qemu(struct compute *compute, const char *id, bool *paused, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	json_t *result;
	*paused = false;
	if (machine_get(compute, id, &machine, err) ||
		qmp_command(machine->qmp, "query-status", NULL, COMMAND_TIMEOUT_MS, &result, err))
		return -1;
	*paused = text_equal(json_string_value(json_object_get(result, "status")), "io-error");
	json_decref(result);
	return *paused ? run_simple(compute, id, "cont", err) : 0;
}

static int read_console(struct compute *compute, const char *id, const char *folder, size_t limit,
	struct arena *arena, char **data, size_t *size, int64_t *modified_ms, struct error *err)
{
	return console_read(folder, limit, arena, data, size, modified_ms, err);
}

const struct compute_driver compute_driver_qemu = {
	.name = "qemu",
	.open = open_qemu,
	.close = close_qemu,
	.user = find_user,
	.start = start_qemu,
	.state = state_qemu,
	.power_button = press_power_button,
	.destroy = destroy_qemu,
	.reset = reset_qemu,
	.resume = resume_qemu,
	.attach_disk = qemu_attach_disk,
	.detach_disk = qemu_detach_disk,
	.resize_disk = qemu_resize_disk,
	.limit_disk = qemu_limit_disk,
	.freeze_file_systems = qemu_freeze_file_systems,
	.thaw_file_systems = qemu_thaw_file_systems,
	.console = read_console,
};
