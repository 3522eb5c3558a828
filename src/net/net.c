/*
 * Guest networks: see net.h, and docs/design/network.md for the whole picture.
 *
 * Changes are made one at a time (`changing`), on the caller's thread. What the network thread reads, the descriptions and the tables derived from them, is swapped under the loop's lock at the end of a
 * change. Lock order: changing, then the loop's lock; callbacks are called with `changing` held.
 */
#include "net/net.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/describe.h"
#include "net/dhcp_server.h"
#include "net/loop.h"
#include "net/names.h"
#include "net/netns.h"
#include "net/public.h"
#include "net/setup.h"
#include "base/log.h"
#include "base/text.h"
#include "base/banned.h"

struct vpc {
	struct vpc *next;
	char namespace[NAME_NAMESPACE_SIZE];
	int namespace_fd;
	struct dhcp_server *dhcp;
	struct arena *arena; /* of the description */
	const struct net_vpc *description;
};

struct net {
	char *name;
	struct net_callbacks callbacks;
	struct loop *loop;
	struct public *public;
	pthread_mutex_t changing; /* guards all below, and the kernel's side */
	struct vpc *vpcs;
};

static int check_capabilities(struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	if (syscall(SYS_capget, &header, data))
		return error_set_errno(err, errno, "cannot read the process's capabilities");
	if (!(data[0].effective & 1u << CAP_NET_ADMIN) || !(data[0].effective & 1u << CAP_SYS_ADMIN))
		return error_set(err, ERROR_UNSUPPORTED,
			"guest networks need the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN");
	if (access("/dev/net/tun", R_OK | W_OK))
		return error_set(
			err, ERROR_UNSUPPORTED, "guest networks need /dev/net/tun: %s", strerror(errno));
	return 0;
}

int net_open(const char *name, const struct net_callbacks *callbacks, struct net **out, struct error *err)
{
	char table[NAME_NAMESPACE_SIZE];
	if (check_capabilities(err))
		return -1;
	struct net *net = memory_alloc(sizeof *net);
	*net = (struct net){ .name = memory_strdup(name), .callbacks = *callbacks };
	pthread_mutex_init(&net->changing, NULL);
	name_prefix(name, table);
	if (loop_open(&net->loop, err) || public_open(net->loop, table, PUBLIC_REDIRECT, &net->public, err)) {
		net_close(net);
		return -1;
	}
	*out = net;
	return 0;
}

static struct vpc **find_vpc(struct net *net, const char *namespace)
{
	struct vpc **at = &net->vpcs;
	while (*at && !text_equal((*at)->namespace, namespace))
		at = &(*at)->next;
	return at;
}

/* Forgets a VPC; what the kernel has of it stays. */
static void forget_vpc(struct net *net, struct vpc **at)
{
	struct vpc *vpc = *at;
	*at = vpc->next;
	loop_lock(net->loop);
	if (vpc->description)
		public_set_vpc(net->public, vpc->description->id, -1, NULL);
	dhcp_server_remove(vpc->dhcp);
	loop_unlock(net->loop);
	close(vpc->namespace_fd);
	arena_destroy(vpc->arena);
	free(vpc);
}

void net_close(struct net *net)
{
	if (!net)
		return;
	public_close(net->public);
	net->public = NULL;
	while (net->vpcs) {
		/* public_close has forgotten it already */
		net->vpcs->description = NULL;
		forget_vpc(net, &net->vpcs);
	}
	loop_close(net->loop);
	pthread_mutex_destroy(&net->changing);
	free(net->name);
	free(net);
}

/* The VPC as known to this process, with its namespace open; a new one if it is unknown or its namespace was taken away. */
static struct vpc *take_up_vpc(struct net *net, const char *vpc_id, struct error *err)
{
	char namespace[NAME_NAMESPACE_SIZE];
	bool made;
	int fd;
	name_namespace(net->name, vpc_id, namespace);
	struct vpc **at = find_vpc(net, namespace);
	if (*at && netns_is_current(namespace, (*at)->namespace_fd))
		return *at;
	if (*at)
		forget_vpc(net, at);
	if (netns_open(namespace, &fd, &made, err))
		return NULL;
	struct vpc *vpc = memory_alloc(sizeof *vpc);
	*vpc = (struct vpc){ .next = net->vpcs, .namespace_fd = fd };
	memcpy(vpc->namespace, namespace, sizeof namespace);
	net->vpcs = vpc;
	if (made)
		log_info("vpc-network-made", "vpc=%s namespace=%s", vpc_id, namespace);
	return vpc;
}

/* From here on the network thread serves the new description. */
static void swap_description(struct net *net, struct vpc *vpc, const struct net_vpc *description)
{
	struct arena *arena = arena_create();
	const struct net_vpc *copy = vpc_copy(arena, description);
	loop_lock(net->loop);
	dhcp_server_set(vpc->dhcp, copy);
	public_set_vpc(net->public, copy->id, vpc->namespace_fd, copy);
	loop_unlock(net->loop);
	arena_destroy(vpc->arena);
	vpc->arena = arena;
	vpc->description = copy;
}

