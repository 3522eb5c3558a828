/*
 * Serving the control socket: one thread accepts, each connection has a thread of its own (few, and a sync may take long). A hold belongs to the connection that asked for it, and ends
 * with it; `holder` says whose it is.
 *
 * nbdkit ends only when its clients have gone, and ours never do. So the process is ended from here: the volume flushed, its gate closed for good.
 */
#include "volume/control_server.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "volume/control.h"
#include "volume/prefetch.h"
#include "volume/volume.h"
#include "volume/volume_internal.h"
#include "base/banned.h"

enum { CONNECTION_LIMIT = 32 };

struct connection;

struct control_server {
	struct volume *volume;
	const char *traces;
	int fd;
	struct sockaddr_un address;
	_Atomic int connections;
	pthread_mutex_t lock;
	struct connection *holder;
};

struct connection {
	struct control_server *server;
	int fd;
	char line[CONTROL_LINE_LIMIT];
	size_t used;
};

int control_server_create(const char *path, struct volume *volume, const char *traces,
	struct control_server **server_out, struct error *err)
{
	struct control_server *server = memory_alloc(sizeof *server);
	*server = (struct control_server){
		.volume = volume, .traces = traces, .address = { .sun_family = AF_UNIX }
	};
	pthread_mutex_init(&server->lock, NULL);
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->fd < 0) {
		error_set_errno(err, errno, "cannot make a socket");
		goto failed;
	}
	if ((size_t)snprintf(server->address.sun_path, sizeof server->address.sun_path, "%s", path) >=
		sizeof server->address.sun_path) {
		error_set(err, ERROR_INVALID, "socket path too long: %s", path);
		goto failed;
	}
	/* the volume's lock is ours, so nobody else serves this socket */
	unlink(path);
	/* Linux gives the name the mode of the socket at bind */
	if (fchmod(server->fd, 0600) ||
		bind(server->fd, (struct sockaddr *)&server->address, sizeof server->address) ||
		listen(server->fd, CONNECTION_LIMIT)) {
		error_set_errno(err, errno, "cannot listen on %s", path);
		goto failed;
	}
	*server_out = server;
	return 0;
failed:
	if (server->fd >= 0)
		close(server->fd);
	pthread_mutex_destroy(&server->lock);
	free(server);
	return -1;
}

int control_server_end_process(struct control_server *server, struct error *err)
{
	if (volume_retire(server->volume, err))
		return -1;
	unlink(server->address.sun_path);
	log_info("volume-server-ended", "pid=%d", (int)getpid());
	_exit(0);
}

static bool someone_else_holds(struct connection *connection)
{
	struct control_server *server = connection->server;
	pthread_mutex_lock(&server->lock);
	bool held = server->holder && server->holder != connection;
	pthread_mutex_unlock(&server->lock);
	return held;
}

static int hold(struct connection *connection, uint64_t limit_ms, struct error *err)
{
	struct control_server *server = connection->server;
	enum { LONGEST_MS = 60000 };
	if (volume_hold(server->volume, limit_ms < LONGEST_MS ? (unsigned)limit_ms : LONGEST_MS, err))
		return -1;
	pthread_mutex_lock(&server->lock);
	server->holder = connection;
	pthread_mutex_unlock(&server->lock);
	return 0;
}

static void release(struct connection *connection)
{
	struct control_server *server = connection->server;
	pthread_mutex_lock(&server->lock);
	if (server->holder == connection) {
		server->holder = NULL;
		volume_release(server->volume);
	}
	pthread_mutex_unlock(&server->lock);
}

static int rebase(struct volume *volume, const struct control_command *command, struct error *err)
{
	struct prefetch_task *noted = prefetch_note(volume, command->number);
	int result = volume_rebase(volume, command->number, &command->root, err);
	prefetch_noted(noted, result == 0);
	return result;
}

