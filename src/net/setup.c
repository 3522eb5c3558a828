/*
 * Inside of a VPC's namespace: see setup.h. All of this runs on netns_run's thread.
 *
 * Order matters for safety: rules come first (they name taps that need not exist yet, and what they do not name is dropped), then links, and forwarding is switched on with rules in place. Every step can be
 * repeated, and is, at each change: there is no second way that only adds.
 */
#include "net/setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/dhcp_server.h"
#include "net/names.h"
#include "net/netns.h"
#include "net/rules.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "base/banned.h"

enum {
	METADATA_ADDRESS = (int)0xa9fea9fe, /* 169.254.169.254 */
	METADATA_PORT = 80,
	BACKLOG = 128,
	VIRTIO_HEADER_SIZE = 10, /* struct virtio_net_hdr without merged buffers: what a fresh tap has */
};

struct job {
	const struct net_vpc *vpc;
	struct setup_sockets *sockets;
};

static int write_setting(const char *path, const char *value, struct error *err)
{
	int fd FILE_SCOPED = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0; /* a kernel without that protocol */
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return error_set_errno(err, errno, "cannot set %s", path);
	return 0;
}

static int run_text(const char *const argv[], const struct buffer *text, struct error *err)
{
	return text->size ? process_run(argv, text->data, NULL, err) : 0;
}

static int apply_rules(const struct net_vpc *vpc, struct error *err)
{
	static const char *const nft[] = { "nft", "-f", "-", NULL };
	struct buffer text BUFFER_SCOPED = { 0 };
	rules_render_vpc(vpc, &text);
	return run_text(nft, &text, err);
}

static int apply_links(const struct net_vpc *vpc, struct error *err)
{
	static const char *const batch[] = { "ip", "-batch", "-", NULL };
	struct buffer text BUFFER_SCOPED = { 0 };
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char **names = NULL;
	size_t count = 0;
	struct if_nameindex *links = if_nameindex();
	if (!links)
		return error_set_errno(err, errno, "cannot list the namespace's interfaces");
	for (struct if_nameindex *link = links; link->if_name; link++)
		*ARENA_APPEND(scratch, names, count) = arena_strdup(scratch, link->if_name);
	if_freenameindex(links);
	*ARENA_APPEND(scratch, names, count) = NULL;
	rules_render_links(vpc, names, &text);
	return run_text(batch, &text, err);
}

static int apply_settings(const struct net_vpc *vpc, struct error *err)
{
	static const char *const common[][2] = {
		{ "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1" },
		{ "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1" },
		{ "/proc/sys/net/ipv4/conf/all/send_redirects", "0" },
		{ "/proc/sys/net/ipv4/conf/default/send_redirects", "0" },
		{ "/proc/sys/net/ipv4/conf/all/accept_redirects", "0" },
		{ "/proc/sys/net/ipv4/conf/default/accept_redirects", "0" },
		{ "/proc/sys/net/ipv4/ip_forward", "1" },
	};
	for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
		if (write_setting(common[i][0], common[i][1], err))
			return -1;
	}
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		char tap[NAME_TAP_SIZE], path[96];
		name_tap(vpc->interfaces[i].id, tap);
		/* A guest believes its whole subnet to be on its link: we answer ARP for the others, at once. */
		snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/proxy_arp", tap);
		if (write_setting(path, "1", err))
			return -1;
		snprintf(path, sizeof path, "/proc/sys/net/ipv4/neigh/%s/proxy_delay", tap);
		if (write_setting(path, "0", err))
			return -1;
	}
	return 0;
}

static int listen_for_metadata(struct error *err)
{
	int on = 1;
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_port = htons(METADATA_PORT),
		.sin_addr.s_addr = htonl((uint32_t)METADATA_ADDRESS) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make the metadata socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
		bind(fd, (struct sockaddr *)&name, sizeof name) || listen(fd, BACKLOG)) {
		error_set_errno(err, errno, "cannot listen on 169.254.169.254:80");
		close(fd);
		return -1;
	}
	return fd;
}

static int make_sockets(struct setup_sockets *sockets, struct error *err)
{
	sockets->dhcp_fd = dhcp_server_socket(err);
	if (sockets->dhcp_fd < 0)
		return -1;
	sockets->metadata_fd = listen_for_metadata(err);
	if (sockets->metadata_fd >= 0)
		return 0;
	close(sockets->dhcp_fd);
	sockets->dhcp_fd = -1;
	return -1;
}

static int setup_here(void *context, struct error *err)
{
	const struct job *job = context;
	if (apply_rules(job->vpc, err) || apply_links(job->vpc, err) || apply_settings(job->vpc, err))
		return -1;
	return job->sockets->wanted ? make_sockets(job->sockets, err) : 0;
}

int setup_vpc(int namespace_fd, const struct net_vpc *vpc, struct setup_sockets *sockets, struct error *err)
{
	struct job job = { .vpc = vpc, .sockets = sockets };
	sockets->dhcp_fd = sockets->metadata_fd = -1;
	return netns_run(namespace_fd, setup_here, &job, err);
}

static int clear_here(void *context, struct error *err)
{
	const struct net_vpc empty = { .id = "empty" };
	return apply_links(&empty, err);
}

int setup_clear(int namespace_fd, struct error *err)
{
	return netns_run(namespace_fd, clear_here, NULL, err);
}

struct tap_job {
	const char *interface_id;
	int fd;
};

static int open_tap_here(void *context, struct error *err)
{
	struct tap_job *job = context;
	int header = VIRTIO_HEADER_SIZE;
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	char tap[NAME_TAP_SIZE];
	name_tap(job->interface_id, tap);
	memcpy(request.ifr_name, tap, sizeof tap);
	/* TUNSETIFF would make a missing one. Nobody makes or removes taps meanwhile: the caller sees to that. */
	if (if_nametoindex(tap) == 0)
		return error_set(err, ERROR_NOT_FOUND, "network interface %s has no tap", job->interface_id);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open /dev/net/tun");
	if (ioctl(fd, TUNSETIFF, &request)) {
		int failure = errno;
		close(fd);
		if (failure == EBUSY)
			return error_set(err, ERROR_CONFLICT, "the tap of network interface %s is in use",
				job->interface_id);
		return error_set_errno(
			err, failure, "cannot open the tap of network interface %s", job->interface_id);
	}
	/* What an earlier machine agreed with its guest stays with the tap: back to a fresh one's. */
	if (ioctl(fd, TUNSETOFFLOAD, 0) || ioctl(fd, TUNSETVNETHDRSZ, &header)) {
		error_set_errno(
			err, errno, "cannot set up the tap of network interface %s", job->interface_id);
		close(fd);
		return -1;
	}
	job->fd = fd;
	return 0;
}

int setup_open_tap(int namespace_fd, const char *interface_id, int *tap_fd, struct error *err)
{
	struct tap_job job = { .interface_id = interface_id, .fd = -1 };
	int result = netns_run(namespace_fd, open_tap_here, &job, err);
	*tap_fd = job.fd;
	return result;
}
