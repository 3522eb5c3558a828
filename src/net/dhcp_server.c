/*
 * The DHCP server of a VPC: see dhcp_server.h.
 *
 * IP_PKTINFO tells on which tap a request came, and the tap tells the interface: no guest can ask in another's name. Replies go back to the same tap, where nobody but that guest can hear them, so a broadcast is
 * as private as a unicast.
 */
#include "net/dhcp_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/describe.h"
#include "net/dhcp.h"
#include "net/names.h"
#include "base/text.h"
#include "base/banned.h"

enum { PORT_SERVER = 67, PORT_CLIENT = 68, PACKETS_A_WAKE = 16, LINK_MTU = 1500 };

struct dhcp_server {
	struct loop_source source;
	struct loop *loop;
	const struct net_vpc *vpc; /* NULL: nothing is answered yet */
};

int dhcp_server_socket(struct error *err)
{
	int on = 1;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT_SERVER) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make the DHCP socket");
	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) ||
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) ||
		bind(fd, (struct sockaddr *)&any, sizeof any)) {
		error_set_errno(err, errno, "cannot bind the DHCP socket");
		close(fd);
		return -1;
	}
	return fd;
}

static const struct net_interface *find_by_link(const struct dhcp_server *server, int link)
{
	/* The socket belongs to the namespace, so asking it for the name asks there, whatever this thread's namespace is. */
	struct ifreq request = { .ifr_ifindex = link };
	char tap[NAME_TAP_SIZE];
	if (!server->vpc || ioctl(server->source.fd, SIOCGIFNAME, &request))
		return NULL;
	for (unsigned i = 0; i < server->vpc->interface_count; i++) {
		name_tap(server->vpc->interfaces[i].id, tap);
		if (text_equal(tap, request.ifr_name))
			return &server->vpc->interfaces[i];
	}
	return NULL;
}

union control {
	struct cmsghdr header; /* for alignment */
	char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* The size of the packet and the index of its link; -1: nothing (more) there. */
static ssize_t receive(int fd, uint8_t *packet, size_t limit, int *link)
{
	union control control;
	struct iovec data = { packet, limit };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t size = recvmsg(fd, &message, 0);
	*link = 0;
	for (struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&message); header;
		header = CMSG_NXTHDR(&message, header)) {
		if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(header), sizeof info);
			*link = info.ipi_ifindex;
		}
	}
	return size;
}

static void send_reply(int fd, int link, uint32_t from, uint32_t to, uint8_t *reply, size_t size)
{
	union control control = { 0 };
	struct sockaddr_in client = {
		.sin_family = AF_INET, .sin_port = htons(PORT_CLIENT), .sin_addr.s_addr = htonl(to)
	};
	struct iovec data = { reply, size };
	struct msghdr message = { .msg_name = &client,
		.msg_namelen = sizeof client,
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	struct in_pktinfo info = { .ipi_ifindex = link, .ipi_spec_dst.s_addr = htonl(from) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = IPPROTO_IP;
	header->cmsg_type = IP_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof info);
	memcpy(CMSG_DATA(header), &info, sizeof info);
	/* A reply that cannot be sent (the tap has just gone, its queue is full) is as one lost on the way: the client asks again. */
	ssize_t ignored = sendmsg(fd, &message, 0);
	(void)ignored;
}

static void answer(struct dhcp_server *server, const uint8_t *packet, size_t size, int link)
{
	const struct net_interface *interface = find_by_link(server, link);
	uint8_t reply[DHCP_REPLY_SIZE];
	uint32_t destination;
	if (!interface)
		return;
	struct dhcp_lease lease = { .address = interface->private_address,
		.gateway = interface->gateway,
		.prefix = interface->subnet_prefix,
		.mtu = LINK_MTU,
		.hostname = interface->hostname,
		.domain = server->vpc->domain };
	if (mac_parse(interface->mac, lease.mac))
		return;
	size_t reply_size = dhcp_answer(&lease, packet, size, reply, &destination);
	if (reply_size)
		send_reply(server->source.fd, link, lease.gateway, destination, reply, reply_size);
}

static void server_ready(struct loop_source *source, uint32_t events)
{
	struct dhcp_server *server = (struct dhcp_server *)source;
	uint8_t packet[DHCP_PACKET_LIMIT + 1]; /* one more, so that a longer packet is seen to be too long */
	int link;
	for (int i = 0; i < PACKETS_A_WAKE; i++) {
		ssize_t size = receive(source->fd, packet, sizeof packet, &link);
		if (size < 0)
			return;
		answer(server, packet, size, link);
	}
}

static void server_release(struct loop_source *source)
{
	free(source);
}

int dhcp_server_add(struct loop *loop, int socket_fd, struct dhcp_server **out, struct error *err)
{
	struct dhcp_server *server = memory_alloc(sizeof *server);
	*server = (struct dhcp_server){
		.source = { .fd = socket_fd, .ready = server_ready, .release = server_release }, .loop = loop
	};
	if (loop_add(loop, &server->source, EPOLLIN, err)) {
		close(socket_fd);
		free(server);
		return -1;
	}
	*out = server;
	return 0;
}

void dhcp_server_set(struct dhcp_server *server, const struct net_vpc *vpc)
{
	server->vpc = vpc;
}

void dhcp_server_remove(struct dhcp_server *server)
{
	if (server)
		loop_remove(server->loop, &server->source);
}