static int start_dhcp(struct net *net, struct vpc *vpc, int socket_fd, struct error *err)
{
	loop_lock(net->loop);
	int result = dhcp_server_add(net->loop, socket_fd, &vpc->dhcp, err);
	loop_unlock(net->loop);
	return result;
}

static int apply(struct net *net, const struct net_vpc *description, struct error *err)
{
	struct vpc *vpc = take_up_vpc(net, description->id, err);
	if (!vpc)
		return -1;
	struct setup_sockets sockets = { .wanted = !vpc->dhcp };
	if (setup_vpc(vpc->namespace_fd, description, &sockets, err))
		return -1;
	if (sockets.wanted) {
		if (start_dhcp(net, vpc, sockets.dhcp_fd, err)) {
			close(sockets.metadata_fd);
			return -1;
		}
		net->callbacks.metadata_listener(
			net->callbacks.context, description->id, sockets.metadata_fd);
	}
	swap_description(net, vpc, description);
	return public_publish(net->public, err);
}

int net_vpc_apply(struct net *net, const struct net_vpc *vpc, struct error *err)
{
	struct error ignored;
	err = err ? err : &ignored;
	if (vpc_check(vpc, err))
		return -1;
	pthread_mutex_lock(&net->changing);
	int result = apply(net, vpc, err);
	pthread_mutex_unlock(&net->changing);
	return result ? error_prefix(err, "network of %s", vpc->id) : 0;
}

/* Takes down a namespace, known to this process or not. Called with `changing` held. */
static int remove_namespace(struct net *net, const char *namespace, struct error *err)
{
	int fd, result = 0;
	struct vpc **at = find_vpc(net, namespace);
	if (*at)
		forget_vpc(net, at);
	if (netns_find(namespace, &fd, err) == 0) {
		result = setup_clear(fd, err);
		close(fd);
	} else if (err->code != ERROR_NOT_FOUND) {
		result = -1;
	}
	return result ? result : netns_remove(namespace, err);
}

int net_vpc_remove(struct net *net, const char *vpc_id, struct error *err)
{
	struct error ignored;
	char namespace[NAME_NAMESPACE_SIZE];
	err = err ? err : &ignored;
	name_namespace(net->name, vpc_id, namespace);
	pthread_mutex_lock(&net->changing);
	int result = remove_namespace(net, namespace, err);
	if (result == 0)
		result = public_publish(net->public, err);
	pthread_mutex_unlock(&net->changing);
	return result ? error_prefix(err, "network of %s", vpc_id) : 0;
}

int net_tap_open(
	struct net *net, const char *vpc_id, const char *interface_id, int *tap_fd, struct error *err)
{
	char namespace[NAME_NAMESPACE_SIZE];
	int fd, result = -1;
	*tap_fd = -1;
	name_namespace(net->name, vpc_id, namespace);
	pthread_mutex_lock(&net->changing);
	if (netns_find(namespace, &fd, err) == 0) {
		result = setup_open_tap(fd, interface_id, tap_fd, err);
		close(fd);
	}
	pthread_mutex_unlock(&net->changing);
	return result;
}

struct leftovers {
	const char *name;
	const char *const *vpc_ids;
	struct arena *arena;
	const char **namespaces;
	size_t count;
};

static int collect_leftover(void *context, const char *namespace, struct error *err)
{
	struct leftovers *leftovers = context;
	char kept[NAME_NAMESPACE_SIZE];
	for (const char *const *id = leftovers->vpc_ids; *id; id++) {
		name_namespace(leftovers->name, *id, kept);
		if (text_equal(kept, namespace))
			return 0;
	}
	*ARENA_APPEND(leftovers->arena, leftovers->namespaces, leftovers->count) =
		arena_strdup(leftovers->arena, namespace);
	return 0;
}

static int remove_others(struct net *net, struct leftovers *leftovers, struct error *err)
{
	char prefix[NAME_NAMESPACE_SIZE], with_dash[NAME_NAMESPACE_SIZE + 1];
	name_prefix(net->name, prefix);
	snprintf(with_dash, sizeof with_dash, "%s-", prefix);
	if (netns_visit(with_dash, collect_leftover, leftovers, err))
		return -1;
	for (size_t i = 0; i < leftovers->count; i++) {
		if (remove_namespace(net, leftovers->namespaces[i], err))
			return error_prefix(err, "namespace %s", leftovers->namespaces[i]);
		log_info("vpc-network-removed", "namespace=%s", leftovers->namespaces[i]);
	}
	/* it runs nft, which a start does not wait for without need */
	return leftovers->count ? public_publish(net->public, err) : 0;
}

int net_remove_others(struct net *net, const char *const *vpc_ids, struct error *err)
{
	struct error ignored;
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct leftovers leftovers = { .name = net->name, .vpc_ids = vpc_ids, .arena = scratch };
	err = err ? err : &ignored;
	pthread_mutex_lock(&net->changing);
	int result = remove_others(net, &leftovers, err);
	pthread_mutex_unlock(&net->changing);
	return result;
}
