/*
 * Guest networks: a VPC is a network namespace with a routed tap per network interface (no bridge), nftables rules for anti-spoofing and security groups, DHCP answered by amid, a listener for the
 * instance metadata service at 169.254.169.254:80 in every VPC, and public addresses in 127.0.0.0/8 that lead from the host to a guest.
 * The namespaces have no link to the host or to each other: a guest reaches its VPC's other guests (where security groups allow) and the metadata service, nothing else.
 *
 * Everything is set from a whole description of a VPC (struct net_vpc) as often as it changes; net makes it so, at one stroke for the rules. It holds no truth of its own and finds what an earlier amid
 * left (names are derived from ids). Safe from every thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct net;

enum { NET_PROTOCOL_ALL = -1 }; /* else the IP protocol number: 1 ICMP, 6 TCP, 17 UDP */

/* One allowed kind of traffic. Addresses in host byte order. */
struct net_rule {
	int protocol;
	int from_port, to_port; /* TCP, UDP; -1: all. ICMP: type and code, -1: all */
	uint32_t peer_address;  /* network of the other side ... */
	int peer_prefix;        /* ... and its prefix length; -1: peer_group instead */
	const char *peer_group; /* any interface that is in that security group */
};
struct net_group {
	const char *id; /* "sg-..." */
	const struct net_rule *ingress;
	unsigned ingress_count;
	const struct net_rule *egress;
	unsigned egress_count;
};
struct net_interface {
	const char *id; /* "eni-..." ; the tap's name is derived from it */
	const char *mac;
	uint32_t private_address;
	uint32_t gateway; /* of its subnet */
	uint32_t subnet_address;
	int subnet_prefix;
	uint32_t public_address;   /* in 127.0.0.0/8; 0: none */
	const char *hostname;      /* sent by DHCP */
	const char *const *groups; /* ids, NULL-terminated */
};
struct net_vpc {
	const char *id;     /* "vpc-..." ; the namespace's name is derived from it */
	const char *domain; /* DHCP domain name */
	const struct net_group *groups;
	unsigned group_count;
	const struct net_interface *interfaces;
	unsigned interface_count;
};

/* An IMDS request arrived: net hands out the listener, the caller serves HTTP on it. */
struct net_callbacks {
	/*
	 * A listening, blocking socket in the VPC's namespace at 169.254.169.254:80, handed over (the callee owns it). Called from net_vpc_apply, once in the life of a VPC's namespace: one that comes for the same
	 * VPC after net_vpc_remove replaces the earlier, which nobody can reach any more. Must not call net. The VPC id tells equal addresses apart.
	 */
	void (*metadata_listener)(void *context, const char *vpc_id, int listen_fd);
	void *context;
};

/* Needs CAP_NET_ADMIN and CAP_SYS_ADMIN: ERROR_UNSUPPORTED says so if they are missing. `name` tells apart several amids on one host (derived from the data folder). */
int net_open(const char *name, const struct net_callbacks *callbacks, struct net **net, struct error *err);
void net_close(struct
	net *net); /* namespaces, taps and rules stay; DHCP, IMDS and public addresses stop until the next start */

/* Makes the VPC as described: namespace, taps (missing ones made, others removed), routes, rules, DHCP table, public addresses. */
int net_vpc_apply(struct net *net, const struct net_vpc *vpc, struct error *err);
/* Removes the VPC's namespace and everything in it. Fine if missing. */
int net_vpc_remove(struct net *net, const char *vpc_id, struct error *err);
/* Opens an interface's tap for a machine; the caller closes it. The VPC must have been applied with that interface. */
int net_tap_open(
	struct net *net, const char *vpc_id, const char *interface_id, int *tap_fd, struct error *err);
/* Removes what belongs to `name` but to none of the listed VPCs (NULL-terminated ids): leftovers of a reset. */
int net_remove_others(struct net *net, const char *const *vpc_ids, struct error *err);
