/*
 * The client side of volume servers: starting and finding nbdkit processes, and speaking to their control sockets.
 *
 * Which process serves a volume is asked of the kernel: whoever listens on the control socket. Readiness is the pid file, which nbdkit writes when its sockets are bound; it is waited for with
 * inotify, together with the end of the process.
 * Any thread and any process: starting and stopping one volume's server is serialized by a lock file.
 */
#include "volume/server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "volume/cipher.h"
#include "volume/control.h"
#include "volume/trace.h"
#include "base/banned.h"

enum { START_LIMIT_MS = 30000, QUICK_LIMIT_MS = 10000, SLOW_LIMIT_MS = 600000, HOLD_LIMIT_MS = 5000 };

static const char *socket_path(
	const struct volume_server_paths *paths, const char *suffix, struct arena *arena)
{
	return arena_printf(arena, "%s/%s.%s", paths->socket_folder, paths->id, suffix);
}

/* Connects to the control socket; ERROR_NOT_FOUND if nobody listens. */
static int connect_control(const struct volume_server_paths *paths, int *fd_out, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = socket_path(paths, "ctl", scratch);
	if (strlen(path) >= sizeof address.sun_path)
		return error_set(err, ERROR_INVALID, "socket path too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
		int connect_errno = errno;
		close(fd);
		return connect_errno == ENOENT || connect_errno == ECONNREFUSED
			? error_set(err, ERROR_NOT_FOUND, "no server of volume %s is running", paths->id)
			: error_set_errno(err, connect_errno, "cannot connect to %s", path);
	}
	*fd_out = fd;
	return 0;
}

static int read_answer(int fd, char line[CONTROL_LINE_LIMIT], const char *id, struct error *err)
{
	for (size_t used = 0; used < CONTROL_LINE_LIMIT;) {
		ssize_t got = recv(fd, line + used, CONTROL_LINE_LIMIT - used, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return error_set(err, ERROR_TIMEOUT, "the server of volume %s does not answer", id);
		if (got <= 0)
			return error_set(err, ERROR_UNAVAILABLE, "the server of volume %s ended", id);
		char *end = memchr(line + used, '\n', (size_t)got);
		used += (size_t)got;
		if (end) {
			*end = '\0';
			return 0;
		}
	}
	return error_set(err, ERROR_INTERNAL, "the server of volume %s answered nonsense", id);
}

/* One command and its answer. `words` (may be NULL) has room for a line. */
static int ask(int fd, const char *id, const struct control_command *command, int limit_ms, char *words,
	struct error *err)
{
	char line[CONTROL_LINE_LIMIT + 1];
	const char *rest;
	struct timeval limit = { .tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000 };
	control_format(command, line);
	size_t size = strlen(line);
	line[size++] = '\n';
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (send(fd, line, size, MSG_NOSIGNAL) != (ssize_t)size)
		return error_set(err, ERROR_UNAVAILABLE, "the server of volume %s ended", id);
	if (read_answer(fd, line, id, err) || control_parse_answer(line, &rest, err))
		return -1;
	if (words)
		snprintf(words, CONTROL_LINE_LIMIT, "%s", rest);
	return 0;
}

/* A command over a connection of its own. */
static int ask_once(const struct volume_server_paths *paths, const struct control_command *command,
	int limit_ms, struct error *err)
{
	int fd FILE_SCOPED = -1;
	if (connect_control(paths, &fd, err))
		return -1;
	return ask(fd, paths->id, command, limit_ms, NULL, err);
}

static int identify_peer(int fd, const char *id, struct process *process, struct error *err)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || process_identify(peer.pid, process))
		return error_set(err, ERROR_NOT_FOUND, "no server of volume %s is running", id);
	return 0;
}

int volume_server_find(const struct volume_server_paths *paths, struct process *process, struct error *err)
{
	int fd FILE_SCOPED = -1;
	if (connect_control(paths, &fd, err))
		return -1;
	return identify_peer(fd, paths->id, process, err);
}

/* Whether the file that was locked is still the one of that name: whoever stops a server removes it. */
static bool is_current(int fd, const char *path)
{
	struct stat locked, named;
	return fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
		locked.st_dev == named.st_dev;
}

/* Keeps others from starting or stopping this server; the descriptor is the lock. */
static int lock_server(const struct volume_server_paths *paths, int *fd, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = socket_path(paths, "lock", scratch);
	for (;;) {
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (*fd < 0)
			return error_set_errno(err, errno, "cannot open %s", path);
		while (flock(*fd, LOCK_EX))
			if (errno != EINTR)
				return error_set_errno(err, errno, "cannot lock %s", path);
		if (is_current(*fd, path))
			return 0;
		close(*fd);
		*fd = -1;
	}
}

static void remove_stale(const struct volume_server_paths *paths)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	unlink(socket_path(paths, "nbd", scratch));
	unlink(socket_path(paths, "ctl", scratch));
	unlink(socket_path(paths, "pid", scratch));
}

