/*
 * Drives src/net from a test: one JSON command a line on standard input, one JSON answer a line on standard output.
 *   {"do":"apply","vpc":{"id","domain","groups":[{"id","ingress":[RULE],"egress":[RULE]}],"interfaces":[{...}]}}   RULE: [protocol, from, to, "a.b.c.d/n" or "sg-..."]
 *   {"do":"remove","vpc":ID}   {"do":"others","keep":[ID]}
 *   {"do":"guest","vpc":ID,"interface":ID,"namespace":NAME,"mac":MAC}   makes eth0 in the namespace NAME and joins it to the interface's tap, as QEMU would join its guest
 *   {"do":"machine","vpc":ID,"interface":ID,"argv":[...]}   starts a program with the interface's tap; "%FD%" in an argument becomes the descriptor's number; answers "pid"
 *   {"do":"unplug","interface":ID}
 * Answers: {"ok":true,"ms":1.5} or {"ok":false,"code":"NotFound","message":"..."}. The metadata service answers every connection with its VPC's id.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "net/describe.h"
#include "net/net.h"
#include "net/netns.h"
#include "base/banned.h"

enum { FRAME_SIZE = 65536 + 64, GUEST_LIMIT = 64 };

struct guest {
	char interface_id[64];
	int tap_fd, device_fd, stop[2];
	pthread_t thread;
};
struct tool {
	struct net *net;
	struct guest guests[GUEST_LIMIT];
	unsigned guest_count;
	pid_t machine_pid; /* of the last one started */
};

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static uint32_t address_of(const char *text)
{
	struct in_addr address = { 0 };
	return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : 0;
}

static const struct net_rule *rules_of(struct arena *arena, json_t *list, unsigned *count)
{
	struct net_rule *rules = arena_alloc_array(arena, json_array_size(list) + 1, sizeof *rules);
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		const char *peer = json_string_value(json_array_get(item, 3));
		const char *slash = strchr(peer, '/');
		rules[i] = (struct net_rule){ .protocol = json_integer_value(json_array_get(item, 0)),
			.from_port = json_integer_value(json_array_get(item, 1)),
			.to_port = json_integer_value(json_array_get(item, 2)),
			.peer_prefix = -1 };
		if (slash) {
			rules[i].peer_address = address_of(arena_strndup(arena, peer, slash - peer));
			rules[i].peer_prefix = strtol(slash + 1, NULL, 10);
		} else {
			rules[i].peer_group = arena_strdup(arena, peer);
		}
	}
	*count = json_array_size(list);
	return rules;
}

static const struct net_group *groups_of(struct arena *arena, json_t *list, unsigned *count)
{
	struct net_group *groups = arena_alloc_array(arena, json_array_size(list) + 1, sizeof *groups);
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		groups[i].id = arena_strdup(arena, text_of(item, "id"));
		groups[i].ingress =
			rules_of(arena, json_object_get(item, "ingress"), &groups[i].ingress_count);
		groups[i].egress = rules_of(arena, json_object_get(item, "egress"), &groups[i].egress_count);
	}
	*count = json_array_size(list);
	return groups;
}

static const char *const *names_of(struct arena *arena, json_t *list)
{
	const char **names = arena_alloc_array(arena, json_array_size(list) + 1, sizeof *names);
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) names[i] = arena_strdup(arena, json_string_value(item));
	return names;
}

static const struct net_interface *interfaces_of(struct arena *arena, json_t *list, unsigned *count)
{
	struct net_interface *interfaces =
		arena_alloc_array(arena, json_array_size(list) + 1, sizeof *interfaces);
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		interfaces[i] = (struct net_interface){
			.id = arena_strdup(arena, text_of(item, "id")),
			.mac = arena_strdup(arena, text_of(item, "mac")),
			.private_address = address_of(text_of(item, "address")),
			.gateway = address_of(text_of(item, "gateway")),
			.subnet_address = address_of(text_of(item, "subnet")),
			.subnet_prefix = json_integer_value(json_object_get(item, "prefix")),
			.public_address = address_of(text_of(item, "public")),
			.hostname = arena_strdup(arena, text_of(item, "hostname")),
			.groups = names_of(arena, json_object_get(item, "groups")),
		};
	}
	*count = json_array_size(list);
	return interfaces;
}

