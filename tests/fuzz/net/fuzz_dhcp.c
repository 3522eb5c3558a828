/* DHCP requests come from guests: any packet must be answered within bounds, with nobody else's address, or not at all. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/dhcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp_lease lease = { .mac = { 2, 0, 0, 0, 0, 5 },
		.address = 0x0a000105,
		.gateway = 0x0a000101,
		.prefix = 24,
		.mtu = 1500,
		.hostname = "host",
		.domain = "example.internal" };
	static const uint8_t own[] = { 10, 0, 1, 5 }, none[4];
	uint8_t reply[DHCP_REPLY_SIZE];
	uint32_t destination = 1;
	size_t reply_size = dhcp_answer(&lease, data, size, reply, &destination);
	require(reply_size == 0 || (reply_size >= 300 && reply_size <= sizeof reply));
	if (reply_size) {
		require(destination == lease.address || destination == UINT32_MAX);
		require(memcmp(reply + 16, own, 4) == 0 || memcmp(reply + 16, none, 4) == 0);
		require(memcmp(reply + 28, lease.mac, 6) == 0);
	}
	return 0;
}