/* The reading end of a pipe that has the key, and its end. A pipe is memory of the kernel: nobody else can look into it, and nothing is left of it. */
static int make_key_pipe(const uint8_t *key, int *fd, struct error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		return error_set_errno(err, errno, "cannot make a pipe");
	*fd = ends[0];
	ssize_t written = write(ends[1], key, CIPHER_KEY_SIZE); /* there is room: it does not wait */
	close(ends[1]);
	return written == CIPHER_KEY_SIZE ? 0 : error_set_errno(err, errno, "cannot write to a pipe");
}

static int spawn_server(const struct volume_server_paths *paths, struct process *process, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	int key_fd FILE_SCOPED = -1;
	if (paths->key && make_key_pipe(paths->key, &key_fd, err))
		return -1;
	const char *argv[] = { "nbdkit", "-f", "-U", socket_path(paths, "nbd", scratch), "-P",
		socket_path(paths, "pid", scratch), paths->plugin,
		arena_printf(scratch, "volume=%s", paths->volume_folder),
		arena_printf(scratch, "runtime=%s", paths->runtime_folder),
		arena_printf(scratch, "store=%s", paths->store_folder),
		arena_printf(scratch, "control=%s", socket_path(paths, "ctl", scratch)),
		arena_printf(scratch, "id=%s", paths->id),
		/* what may be missing, last */
		NULL, NULL, NULL, NULL };
	size_t count = 0;
	while (argv[count])
		count++;
	if (paths->trace_folder)
		argv[count++] = arena_printf(scratch, "traces=%s", paths->trace_folder);
	if (paths->reserve)
		argv[count++] = arena_printf(scratch, "reserve=%s", paths->reserve);
	if (key_fd >= 0)
		argv[count] = arena_printf(scratch, "key-fd=%d", key_fd);
	return process_spawn(argv, paths->log, &key_fd, key_fd >= 0, process, err);
}

/* Waits for the pid file, or the end of the process. `watch` is an inotify descriptor on the socket folder. */
static int wait_ready(
	const struct volume_server_paths *paths, const struct process *process, int watch, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = socket_path(paths, "pid", scratch);
	int pid_fd FILE_SCOPED = (int)syscall(SYS_pidfd_open, process->pid, 0);
	int64_t deadline = clock_monotonic_ms() + START_LIMIT_MS;
	char events[4096];
	for (;;) {
		struct stat status;
		if (!stat(path, &status) && status.st_size > 0)
			return 0;
		if (!process_is_alive(process))
			return error_set(err, ERROR_INTERNAL, "the server of volume %s did not start; see %s",
				paths->id, paths->log);
		int64_t left = deadline - clock_monotonic_ms();
		struct pollfd waits[] = { { .fd = watch, .events = POLLIN },
			{ .fd = pid_fd, .events = POLLIN } };
		if (left <= 0 || (poll(waits, 2, (int)left) < 0 && errno != EINTR))
			return error_set(
				err, ERROR_TIMEOUT, "the server of volume %s does not get ready", paths->id);
		if (waits[0].revents && read(watch, events, sizeof events) < 0 && errno != EINTR)
			return error_set_errno(err, errno, "cannot watch %s", paths->socket_folder);
	}
}

static int ask_status(const struct volume_server_paths *paths, struct error *err)
{
	const struct control_command status = { .verb = CONTROL_STATUS };
	return ask_once(paths, &status, QUICK_LIMIT_MS, err);
}

/* It was made with a mode for nobody but us (plugin.c), so there is no moment in which others could connect. */
static int give_to_client(const struct volume_server_paths *paths, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = socket_path(paths, "nbd", scratch);
	uid_t owner = paths->client ? paths->client : geteuid();
	struct stat status;
	if (lstat(path, &status) || chmod(path, 0600) ||
		(status.st_uid != owner && lchown(path, owner, (gid_t)-1)))
		return error_set_errno(err, errno, "cannot protect the socket of volume %s", paths->id);
	return 0;
}

