/* Descriptions of VPCs (struct net_vpc): checked, copied, asked. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "net/net.h"

enum { MAC_SIZE = 6 };

/*
 * ERROR_INVALID unless everything in it can be made: ids of letters, digits, '-' and '_' (they become part of rule texts), whole MAC addresses, prefixes and ports within range, no private
 * address twice.
 */
int vpc_check(const struct net_vpc *vpc, struct error *err);
/* A copy, all of it in the arena. */
const struct net_vpc *vpc_copy(struct arena *arena, const struct net_vpc *vpc);

const struct net_group *vpc_group(const struct net_vpc *vpc, const char *id);         /* NULL: unknown */
const struct net_interface *vpc_interface(const struct net_vpc *vpc, const char *id); /* NULL: unknown */
bool interface_in_group(const struct net_interface *interface, const char *group_id);
/* Whether the ingress rules of the interface's groups let in TCP from outside of the VPC. */
bool vpc_admits(
	const struct net_vpc *vpc, const struct net_interface *interface, uint32_t source, unsigned port);

/* The network mask of a prefix length, host byte order. */
uint32_t prefix_mask(int prefix);
/* "a.b.c.d" into `text`; returns text. */
enum { ADDRESS_TEXT_SIZE = 16 };
char *address_text(uint32_t address, char text[static ADDRESS_TEXT_SIZE]);
/* 0, or -1 unless the text is six pairs of hexadecimal digits with colons. */
int mac_parse(const char *text, uint8_t mac[static MAC_SIZE]);
