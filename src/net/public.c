/* Public addresses: see public.h. Whether a caller is let in is decided here, when its connection is accepted; the rules in the host only bring it here. */
#include "net/public.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/describe.h"
#include "net/netns.h"
#include "net/relay.h"
#include "net/rules.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "base/banned.h"

enum {
	BACKLOG = 128,
	ACCEPTS_A_WAKE = 16,
	RULE_PORT_LIMIT = 64, /* of one rule, for listeners */
	CONNECT_TRIES = 4,    /* SYNs: about 15 seconds until a silent guest counts as unreachable */
};

struct place {
	struct place *next;
	char *id;
	int namespace_fd;
	const struct net_vpc *vpc;
};

struct listener {
	struct loop_source source;
	struct public *public;
	struct listener *next;
	uint32_t address;
	unsigned port;
	bool wanted;
};

struct public
{
	struct loop *loop;
	struct relay_set *relays;
	char *table;
	enum public_way way;
	struct place *places;        /* guarded by the loop's lock */
	struct listener *listeners;  /* changed under the lock, by the publishing thread */
	struct listener *relay_port; /* of PUBLIC_REDIRECT; one of the listeners */
	struct buffer published;     /* the rules in force in the host */
	int spare_fd; /* given up for a moment to accept, and close, when descriptors have run out */
};

static const struct net_interface *find_target(
	struct public *public, uint32_t address, const struct place **found)
{
	for (const struct place *place = public->places; place; place = place->next) {
		for (unsigned i = 0; i < place->vpc->interface_count; i++) {
			if (place->vpc->interfaces[i].public_address == address) {
				*found = place;
				return &place->vpc->interfaces[i];
			}
		}
	}
	return NULL;
}

/* Where the caller wanted to go: before our redirection, if there was one. */
static int original_target(int fd, struct sockaddr_in *target)
{
	socklen_t size = sizeof *target;
	if (getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, target, &size) == 0 && target->sin_family == AF_INET)
		return 0;
	size = sizeof *target;
	return getsockname(fd, (struct sockaddr *)target, &size);
}

static int make_socket(void *context, struct error *err)
{
	int *fd = context;
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return *fd < 0 ? error_set_errno(err, errno, "cannot make a socket") : 0;
}

/* A connection under way to the guest, from inside of its VPC; -1 if it fails at once. */
static int connect_guest(const struct place *place, uint32_t address, unsigned port, struct error *err)
{
	int fd = -1, tries = CONNECT_TRIES;
	struct sockaddr_in guest = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)
	};
	if (netns_run(place->namespace_fd, make_socket, &fd, err))
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &tries, sizeof tries);
	if (connect(fd, (struct sockaddr *)&guest, sizeof guest) && errno != EINPROGRESS) {
		error_set_errno(err, errno, "cannot connect to the guest");
		close(fd);
		return -1;
	}
	return fd;
}

static void refuse(int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
}

static void serve_connection(struct public *public, int fd, const struct sockaddr_in *caller)
{
	struct sockaddr_in target;
	const struct place *place;
	struct error err;
	if (original_target(fd, &target) || !relay_has_room(public->relays)) {
		refuse(fd);
		return;
	}
	uint32_t address = ntohl(target.sin_addr.s_addr);
	unsigned port = ntohs(target.sin_port);
	const struct net_interface *interface = find_target(public, address, &place);
	if (!interface || !vpc_admits(place->vpc, interface, ntohl(caller->sin_addr.s_addr), port)) {
		refuse(fd);
		return;
	}
	int guest_fd = connect_guest(place, interface->private_address, port, &err);
	if (guest_fd < 0)
		refuse(fd);
	if (guest_fd < 0 ||
		relay_start(public->relays, fd, guest_fd, address, interface->private_address, &err))
		log_warning("public-connection-failed", "interface=%s port=%u error=\"%s\"", interface->id,
			port, err.message);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct public *public = ((struct listener *)source)->public;
	for (int i = 0; i < ACCEPTS_A_WAKE; i++) {
		struct sockaddr_in caller = { 0 };
		socklen_t size = sizeof caller;
		int fd = accept4(source->fd, (struct sockaddr *)&caller, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			serve_connection(public, fd, &caller);
		} else if (errno == EMFILE || errno == ENFILE) {
			/* Turned away at once: left in the queue they would wake us for ever. */
			close(public->spare_fd);
			fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0)
				refuse(fd);
			public->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		} else {
			return;
		}
	}
}

