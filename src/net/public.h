/*
 * Public addresses: 127.x.y.z on the host leads to a guest, for TCP, as far as the ingress rules of its security groups admit the caller's address. The guest sees its gateway as the caller.
 *
 * With nftables in the host's namespace (a table of our own; no other is touched) all TCP to a public address is redirected to one relay port, whatever else listens on the host. Where that is not permitted,
 * each port that a rule of at most 64 ports names gets a listener.
 */
#pragma once

#include "net/loop.h"
#include "net/net.h"

struct public;

enum public_way {
	PUBLIC_REDIRECT, /* falls back to listeners when refused */
	PUBLIC_LISTENERS,
};

/* `table`: name of our table in the host's rules. */
int public_open(
	struct loop *loop, const char *table, enum public_way way, struct public **public, struct error *err);
/* Ends all connections; public addresses then refuse. NULL is legal. */
void public_close(struct public *public);

/*
 * What to serve: the VPC `id` is as described in the namespace; both must live until the next call for it. NULL: it is gone. Connections to guests that are no longer there are cut.
 * Called with the loop's lock held.
 */
void public_set_vpc(struct public *public, const char *id, int namespace_fd, const struct net_vpc *vpc);
/* Makes the host lead there. Called without the lock, by one thread at a time. */
int public_publish(struct public *public, struct error *err);
