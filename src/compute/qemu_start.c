/*
 * The start of a machine's process: what it is given, spawning it, its first words.
 *
 * It has a user of its own, who may open nothing in amid's folders: whatever is there is opened here and handed over (its lock, the console's file, the firmware's variables, the sockets at which it is to be spoken to, taps). It
 * opens by path what everybody may read (firmware, /dev/urandom), /dev/kvm, and the sockets of its disks, which are its user's. Runs on the caller's thread.
 */
#include "compute/qemu_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "compute/console.h"
#include "compute/qemu_arguments.h"
#include "compute/sockets.h"
#include "base/banned.h"

enum {
	KILL_TIMEOUT_MS = 20000,
	FIRMWARE_LIMIT = 16 << 20,
	OWN_FDS = 6, /* monitor, serial, agent, console, variables twice */
};

static const char firmware_code[] = "/usr/share/OVMF/OVMF_CODE_4M.fd";
static const char firmware_variables[] = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/* What the process keeps; the first `own_count` are ours to close. */
struct handover {
	int *fds;
	unsigned count, own_count;
};

static void close_handover(struct handover *handover)
{
	while (handover->own_count)
		close(handover->fds[--handover->own_count]);
}
#define HANDOVER_SCOPED __attribute__((cleanup(close_handover)))

static void hand_over(struct handover *handover, int fd)
{
	handover->fds[handover->count++] = fd;
	handover->own_count = handover->count;
}

static int open_file(struct handover *handover, const char *path, int flags, int *fd, struct error *err)
{
	*fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	hand_over(handover, *fd);
	return 0;
}

/* The machine's own copy of the firmware's variables: they live as long as its folder. */
static int prepare_firmware(struct arena *arena, const struct machine_spec *spec, struct handover *handover,
	struct qemu_options *options, struct error *err)
{
	char *data;
	size_t size;
	if (!spec->uefi)
		return 0;
	const char *path = arena_printf(arena, "%s/uefi-variables", spec->folder);
	if (access(path, F_OK)) {
		if (file_read(firmware_variables, FIRMWARE_LIMIT, arena, &data, &size, err))
			return error_prefix(err, "no UEFI firmware (package ovmf)");
		if (file_replace(path, data, size, 0600, err))
			return -1;
	}
	options->firmware = firmware_code;
	/* QEMU looks at it before it opens it for writing */
	return open_file(handover, path, O_RDWR, &options->variables_fd, err) ||
			open_file(handover, path, O_RDONLY, &options->variables_read_fd, err)
		? -1
		: 0;
}

static int open_channel(struct compute *compute, struct arena *arena, const char *id, const char *kind,
	struct handover *handover, int *fd, struct error *err)
{
	if (socket_listen(machine_socket(arena, compute, id, kind), fd, err))
		return -1;
	hand_over(handover, *fd);
	return 0;
}

/* `handover` is to be closed also on failure. */
static int prepare(struct compute *compute, struct arena *arena, const struct machine_spec *spec, int lock_fd,
	struct handover *handover, struct qemu_options *options, struct error *err)
{
	handover->fds = arena_alloc_array(arena, OWN_FDS + spec->nic_count + 1, sizeof *handover->fds);
	*options = (struct qemu_options){ .privileged = compute->privileged, .own_user = compute->own_users };
	options->kvm = acceleration_has_kvm(compute->acceleration) &&
		qemu_users_may_use_kvm(compute, &options->kvm_group);
	if (qemu_users_promise(compute, spec->id, &options->user, err) ||
		open_channel(compute, arena, spec->id, "qmp", handover, &options->monitor_fd, err) ||
		open_channel(compute, arena, spec->id, "serial", handover, &options->serial_fd, err) ||
		open_channel(compute, arena, spec->id, "agent", handover, &options->agent_fd, err) ||
		open_file(handover, console_path(arena, spec->folder), O_WRONLY | O_APPEND | O_CREAT,
			&options->console_fd, err) ||
		prepare_firmware(arena, spec, handover, options, err))
		return -1;
	/* the caller's */
	handover->fds[handover->count++] = lock_fd;
	for (unsigned i = 0; i < spec->nic_count; i++)
		if (spec->nics[i].tap_fd >= 0)
			handover->fds[handover->count++] = spec->nics[i].tap_fd;
	return 0;
}

/* The last line of QEMU's output, where it says why it would not start. */
static const char *last_words(struct arena *arena, const char *folder)
{
	char *text;
	size_t size;
	if (file_read(arena_printf(arena, "%s/qemu.log", folder), 64 << 10, arena, &text, &size, NULL) ||
		!size)
		return "no output";
	while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		text[--size] = '\0';
	char *line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

static int spawn(struct compute *compute, const struct machine_spec *spec, const struct qemu_options *options,
	const struct handover *handover, struct process *process, int *monitor_fd, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *log = arena_printf(scratch, "%s/qemu.log", spec->folder);
	if (socket_connect(machine_socket(scratch, compute, spec->id, "qmp"), monitor_fd, err))
		return -1;
	unlink(log);
	if (process_spawn(qemu_arguments(scratch, spec, options), log, handover->fds, handover->count,
		    process, err) == 0)
		return 0;
	close(*monitor_fd);
	return -1;
}

static void end_process(const struct process *process)
{
	process_signal(process, SIGKILL);
	process_wait_end(process, KILL_TIMEOUT_MS, NULL);
}

int qemu_launch(
	struct compute *compute, const struct machine_spec *spec, int lock_fd, bool *kvm, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct handover handover HANDOVER_SCOPED = { 0 };
	struct qemu_options options;
	int monitor_fd;
	struct process process;
	struct machine *machine MACHINE_SCOPED = NULL;
	if (prepare(compute, scratch, spec, lock_fd, &handover, &options, err) ||
		spawn(compute, spec, &options, &handover, &process, &monitor_fd, err))
		return -1;
	*kvm = options.kvm;
	/* else the connection would outlive a QEMU that ends at once, and we would wait for its greeting */
	close_handover(&handover);
	if (machine_connect(
		    compute, spec->id, spec->folder, &process, monitor_fd, START_TIMEOUT_MS, &machine, err)) {
		end_process(&process);
		return error_prefix(
			err, "QEMU did not start (\"%.200s\")", last_words(scratch, spec->folder));
	}
	if (machine->user == options.user)
		return 0;
	machine_forget(machine);
	end_process(&process);
	return error_set(err, ERROR_INTERNAL, "QEMU runs as user %u instead of %u", (unsigned)machine->user,
		(unsigned)options.user);
}
