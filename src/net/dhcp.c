/*
 * DHCP answers: see dhcp.h.
 *
 * A packet is a fixed header of 236 bytes, the magic cookie 99.130.83.99, then options: code, length, value; 0 is padding, 255 the end. Only three options of a request matter: message type (53), requested
 * address (50) and server (54); an option that runs past the end of the packet ends the reading, and what was read until then counts. Overload (52) is not looked at: no client puts those three into `file`
 * or `sname`.
 * Leases are long because the address of an interface never changes: a guest keeps its network while amid is down.
 */
#include "net/dhcp.h"

#include <stdbool.h>

#include "net/describe.h"
#include "base/banned.h"

enum {
	OFFSET_OP = 0,
	OFFSET_HTYPE = 1,
	OFFSET_HLEN = 2,
	OFFSET_XID = 4,
	OFFSET_FLAGS = 10,
	OFFSET_CIADDR = 12,
	OFFSET_YIADDR = 16,
	OFFSET_GIADDR = 24,
	OFFSET_CHADDR = 28,
	OFFSET_COOKIE = 236,
	OFFSET_OPTIONS = 240,
	CHADDR_SIZE = 16,
	BOOTP_MINIMUM = 300, /* some clients drop shorter replies */
};
enum { OP_REQUEST = 1, OP_REPLY = 2, HTYPE_ETHERNET = 1 };
enum {
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_HOSTNAME = 12,
	OPTION_DOMAIN = 15,
	OPTION_MTU = 26,
	OPTION_BROADCAST = 28,
	OPTION_REQUESTED_ADDRESS = 50,
	OPTION_LEASE_TIME = 51,
	OPTION_MESSAGE_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_END = 255,
};
enum message { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6, INFORM = 8 };
enum { LEASE_SECONDS = 365 * 24 * 3600 };

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

struct request {
	uint8_t message;
	uint32_t client;    /* ciaddr: the address that it has */
	uint32_t requested; /* 0: none */
	uint32_t server;    /* 0: any */
};

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_u32(uint8_t *at, uint32_t value)
{
	at[0] = value >> 24;
	at[1] = value >> 16;
	at[2] = value >> 8;
	at[3] = value;
}

static void parse_option(unsigned code, const uint8_t *value, size_t size, struct request *request)
{
	if (code == OPTION_MESSAGE_TYPE && size == 1)
		request->message = value[0];
	else if (code == OPTION_REQUESTED_ADDRESS && size == 4)
		request->requested = get_u32(value);
	else if (code == OPTION_SERVER && size == 4)
		request->server = get_u32(value);
}

static bool parse(const struct dhcp_lease *lease, const uint8_t *packet, size_t size, struct request *request)
{
	*request = (struct request){ 0 };
	if (size < OFFSET_OPTIONS || size > DHCP_PACKET_LIMIT || packet[OFFSET_OP] != OP_REQUEST ||
		packet[OFFSET_HTYPE] != HTYPE_ETHERNET || packet[OFFSET_HLEN] != MAC_SIZE ||
		memcmp(packet + OFFSET_COOKIE, cookie, sizeof cookie) != 0 ||
		memcmp(packet + OFFSET_CHADDR, lease->mac, MAC_SIZE) != 0 ||
		get_u32(packet + OFFSET_GIADDR) != 0)
		return false;
	request->client = get_u32(packet + OFFSET_CIADDR);
	size_t at = OFFSET_OPTIONS;
	while (at < size && packet[at] != OPTION_END) {
		if (packet[at] == OPTION_PAD) {
			at++;
			continue;
		}
		if (size - at < 2 || size - at - 2 < packet[at + 1])
			break;
		parse_option(packet[at], packet + at + 2, packet[at + 1], request);
		at += 2u + packet[at + 1];
	}
	return true;
}

