/*
 * The answers of a DHCP server (RFC 2131) that has exactly one address for each client: a pure function of the request and the client's lease. Total on hostile packets.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	DHCP_PACKET_LIMIT = 1500, /* larger requests are not answered */
	DHCP_REPLY_SIZE = 1024,
};

/* What a client is told. Addresses in host byte order. */
struct dhcp_lease {
	uint8_t mac[6];
	uint32_t address;
	uint32_t gateway; /* also the server's identity */
	int prefix;
	unsigned mtu;
	const char *hostname; /* NULL: not sent; longer than 255 bytes: cut */
	const char *domain;
};

/*
 * The reply to a request in `reply`: its size, or 0 if none is due (malformed, meant for another server, from another MAC address, nothing to say). *destination: the client's address if it is
 * known to have it, else the broadcast address.
 */
size_t dhcp_answer(const struct dhcp_lease *lease, const uint8_t *request, size_t size,
	uint8_t reply[static DHCP_REPLY_SIZE], uint32_t *destination);