static void listener_release(struct loop_source *source)
{
	free(source);
}

static int bind_listener(uint32_t address, unsigned port, struct error *err)
{
	int on = 1;
	char text[ADDRESS_TEXT_SIZE];
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&name, sizeof name) || listen(fd, BACKLOG)) {
		error_set_errno(err, errno, "cannot listen on %s:%u", address_text(address, text), port);
		close(fd);
		return -1;
	}
	return fd;
}

/* Called with the lock held. */
static struct listener *add_listener(
	struct public *public, uint32_t address, unsigned port, struct error *err)
{
	int fd = bind_listener(address, port, err);
	if (fd < 0)
		return NULL;
	struct listener *listener = memory_alloc(sizeof *listener);
	*listener = (struct listener){
		.source = { .fd = fd, .ready = listener_ready, .release = listener_release },
		.public = public,
		.next = public->listeners,
		.address = address,
		.port = port,
		.wanted = true
	};
	if (loop_add(public->loop, &listener->source, EPOLLIN, err)) {
		close(fd);
		free(listener);
		return NULL;
	}
	public->listeners = listener;
	return listener;
}

static void remove_unwanted_listeners(struct public *public)
{
	for (struct listener **at = &public->listeners; *at;) {
		struct listener *listener = *at;
		if (listener->wanted) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		loop_remove(public->loop, &listener->source);
	}
}

static void want_listener(struct public *public, uint32_t address, unsigned port)
{
	struct error err;
	for (struct listener *listener = public->listeners; listener; listener = listener->next) {
		if (listener->address == address && listener->port == port) {
			listener->wanted = true;
			return;
		}
	}
	if (!add_listener(public, address, port, &err))
		log_warning("public-port-unavailable", "error=\"%s\"", err.message);
}

static void want_ports_of_rule(
	struct public *public, const struct net_interface *interface, const struct net_rule *rule)
{
	if ((rule->protocol != NET_PROTOCOL_ALL && rule->protocol != 6) || rule->peer_prefix < 0)
		return;
	if (rule->protocol != 6 || rule->from_port < 0 ||
		rule->to_port - rule->from_port >= RULE_PORT_LIMIT) {
		log_warning("public-rule-too-wide", "interface=%s limit=%d", interface->id, RULE_PORT_LIMIT);
		return;
	}
	for (int port = rule->from_port > 0 ? rule->from_port : 1; port <= rule->to_port; port++)
		want_listener(public, interface->public_address, port);
}

static void want_ports_of_place(struct public *public, const struct place *place)
{
	for (unsigned i = 0; i < place->vpc->interface_count; i++) {
		const struct net_interface *interface = &place->vpc->interfaces[i];
		if (!interface->public_address)
			continue;
		for (const char *const *id = interface->groups; id && *id; id++) {
			const struct net_group *group = vpc_group(place->vpc, *id);
			for (unsigned j = 0; group && j < group->ingress_count; j++)
				want_ports_of_rule(public, interface, &group->ingress[j]);
		}
	}
}

static void publish_listeners(struct public *public)
{
	loop_lock(public->loop);
	for (struct listener *listener = public->listeners; listener; listener = listener->next)
		listener->wanted = listener == public->relay_port;
	for (const struct place *place = public->places; place; place = place->next)
		want_ports_of_place(public, place);
	remove_unwanted_listeners(public);
	loop_unlock(public->loop);
}

static void render_redirection(struct public *public, unsigned port, struct buffer *text)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	uint32_t *addresses = NULL;
	size_t count = 0;
	loop_lock(public->loop);
	for (const struct place *place = public->places; place; place = place->next) {
		for (unsigned i = 0; i < place->vpc->interface_count; i++) {
			const struct place *owner;
			uint32_t address = place->vpc->interfaces[i].public_address;
			/* An address on two interfaces (on its way from one to the other) is listed once. */
			if (address && find_target(public, address, &owner) == &place->vpc->interfaces[i])
				*ARENA_APPEND(scratch, addresses, count) = address;
		}
	}
	loop_unlock(public->loop);
	rules_render_host(public->table, addresses, count, port, text);
}