static int do_apply(struct tool *tool, json_t *command, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	json_t *item = json_object_get(command, "vpc");
	struct net_vpc vpc = { .id = text_of(item, "id"), .domain = text_of(item, "domain") };
	vpc.groups = groups_of(arena, json_object_get(item, "groups"), &vpc.group_count);
	vpc.interfaces = interfaces_of(arena, json_object_get(item, "interfaces"), &vpc.interface_count);
	return net_vpc_apply(tool->net, &vpc, err);
}

struct device {
	const char *mac;
	int fd;
};

static int make_device(void *context, struct error *err)
{
	struct device *device = context;
	struct ifreq request = { .ifr_name = "eth0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int control FILE_SCOPED = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	device->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (device->fd < 0 || ioctl(device->fd, TUNSETIFF, &request))
		return error_set_errno(err, errno, "cannot make eth0");
	struct ifreq hardware = { .ifr_name = "eth0", .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	if (mac_parse(device->mac, (uint8_t *)hardware.ifr_hwaddr.sa_data) ||
		ioctl(control, SIOCSIFHWADDR, &hardware))
		return error_set_errno(err, errno, "cannot set eth0's address");
	struct ifreq up = { .ifr_name = "eth0", .ifr_flags = IFF_UP };
	return ioctl(control, SIOCSIFFLAGS, &up) ? error_set_errno(err, errno, "cannot set eth0 up") : 0;
}

/* Both taps carry the same frame header, so frames pass as they are. A frame that the other side has no room for is lost, as on a wire. */
static void pass_frames(int from, int to, char *frame)
{
	for (ssize_t size; (size = read(from, frame, FRAME_SIZE)) > 0;) {
		ssize_t ignored = write(to, frame, size);
		(void)ignored;
	}
}

static void *guest_thread(void *context)
{
	struct guest *guest = context;
	static _Thread_local char frame[FRAME_SIZE];
	struct pollfd polls[] = { { guest->tap_fd, POLLIN, 0 }, { guest->device_fd, POLLIN, 0 },
		{ guest->stop[0], POLLIN, 0 } };
	while (poll(polls, 3, -1) > 0 && !polls[2].revents) {
		if ((polls[0].revents | polls[1].revents) & (POLLERR | POLLHUP | POLLNVAL))
			break;
		pass_frames(guest->tap_fd, guest->device_fd, frame);
		pass_frames(guest->device_fd, guest->tap_fd, frame);
	}
	return NULL;
}

static int do_guest(struct tool *tool, json_t *command, struct error *err)
{
	if (tool->guest_count == GUEST_LIMIT)
		return error_set(err, ERROR_INVALID, "too many guests");
	struct guest *guest = &tool->guests[tool->guest_count];
	struct device device = { .mac = text_of(command, "mac"), .fd = -1 };
	int namespace_fd FILE_SCOPED = -1;
	if (net_tap_open(
		    tool->net, text_of(command, "vpc"), text_of(command, "interface"), &guest->tap_fd, err))
		return -1;
	if (netns_find(text_of(command, "namespace"), &namespace_fd, err) ||
		netns_run(namespace_fd, make_device, &device, err) || pipe2(guest->stop, O_CLOEXEC)) {
		close(guest->tap_fd);
		return -1;
	}
	guest->device_fd = device.fd;
	snprintf(guest->interface_id, sizeof guest->interface_id, "%s", text_of(command, "interface"));
	pthread_create(&guest->thread, NULL, guest_thread, guest);
	tool->guest_count++;
	return 0;
}

/* The program outlives this tool, as machines outlive amid: the test ends it by its pid. */
static int do_machine(struct tool *tool, json_t *command, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *const *given = names_of(arena, json_object_get(command, "argv"));
	size_t count = json_array_size(json_object_get(command, "argv"));
	const char **argv = arena_alloc_array(arena, count + 1, sizeof *argv);
	struct process process;
	int tap_fd FILE_SCOPED = -1;
	if (net_tap_open(tool->net, text_of(command, "vpc"), text_of(command, "interface"), &tap_fd, err))
		return -1;
	for (size_t i = 0; i < count; i++) {
		const char *mark = strstr(given[i], "%FD%");
		argv[i] = mark
			? arena_printf(arena, "%.*s%d%s", (int)(mark - given[i]), given[i], tap_fd, mark + 4)
			: given[i];
	}
	if (process_spawn(argv, NULL, &tap_fd, 1, &process, err))
		return -1;
	tool->machine_pid = process.pid;
	return 0;
}

static void unplug(struct guest *guest)
{
	if (!guest->interface_id[0])
		return;
	guest->interface_id[0] = 0;
	close(guest->stop[1]);
	pthread_join(guest->thread, NULL);
	close(guest->stop[0]);
	close(guest->tap_fd);
	close(guest->device_fd);
}

static int do_unplug(struct tool *tool, json_t *command, struct error *err)
{
	for (unsigned i = 0; i < tool->guest_count; i++) {
		if (text_equal(tool->guests[i].interface_id, text_of(command, "interface"))) {
			unplug(&tool->guests[i]);
			return 0;
		}
	}
	return error_set(err, ERROR_NOT_FOUND, "no such guest");
}

static int do_others(struct tool *tool, json_t *command, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	return net_remove_others(tool->net, names_of(arena, json_object_get(command, "keep")), err);
}

static int run_command(struct tool *tool, json_t *command, struct error *err)
{
	const char *verb = text_of(command, "do");
	if (text_equal(verb, "apply"))
		return do_apply(tool, command, err);
	if (text_equal(verb, "remove"))
		return net_vpc_remove(tool->net, text_of(command, "vpc"), err);
	if (text_equal(verb, "others"))
		return do_others(tool, command, err);
	if (text_equal(verb, "guest"))
		return do_guest(tool, command, err);
	if (text_equal(verb, "machine"))
		return do_machine(tool, command, err);
	if (text_equal(verb, "unplug"))
		return do_unplug(tool, command, err);
	return error_set(err, ERROR_INVALID, "unknown command %s", verb);
}

struct metadata {
	int fd;
	char vpc_id[64];
};

static void *metadata_thread(void *context)
{
	struct metadata *metadata = context;
	char request[1024], reply[128];
	snprintf(reply, sizeof reply, "HTTP/1.0 200 OK\r\n\r\n%s\n", metadata->vpc_id);
	for (int fd; (fd = accept4(metadata->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd)) {
		size_t size = 0;
		ssize_t got;
		/* Closing with unread input would reset the connection: up to the end of the request's head. */
		while (size + 1 < sizeof request &&
			(got = read(fd, request + size, sizeof request - 1 - size)) > 0) {
			size += got;
			request[size] = 0;
			if (strstr(request, "\r\n\r\n"))
				break;
		}
		file_write_full(fd, reply, strlen(reply));
	}
	return NULL;
}

static void serve_metadata(void *context, const char *vpc_id, int listen_fd)
{
	pthread_t thread;
	struct metadata *metadata = memory_alloc(sizeof *metadata);
	metadata->fd = listen_fd;
	snprintf(metadata->vpc_id, sizeof metadata->vpc_id, "%s", vpc_id);
	pthread_create(&thread, NULL, metadata_thread, metadata);
	pthread_detach(thread);
}

static void answer(const struct tool *tool, int result, const struct error *err, const struct timespec *start)
{
	struct timespec end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	double ms = (end.tv_sec - start->tv_sec) * 1e3 + (end.tv_nsec - start->tv_nsec) / 1e6;
	json_t *object = result
		? json_pack("{s:b,s:s,s:s}", "ok", 0, "code", error_aws_code(err->code), "message",
			  err->message)
		: json_pack("{s:b,s:f,s:i}", "ok", 1, "ms", ms, "pid", (int)tool->machine_pid);
	char *line = json_dumps(object, JSON_COMPACT);
	printf("%s\n", line);
	fflush(stdout);
	free(line);
	json_decref(object);
}

int main(int argc, char **argv)
{
	static struct tool tool;
	const struct net_callbacks callbacks = { .metadata_listener = serve_metadata };
	struct error err = { 0 };
	struct timespec start;
	char *line = NULL;
	size_t capacity = 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	int result = net_open(argc > 1 ? argv[1] : "network-tool", &callbacks, &tool.net, &err);
	answer(&tool, result, &err, &start);
	if (result)
		return 1;
	while (getline(&line, &capacity, stdin) > 0) {
		json_t *command = json_loads(line, 0, NULL);
		clock_gettime(CLOCK_MONOTONIC, &start);
		result = run_command(&tool, command, &err);
		answer(&tool, result, &err, &start);
		json_decref(command);
	}
	free(line);
	for (unsigned i = 0; i < tool.guest_count; i++)
		unplug(&tool.guests[i]);
	net_close(tool.net);
	return 0;
}