/* Does a command; what follows "ok " goes to `words`. */
static int run_command(struct connection *connection, const struct control_command *command, char *words,
	size_t size, struct error *err)
{
	struct volume *volume = connection->server->volume;
	uint64_t layer;
	switch (command->verb) {
	case CONTROL_HOLD:
		return hold(connection, command->number, err);
	case CONTROL_FREEZE:
		if (someone_else_holds(connection))
			return error_set(err, ERROR_CONFLICT, "the volume is held by another connection");
		if (volume_freeze(volume, &layer, err))
			return -1;
		snprintf(words, size, "%" PRIu64, layer);
		return 0;
	case CONTROL_SYNC:
		return volume_sync_frozen(volume, command->number, err);
	case CONTROL_RELEASE:
		release(connection);
		return 0;
	case CONTROL_REBASE:
		return rebase(volume, command, err);
	case CONTROL_GROW:
		return volume_grow(volume, command->number, err);
	case CONTROL_RECORD:
	case CONTROL_PREFETCH:
		if (!connection->server->traces)
			return error_set(err, ERROR_INVALID, "no folder for boot traces was given");
		return (command->verb == CONTROL_RECORD ? prefetch_record : prefetch_start)(
			volume, connection->server->traces, &command->root, command->number, err);
	case CONTROL_LET_GO:
		return volume_let_go(volume, err);
	case CONTROL_STATUS:
		snprintf(words, size, "pid=%d size=%" PRIu64, (int)getpid(), volume_size(volume));
		return 0;
	case CONTROL_SHUTDOWN:
		return volume_retire(volume, err);
	}
	return error_set(err, ERROR_INVALID, "no such command");
}

static int answer(struct connection *connection, const char *line)
{
	char text[CONTROL_LINE_LIMIT + 1];
	int size = snprintf(text, sizeof text, "%s\n", line);
	return send(connection->fd, text, (size_t)size, MSG_NOSIGNAL) == size ? 0 : -1;
}

static int serve_line(struct connection *connection, const char *line)
{
	struct control_command command;
	struct error err;
	char words[256] = "", text[CONTROL_LINE_LIMIT];
	if (control_parse(line, &command, &err) ||
		run_command(connection, &command, words, sizeof words, &err))
		return answer(connection, control_format_error(&err, text));
	snprintf(text, sizeof text, "ok%s%s", *words ? " " : "", words);
	int result = answer(connection, text);
	if (command.verb == CONTROL_SHUTDOWN) {
		unlink(connection->server->address.sun_path);
		_exit(0);
	}
	return result;
}

/* Reads until a line is whole: 1, or 0 at the end, on an error, or when a line is too long. */
static int read_line(struct connection *connection, char line[CONTROL_LINE_LIMIT])
{
	for (;;) {
		char *end = memchr(connection->line, '\n', connection->used);
		if (end) {
			size_t length = (size_t)(end - connection->line);
			memcpy(line, connection->line, length);
			line[length] = '\0';
			connection->used -= length + 1;
			memmove(connection->line, end + 1, connection->used);
			return 1;
		}
		if (connection->used == sizeof connection->line)
			return 0;
		ssize_t got = recv(connection->fd, connection->line + connection->used,
			sizeof connection->line - connection->used, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		connection->used += (size_t)got;
	}
}

static void *serve(void *context)
{
	struct connection *connection = context;
	char line[CONTROL_LINE_LIMIT];
	while (read_line(connection, line) && !serve_line(connection, line))
		;
	release(connection);
	close(connection->fd);
	atomic_fetch_sub(&connection->server->connections, 1);
	free(connection);
	return NULL;
}

static void start_connection(struct control_server *server, int fd)
{
	pthread_t thread;
	if (atomic_fetch_add(&server->connections, 1) >= CONNECTION_LIMIT)
		goto refused;
	struct connection *connection = memory_alloc(sizeof *connection);
	*connection = (struct connection){ .server = server, .fd = fd };
	if (!pthread_create(&thread, NULL, serve, connection)) {
		pthread_detach(thread);
		return;
	}
	free(connection);
refused:
	atomic_fetch_sub(&server->connections, 1);
	close(fd);
}

static void *accept_connections(void *context)
{
	struct control_server *server = context;
	for (;;) {
		int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			start_connection(server, fd);
		else if (errno != EINTR && errno != ECONNABORTED && errno != EMFILE && errno != ENFILE)
			break;
	}
	log_error("control-socket-failed", "path=%s errno=%d", server->address.sun_path, errno);
	return NULL;
}

int control_server_run(struct control_server *server, struct error *err)
{
	pthread_t thread;
	int failed = pthread_create(&thread, NULL, accept_connections, server);
	if (failed)
		return error_set_errno(err, failed, "cannot start the control thread");
	pthread_detach(thread);
	return 0;
}