/* Which message answers the request; 0: none. */
static unsigned choose_answer(const struct dhcp_lease *lease, const struct request *request)
{
	switch (request->message) {
	case DISCOVER:
		return OFFER;
	case REQUEST:
		if (request->server && request->server != lease->gateway)
			return 0; /* took another server's offer */
		uint32_t wanted = request->requested ? request->requested : request->client;
		return wanted == lease->address ? ACK : NAK;
	case INFORM:
		return request->client == lease->address ? ACK : 0;
	default:
		return 0; /* DECLINE and RELEASE change nothing: the address is the interface's */
	}
}

/* Options are written one behind the other; DHCP_REPLY_SIZE has room for all of them at their longest. */
static size_t put_option(uint8_t *reply, size_t at, unsigned code, const void *value, size_t size)
{
	reply[at] = code;
	reply[at + 1] = size;
	memcpy(reply + at + 2, value, size);
	return at + 2 + size;
}

static size_t put_option_u32(uint8_t *reply, size_t at, unsigned code, uint32_t value)
{
	uint8_t bytes[4];
	put_u32(bytes, value);
	return put_option(reply, at, code, bytes, sizeof bytes);
}

static size_t put_option_text(uint8_t *reply, size_t at, unsigned code, const char *text)
{
	size_t size = text ? strlen(text) : 0;
	return size ? put_option(reply, at, code, text, size > 255 ? 255 : size) : at;
}

static size_t put_configuration(const struct dhcp_lease *lease, uint8_t *reply, size_t at)
{
	uint32_t mask = prefix_mask(lease->prefix);
	uint8_t mtu[2] = { lease->mtu >> 8, lease->mtu };
	at = put_option_u32(reply, at, OPTION_MASK, mask);
	at = put_option_u32(reply, at, OPTION_ROUTER, lease->gateway);
	at = put_option_u32(reply, at, OPTION_BROADCAST, lease->address | ~mask);
	at = put_option(reply, at, OPTION_MTU, mtu, sizeof mtu);
	at = put_option_text(reply, at, OPTION_HOSTNAME, lease->hostname);
	return put_option_text(reply, at, OPTION_DOMAIN, lease->domain);
}

size_t dhcp_answer(const struct dhcp_lease *lease, const uint8_t *packet, size_t size,
	uint8_t reply[static DHCP_REPLY_SIZE], uint32_t *destination)
{
	struct request request;
	if (!parse(lease, packet, size, &request))
		return 0;
	unsigned answer = choose_answer(lease, &request);
	if (answer == 0)
		return 0;
	memset(reply, 0, DHCP_REPLY_SIZE);
	reply[OFFSET_OP] = OP_REPLY;
	reply[OFFSET_HTYPE] = HTYPE_ETHERNET;
	reply[OFFSET_HLEN] = MAC_SIZE;
	memcpy(reply + OFFSET_XID, packet + OFFSET_XID, 4);
	memcpy(reply + OFFSET_FLAGS, packet + OFFSET_FLAGS, 2);
	memcpy(reply + OFFSET_CHADDR, packet + OFFSET_CHADDR, CHADDR_SIZE);
	memcpy(reply + OFFSET_COOKIE, cookie, sizeof cookie);
	uint8_t message = answer;
	size_t at = put_option(reply, OFFSET_OPTIONS, OPTION_MESSAGE_TYPE, &message, 1);
	at = put_option_u32(reply, at, OPTION_SERVER, lease->gateway);
	if (answer != NAK) {
		put_u32(reply + OFFSET_CIADDR, answer == ACK ? request.client : 0);
		if (request.message != INFORM) {
			put_u32(reply + OFFSET_YIADDR, lease->address);
			at = put_option_u32(reply, at, OPTION_LEASE_TIME, LEASE_SECONDS);
		}
		at = put_configuration(lease, reply, at);
	}
	reply[at++] = OPTION_END;
	*destination = answer == ACK && request.client == lease->address ? lease->address : UINT32_MAX;
	return at < BOOTP_MINIMUM ? BOOTP_MINIMUM : at;
}