static int publish_redirection(struct public *public, unsigned port, struct error *err)
{
	static const char *const nft[] = { "nft", "-f", "-", NULL };
	struct buffer text BUFFER_SCOPED = { 0 };
	render_redirection(public, port, &text);
	if (text_equal(buffer_text(&text), buffer_text(&public->published)))
		return 0;
	if (process_run(nft, buffer_text(&text), NULL, err))
		return error_prefix(err, "public addresses");
	buffer_clear(&public->published);
	buffer_append(&public->published, text.data, text.size);
	return 0;
}

int public_publish(struct public *public, struct error *err)
{
	if (public->way == PUBLIC_REDIRECT) {
		bool worked_before = public->published.size > 0;
		if (publish_redirection(public, public->relay_port->port, err) == 0)
			return 0;
		if (worked_before)
			return -1;
		log_warning("public-redirection-unavailable", "fallback=listeners error=\"%s\"",
			err ? err->message : "");
		public->way = PUBLIC_LISTENERS;
	}
	publish_listeners(public);
	return 0;
}

static bool is_still_there(void *context, uint32_t public_address, uint32_t guest_address)
{
	const struct place *place;
	const struct net_interface *interface = find_target(context, public_address, &place);
	return interface && interface->private_address == guest_address;
}

void public_set_vpc(struct public *public, const char *id, int namespace_fd, const struct net_vpc *vpc)
{
	struct place **at = &public->places;
	while (*at && !text_equal((*at)->id, id))
		at = &(*at)->next;
	if (vpc && !*at) {
		*at = memory_alloc(sizeof **at);
		**at = (struct place){ .id = memory_strdup(id) };
	}
	struct place *place = *at;
	if (vpc) {
		place->namespace_fd = namespace_fd;
		place->vpc = vpc;
	} else if (place) {
		*at = place->next;
		free(place->id);
		free(place);
	}
	relay_end_unless(public->relays, is_still_there, public);
}

static int add_relay_port(struct public *public, struct error *err)
{
	struct sockaddr_in name = { 0 };
	socklen_t size = sizeof name;
	struct listener *listener = add_listener(public, INADDR_LOOPBACK, 0, err);
	if (!listener)
		return -1;
	if (getsockname(listener->source.fd, (struct sockaddr *)&name, &size))
		return error_set_errno(err, errno, "cannot learn the relay's port");
	listener->port = ntohs(name.sin_port);
	public->relay_port = listener;
	return 0;
}

int public_open(
	struct loop *loop, const char *table, enum public_way way, struct public **out, struct error *err)
{
	struct public *public = memory_alloc(sizeof *public);
	*public = (struct public){ .loop = loop,
		.relays = relay_set_create(loop),
		.table = memory_strdup(table),
		.way = way,
		.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC) };
	loop_lock(loop);
	int failure = way == PUBLIC_REDIRECT ? add_relay_port(public, err) : 0;
	loop_unlock(loop);
	if (failure) {
		public_close(public);
		return -1;
	}
	*out = public;
	return 0;
}

void public_close(struct public *public)
{
	struct error err;
	if (!public)
		return;
	if (public->published.size > 0 && publish_redirection(public, 0, &err))
		log_warning("public-addresses-not-closed", "error=\"%s\"", err.message);
	loop_lock(public->loop);
	for (struct listener *listener = public->listeners; listener; listener = listener->next)
		listener->wanted = false;
	remove_unwanted_listeners(public);
	relay_end_unless(public->relays, NULL, NULL);
	while (public->places)
		public_set_vpc(public, public->places->id, -1, NULL);
	loop_unlock(public->loop);
	relay_set_destroy(public->relays);
	if (public->spare_fd >= 0)
		close(public->spare_fd);
	buffer_free(&public->published);
	free(public->table);
	free(public);
}