static int start_new(const struct volume_server_paths *paths, struct process *process, struct error *err)
{
	remove_stale(paths);
	int watch FILE_SCOPED = inotify_init1(IN_CLOEXEC);
	if (watch < 0 ||
		inotify_add_watch(watch, paths->socket_folder, IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		return error_set_errno(err, errno, "cannot watch %s", paths->socket_folder);
	if (spawn_server(paths, process, err))
		return -1;
	if (wait_ready(paths, process, watch, err) || ask_status(paths, err)) {
		process_signal(process, SIGKILL);
		return -1;
	}
	return 0;
}

int volume_server_start(const struct volume_server_paths *paths, struct process *process, struct error *err)
{
	int lock FILE_SCOPED = -1;
	if (lock_server(paths, &lock, err))
		return -1;
	bool runs = volume_server_find(paths, process, NULL) == 0;
	if (runs ? ask_status(paths, err) : start_new(paths, process, err))
		return -1;
	return give_to_client(paths, err);
}

static int stop_locked(const struct volume_server_paths *paths, int timeout_ms, struct error *err)
{
	struct process process;
	struct error found;
	const struct control_command shutdown = { .verb = CONTROL_SHUTDOWN };
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	if (volume_server_find(paths, &process, &found)) {
		if (found.code == ERROR_NOT_FOUND) {
			remove_stale(paths);
			return 0;
		}
		return error_set(err, found.code, "%s", found.message);
	}
	/* an answer that does not come, or is an error, is no reason to wait: the kill below loses nothing but what was not flushed */
	(void)ask_once(paths, &shutdown, timeout_ms > 0 ? timeout_ms : 1, NULL);
	int64_t left = deadline - clock_monotonic_ms();
	if (process_wait_end(&process, left > 0 ? (int)left : 0, NULL)) {
		process_signal(&process, SIGKILL);
		if (process_wait_end(&process, QUICK_LIMIT_MS, err))
			return -1;
	}
	remove_stale(paths);
	return 0;
}

int volume_server_stop(const struct volume_server_paths *paths, int timeout_ms, struct error *err)
{
	int lock FILE_SCOPED = -1;
	if (lock_server(paths, &lock, err) || stop_locked(paths, timeout_ms, err))
		return -1;
	struct arena *scratch ARENA_SCOPED = arena_create();
	unlink(socket_path(paths, "lock", scratch)); /* while it is held: see is_current */
	return 0;
}

/* Hold all, freeze all, release all. Connections that are closed release by themselves, so errors need no clean-up. */
static int freeze_all(const struct volume_server_paths *paths, unsigned count, const int *fds,
	uint64_t *layers, struct error *err)
{
	const struct control_command hold = { .verb = CONTROL_HOLD, .number = HOLD_LIMIT_MS };
	const struct control_command freeze = { .verb = CONTROL_FREEZE },
				     release = { .verb = CONTROL_RELEASE };
	char words[CONTROL_LINE_LIMIT];
	for (unsigned i = 0; i < count; i++)
		if (ask(fds[i], paths[i].id, &hold, QUICK_LIMIT_MS, NULL, err))
			return -1;
	for (unsigned i = 0; i < count; i++) {
		if (ask(fds[i], paths[i].id, &freeze, QUICK_LIMIT_MS, words, err))
			return -1;
		layers[i] = strtoull(words, NULL, 10);
	}
	for (unsigned i = 0; i < count; i++)
		if (ask(fds[i], paths[i].id, &release, QUICK_LIMIT_MS, NULL, err))
			return -1;
	return 0;
}

int volume_server_freeze(
	const struct volume_server_paths *paths, unsigned count, uint64_t *layers, struct error *err)
{
	int *fds = memory_alloc((count + 1) * sizeof *fds), result = 0;
	unsigned connected = 0;
	while (!result && connected < count) {
		result = connect_control(&paths[connected], &fds[connected], err);
		connected += !result;
	}
	if (!result)
		result = freeze_all(paths, count, fds, layers, err);
	for (unsigned i = 0; !result && i < count; i++) {
		const struct control_command sync = { .verb = CONTROL_SYNC, .number = layers[i] };
		result = ask(fds[i], paths[i].id, &sync, SLOW_LIMIT_MS, NULL, err);
	}
	for (unsigned i = 0; i < connected; i++)
		close(fds[i]);
	free(fds);
	return result;
}

int volume_server_rebase(
	const struct volume_server_paths *paths, uint64_t layer, const struct digest *root, struct error *err)
{
	const struct control_command command = { .verb = CONTROL_REBASE, .number = layer, .root = *root };
	return ask_once(paths, &command, SLOW_LIMIT_MS, err);
}

int volume_server_let_go(const struct volume_server_paths *paths, struct error *err)
{
	const struct control_command command = { .verb = CONTROL_LET_GO };
	return ask_once(paths, &command, QUICK_LIMIT_MS, err);
}

int volume_server_grow(const struct volume_server_paths *paths, uint64_t size, struct error *err)
{
	const struct control_command command = { .verb = CONTROL_GROW, .number = size };
	return ask_once(paths, &command, QUICK_LIMIT_MS, err);
}

int volume_server_trace(
	const struct volume_server_paths *paths, const struct digest *root, unsigned ms, struct error *err)
{
	const struct control_command prefetch = {
		.verb = CONTROL_PREFETCH, .number = TRACE_LIMIT, .root = *root
	};
	const struct control_command record = { .verb = CONTROL_RECORD, .number = ms, .root = *root };
	struct error found;
	if (ask_once(paths, &record, QUICK_LIMIT_MS, err))
		return -1;
	/* none yet; or damaged, then it is replaced */
	if (ask_once(paths, &prefetch, QUICK_LIMIT_MS, &found) == 0 || found.code == ERROR_NOT_FOUND ||
		found.code == ERROR_CORRUPT)
		return 0;
	return error_set(err, found.code, "%s", found.message);
}
