/* Rule sets as texts: what `nft -f -` and `ip -batch -` are given to make a VPC as described. Pure: the same description gives the same text. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "net/net.h"

/* The whole rule set of a VPC's namespace: replaces what is there in one transaction. The description has passed vpc_check. */
void rules_render_vpc(const struct net_vpc *vpc, struct buffer *text);

/*
 * Addresses, taps and routes. `existing`: names of the interfaces that are there (NULL-terminated); taps that the description lacks are removed, all others set again, which changes nothing where it
 * is as it should be.
 */
void rules_render_links(const struct net_vpc *vpc, const char *const *existing, struct buffer *text);

/*
 * amid's own table in the host's namespace: TCP to any of the addresses is handed to the relay's port on this host, all else to them is dropped. Without a port (0: no relay is running) TCP is
 * refused, so that a public address never leads to a service of the host. Without addresses the table is removed.
 */
void rules_render_host(const char *table, const uint32_t *addresses, unsigned count, unsigned relay_port,
	struct buffer *text);
