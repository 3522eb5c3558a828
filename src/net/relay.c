/*
 * Relays: see relay.h.
 *
 * Each side has a buffer for what was read from it and is not yet written to the other. It is filled only when it is empty, so a slow reader slows down the writer and nothing grows. The end of one side's
 * data is passed on (half-close) once its buffer is empty; a side is closed when it has nothing more to read and its end was passed to it; an error on either side is passed on as a reset.
 */
#include "net/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/banned.h"

enum {
	BUFFER_SIZE = 32 * 1024,
	ROUNDS = 8, /* buffers moved at one wake, so that a fast connection does not starve the others */
	RELAY_LIMIT = 1024,
	KEEPALIVE_SECONDS = 120,
};

struct relay;
struct side {
	struct loop_source source;
	struct relay *relay;
	size_t start, size; /* what waits in the buffer for the other side */
	bool ended;         /* everything was read from it */
	bool shut;          /* the other side's end was passed to it */
	char buffer[BUFFER_SIZE];
};

enum { CLIENT, GUEST };

struct relay {
	struct side sides[2];
	struct relay_set *set;
	struct relay *next, **link;
	uint32_t public_address, guest_address;
	unsigned released; /* sides whose source the loop has let go */
	bool connected;    /* the guest has answered */
};

struct relay_set {
	struct loop *loop;
	struct relay *relays;
	unsigned count;
};

struct relay_set *relay_set_create(struct loop *loop)
{
	struct relay_set *set = memory_alloc(sizeof *set);
	*set = (struct relay_set){ .loop = loop };
	return set;
}

void relay_set_destroy(struct relay_set *set)
{
	free(set);
}

bool relay_has_room(const struct relay_set *set)
{
	return set->count < RELAY_LIMIT;
}

static struct side *other(struct side *side)
{
	return &side->relay->sides[side == &side->relay->sides[CLIENT] ? GUEST : CLIENT];
}

static void unlink_relay(struct relay *relay)
{
	if (!relay->link)
		return;
	*relay->link = relay->next;
	if (relay->next)
		relay->next->link = relay->link;
	relay->link = NULL;
	relay->set->count--;
}

static void close_side(struct side *side)
{
	struct relay *relay = side->relay;
	loop_remove(relay->set->loop, &side->source);
	if (relay->sides[CLIENT].source.fd < 0 && relay->sides[GUEST].source.fd < 0)
		unlink_relay(relay);
}

/* Closes both sides so that their peers see a reset: data may be missing. */
static void abort_relay(struct relay *relay)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	for (int i = 0; i < 2; i++) {
		if (relay->sides[i].source.fd >= 0)
			setsockopt(relay->sides[i].source.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close_side(&relay->sides[i]);
	}
}

static bool is_later(int errno_value)
{
	return errno_value == EAGAIN || errno_value == EWOULDBLOCK || errno_value == EINTR;
}

/* Reads once if there is room. 1: there is something to pass on; 0: not now; -1: the connection is broken. */
static int fill(struct side *from)
{
	if (from->size > 0)
		return 1;
	if (from->ended)
		return 0;
	ssize_t got = recv(from->source.fd, from->buffer, BUFFER_SIZE, 0);
	if (got < 0)
		return is_later(errno) ? 0 : -1;
	from->ended = got == 0;
	from->start = 0;
	from->size = got;
	return got > 0;
}

/* Writes what waits. 1: all of it; 0: the reader is slow; -1: the connection is broken. */
static int drain(struct side *from, struct side *to)
{
	ssize_t sent = send(to->source.fd, from->buffer + from->start, from->size, MSG_NOSIGNAL);
	if (sent < 0)
		return is_later(errno) ? 0 : -1;
	from->start += sent;
	from->size -= sent;
	return from->size == 0;
}

static int transfer(struct side *from, struct side *to)
{
	for (int round = 0; round < ROUNDS; round++) {
		int filled = fill(from);
		if (filled < 0)
			return -1;
		if (filled == 0)
			break;
		int drained = drain(from, to);
		if (drained < 0)
			return -1;
		if (drained == 0)
			break;
	}
	if (from->ended && from->size == 0 && !to->shut) {
		to->shut = true;
		if (shutdown(to->source.fd, SHUT_WR) && errno != ENOTCONN)
			return -1;
	}
	return 0;
}

static void settle_side(struct side *side)
{
	struct relay *relay = side->relay;
	if (side->source.fd < 0)
		return;
	if (side->ended && side->shut && side->size == 0) {
		close_side(side);
		return;
	}
	uint32_t events = 0;
	if (!side->ended && side->size == 0)
		events |= EPOLLIN;
	if (other(side)->size > 0)
		events |= EPOLLOUT;
	loop_change(relay->set->loop, &side->source, events);
}

static bool has_failed(struct side *side, uint32_t events)
{
	int failure = 0;
	socklen_t size = sizeof failure;
	if (!(events & EPOLLERR) && side->relay->connected)
		return false;
	return getsockopt(side->source.fd, SOL_SOCKET, SO_ERROR, &failure, &size) || failure != 0;
}

static void side_ready(struct loop_source *source, uint32_t events)
{
	struct side *side = (struct side *)source;
	struct relay *relay = side->relay;
	if (has_failed(side, events)) {
		abort_relay(relay);
		return;
	}
	relay->connected = true; /* until then only the guest's side is waited for */
	if (transfer(side, other(side)) || transfer(other(side), side)) {
		abort_relay(relay);
		return;
	}
	settle_side(&relay->sides[CLIENT]);
	settle_side(&relay->sides[GUEST]);
}

static void side_release(struct loop_source *source)
{
	struct relay *relay = ((struct side *)source)->relay;
	if (++relay->released == 2)
		free(relay);
}

static void prepare_socket(int fd)
{
	int on = 1, idle = KEEPALIVE_SECONDS;
	/* Best effort: without them the connection works, only later noticed to be dead or a little slower. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
}

static void prepare_side(struct relay *relay, int which, int fd)
{
	struct side *side = &relay->sides[which];
	side->source = (struct loop_source){ .fd = fd, .ready = side_ready, .release = side_release };
	side->relay = relay;
	side->start = side->size = 0;
	side->ended = side->shut = false;
	prepare_socket(fd);
}

int relay_start(struct relay_set *set, int client_fd, int guest_fd, uint32_t public_address,
	uint32_t guest_address, struct error *err)
{
	struct relay *relay = memory_alloc(sizeof *relay);
	prepare_side(relay, CLIENT, client_fd);
	prepare_side(relay, GUEST, guest_fd);
	relay->set = set;
	relay->public_address = public_address;
	relay->guest_address = guest_address;
	relay->released = 0;
	relay->connected = false;
	if (loop_add(set->loop, &relay->sides[GUEST].source, EPOLLOUT, err)) {
		close(client_fd);
		close(guest_fd);
		free(relay);
		return -1;
	}
	relay->next = set->relays;
	relay->link = &set->relays;
	if (relay->next)
		relay->next->link = &relay->next;
	set->relays = relay;
	set->count++;
	return 0;
}

void relay_end_unless(struct relay_set *set,
	bool (*keeps)(void *context, uint32_t public_address, uint32_t guest_address), void *context)
{
	for (struct relay *relay = set->relays, *next; relay; relay = next) {
		next = relay->next;
		if (!keeps || !keeps(context, relay->public_address, relay->guest_address))
			abort_relay(relay);
	}
}
