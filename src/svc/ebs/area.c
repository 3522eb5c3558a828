/*
 * One thread waits for clients, their descriptors and their end; the table of areas is under a lock. A place in the table is a connection, with or without an area yet. An area is unmapped by whoever uses it last: the table or a
 * request.
 */
#include "svc/ebs/area.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "compute/sockets.h"
#include "base/banned.h"

struct area {
	char token[AREA_TOKEN_SIZE];
	uint8_t *data;
	size_t size;
	unsigned users; /* the table is one */
};

struct areas {
	char *path;
	int listener, stop; /* `stop` becomes readable */
	pthread_t thread;
	bool runs;
	int connections[AREAS_MAX]; /* the thread's; -1: free */
	pthread_mutex_t lock;       /* of what follows */
	struct area *table[AREAS_MAX];
};

/* Called with the lock, or by whoever has the area alone. */
static void drop(struct area *area)
{
	if (!area || --area->users)
		return;
	munmap(area->data, area->size);
	free(area);
}

struct area *area_take(struct areas *areas, const char *token)
{
	struct area *found = NULL;
	pthread_mutex_lock(&areas->lock);
	for (unsigned i = 0; i < AREAS_MAX && !found; i++)
		if (areas->table[i] && strcmp(areas->table[i]->token, token) == 0)
			found = areas->table[i];
	if (found)
		found->users++;
	pthread_mutex_unlock(&areas->lock);
	return found;
}

void area_release(struct areas *areas, struct area *area)
{
	pthread_mutex_lock(&areas->lock);
	drop(area);
	pthread_mutex_unlock(&areas->lock);
}

const uint8_t *area_data(const struct area *area)
{
	return area->data;
}

size_t area_size(const struct area *area)
{
	return area->size;
}

/* ---- a client's descriptor ---- */

/* The one descriptor that came with the one byte; -1: anything else came, or nothing. */
static int receive_descriptor(int connection)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
	char byte = 0;
	struct iovec part = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	int fd = -1;
	ssize_t size = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = size >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
	if (fd >= 0 && (size != 1 || byte != 'A' || message.msg_flags & MSG_CTRUNC)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Why it is of no use; NULL: it is fine. Without the seal, a client that cut its file short would kill the server. */
static const char *check_descriptor(int fd, size_t *size)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || seals < 0)
		return "no memfd";
	if (!(seals & F_SEAL_SHRINK))
		return "not sealed against shrinking";
	if (status.st_size <= 0 || status.st_size > AREA_SIZE_MAX)
		return "empty, or too large";
	*size = (size_t)status.st_size;
	return NULL;
}

static struct area *map_area(int fd, const char **why)
{
	uint8_t random[(AREA_TOKEN_SIZE - 1) / 2];
	size_t size;
	*why = check_descriptor(fd, &size);
	if (*why)
		return NULL;
	void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED) {
		*why = strerror(errno);
		return NULL;
	}
	struct area *area = memory_alloc(sizeof *area);
	*area = (struct area){ .data = data, .size = size, .users = 1 };
	text_random_bytes(random, sizeof random);
	text_hex(random, sizeof random, area->token);
	return area;
}

/* ---- the thread ---- */

static void answer(int connection, const char *mark, const char *text)
{
	char line[128];
	int size = snprintf(line, sizeof line, "%s%s\n", mark, text);
	/* who does not read it notices that nothing came */
	ssize_t ignored = send(connection, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)ignored;
}

static void end_connection(struct areas *areas, unsigned place)
{
	close(areas->connections[place]);
	areas->connections[place] = -1;
	pthread_mutex_lock(&areas->lock);
	drop(areas->table[place]);
	areas->table[place] = NULL;
	pthread_mutex_unlock(&areas->lock);
}

/* A client that has its area and says more, and one that says anything but what it should, has ended. */
static void serve_connection(struct areas *areas, unsigned place)
{
	const char *why = NULL;
	int fd = areas->table[place] ? -1 : receive_descriptor(areas->connections[place]);
	struct area *area = fd >= 0 ? map_area(fd, &why) : NULL;
	if (fd >= 0)
		close(fd);
	if (!area) {
		if (why)
			answer(areas->connections[place], "-", why);
		end_connection(areas, place);
		return;
	}
	pthread_mutex_lock(&areas->lock);
	areas->table[place] = area;
	pthread_mutex_unlock(&areas->lock);
	answer(areas->connections[place], "", area->token);
}

/* -1: there is none; then clients wait. */
static int find_place(const struct areas *areas)
{
	for (int i = 0; i < AREAS_MAX; i++)
		if (areas->connections[i] < 0)
			return i;
	return -1;
}

static void accept_connection(struct areas *areas)
{
	int place = find_place(areas);
	if (place < 0)
		return;
	/* cppcheck-suppress nullPointer */
	int connection = accept4(areas->listener, NULL, NULL, SOCK_CLOEXEC);
	areas->connections[place] = connection;
}

static void *serve(void *context)
{
	enum { LISTENER = AREAS_MAX, STOP, WAITED };
	struct areas *areas = context;
	for (;;) {
		struct pollfd waited[WAITED];
		for (unsigned i = 0; i < AREAS_MAX; i++)
			waited[i] = (struct pollfd){ .fd = areas->connections[i], .events = POLLIN };
		waited[LISTENER] = (struct pollfd){ .fd = find_place(areas) < 0 ? -1 : areas->listener,
			.events = POLLIN };
		waited[STOP] = (struct pollfd){ .fd = areas->stop, .events = POLLIN };
		if (poll(waited, WAITED, -1) < 0 && errno != EINTR) {
			log_error("areas-failed", "error=\"%s\"", strerror(errno));
			return NULL;
		}
		if (waited[STOP].revents)
			return NULL;
		for (unsigned i = 0; i < AREAS_MAX; i++)
			if (waited[i].revents)
				serve_connection(areas, i);
		if (waited[LISTENER].revents)
			accept_connection(areas);
	}
}

/* ---- opening and closing ---- */

int areas_open(const char *path, struct areas **result, struct error *err)
{
	struct areas *areas = memory_alloc(sizeof *areas);
	*areas = (struct areas){ .path = memory_strdup(path), .listener = -1, .stop = -1 };
	for (unsigned i = 0; i < AREAS_MAX; i++)
		areas->connections[i] = -1;
	pthread_mutex_init(&areas->lock, NULL);
	areas->stop = eventfd(0, EFD_CLOEXEC);
	int failed = areas->stop < 0 ? error_set_errno(err, errno, "cannot make an event descriptor")
				     : socket_listen(path, &areas->listener, err);
	if (!failed && (failed = pthread_create(&areas->thread, NULL, serve, areas)))
		error_set_errno(err, failed, "cannot start a thread");
	if (failed) {
		areas_close(areas);
		return -1;
	}
	areas->runs = true;
	*result = areas;
	return 0;
}

void areas_close(struct areas *areas)
{
	const uint64_t one = 1;
	if (!areas)
		return;
	if (areas->runs && write(areas->stop, &one, sizeof one) == sizeof one)
		pthread_join(areas->thread, NULL);
	for (unsigned i = 0; i < AREAS_MAX; i++)
		if (areas->connections[i] >= 0)
			end_connection(areas, i);
	if (areas->listener >= 0)
		unlink(areas->path);
	file_close_cleanup(&areas->listener);
	file_close_cleanup(&areas->stop);
	pthread_mutex_destroy(&areas->lock);
	free(areas->path);
	free(areas);
}

const char *areas_path(const struct areas *areas)
{
	return areas->path;
}
