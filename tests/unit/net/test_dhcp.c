/* DHCP answers, byte for byte where a client looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/dhcp.h"

enum { ADDRESS = 0x0a000105, GATEWAY = 0x0a000101, BROADCAST = -1 };
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, DECLINE = 4, ACK = 5, NAK = 6, RELEASE = 7, INFORM = 8 };

static const struct dhcp_lease lease = { .mac = { 2, 0, 0, 0, 0, 5 },
	.address = ADDRESS,
	.gateway = GATEWAY,
	.prefix = 24,
	.mtu = 1500,
	.hostname = "host",
	.domain = "example.internal" };

struct packet {
	uint8_t bytes[DHCP_PACKET_LIMIT + 8];
	size_t size;
};

static void put_u32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = value >> (24 - 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct packet begin(uint8_t message)
{
	static const uint8_t fixed[] = { 1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0x80, 0 };
	static const uint8_t tail[] = { 99, 130, 83, 99, 53, 1 };
	struct packet packet = { .size = 243 };
	memcpy(packet.bytes, fixed, sizeof fixed);
	memcpy(packet.bytes + 28, lease.mac, 6);
	memcpy(packet.bytes + 236, tail, sizeof tail);
	packet.bytes[242] = message;
	return packet;
}

static void add_u32(struct packet *packet, uint8_t code, uint32_t value)
{
	packet->bytes[packet->size] = code;
	packet->bytes[packet->size + 1] = 4;
	put_u32(packet->bytes + packet->size + 2, value);
	packet->size += 6;
}

static uint8_t reply[DHCP_REPLY_SIZE];
static uint32_t destination;

static size_t answer(const struct packet *packet)
{
	return dhcp_answer(&lease, packet->bytes, packet->size, reply, &destination);
}

/* The value of an option of the reply; NULL: not there. */
static const uint8_t *option(size_t size, uint8_t code)
{
	for (size_t at = 240; at < size && reply[at] != 255; at += 2u + reply[at + 1]) {
		if (reply[at] == code)
			return reply + at + 2;
	}
	return NULL;
}

static unsigned message_of(size_t size)
{
	return size ? *option(size, 53) : 0;
}

static void a_discovery_is_offered_the_address(void **state)
{
	struct packet packet = begin(DISCOVER);
	size_t size = answer(&packet);
	assert_int_equal(message_of(size), OFFER);
	assert_true(size >= 300);
	assert_int_equal(reply[0], 2);
	assert_int_equal(get_u32(reply + 4), 0xdeadbeef);
	assert_int_equal(reply[10], 0x80);
	assert_int_equal(get_u32(reply + 16), ADDRESS);
	assert_memory_equal(reply + 28, lease.mac, 6);
	assert_int_equal(get_u32(option(size, 54)), GATEWAY);
	assert_int_equal(get_u32(option(size, 1)), 0xffffff00);
	assert_int_equal(get_u32(option(size, 3)), GATEWAY);
	assert_int_equal(get_u32(option(size, 28)), 0x0a0001ff);
	assert_memory_equal(option(size, 12) - 1, "\4host", 5);
	assert_memory_equal(option(size, 15) - 1, "\20example.internal", 17);
	assert_memory_equal(option(size, 26), "\5\334", 2);
	assert_true(get_u32(option(size, 51)) >= 30 * 86400);
	assert_int_equal(destination, (uint32_t)BROADCAST);
}

static void the_own_address_is_acknowledged_any_other_refused(void **state)
{
	struct packet packet = begin(REQUEST);
	add_u32(&packet, 50, ADDRESS);
	assert_int_equal(message_of(answer(&packet)), ACK);
	assert_int_equal(destination, (uint32_t)BROADCAST);
	add_u32(&packet, 54, GATEWAY);
	assert_int_equal(message_of(answer(&packet)), ACK);
	packet = begin(REQUEST);
	add_u32(&packet, 50, ADDRESS + 1);
	size_t size = answer(&packet);
	assert_int_equal(message_of(size), NAK);
	assert_int_equal(get_u32(reply + 16), 0);
	assert_null(option(size, 51));
	packet = begin(REQUEST);
	assert_int_equal(message_of(answer(&packet)), NAK);
}

static void a_renewal_is_answered_directly(void **state)
{
	struct packet packet = begin(REQUEST);
	put_u32(packet.bytes + 12, ADDRESS);
	assert_int_equal(message_of(answer(&packet)), ACK);
	assert_int_equal(destination, ADDRESS);
	put_u32(packet.bytes + 12, ADDRESS + 1);
	assert_int_equal(message_of(answer(&packet)), NAK);
	assert_int_equal(destination, (uint32_t)BROADCAST);
}

static void an_inquiry_gets_settings_but_no_lease(void **state)
{
	struct packet packet = begin(INFORM);
	assert_int_equal(answer(&packet), 0);
	put_u32(packet.bytes + 12, ADDRESS);
	size_t size = answer(&packet);
	assert_int_equal(message_of(size), ACK);
	assert_int_equal(get_u32(reply + 16), 0);
	assert_null(option(size, 51));
	assert_non_null(option(size, 3));
}

static void what_is_not_for_us_is_not_answered(void **state)
{
	struct packet packet = begin(REQUEST);
	add_u32(&packet, 54, GATEWAY + 1); /* another server's offer was taken */
	add_u32(&packet, 50, ADDRESS);
	assert_int_equal(answer(&packet), 0);
	for (unsigned message = 0; message < 256; message++) {
		packet = begin(message);
		if (message != DISCOVER && message != REQUEST && message != INFORM)
			assert_int_equal(answer(&packet), 0);
	}
	static const size_t places[] = { 0, 1, 2, 24, 28, 33, 236,
		239 }; /* op, htype, hlen, giaddr, chaddr, cookie */
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		packet = begin(DISCOVER);
		packet.bytes[places[i]] ^= 4;
		assert_int_equal(answer(&packet), 0);
	}
}

static void cut_packets_are_harmless(void **state)
{
	struct packet packet = begin(DISCOVER);
	packet.size = 240;
	assert_int_equal(answer(&packet), 0);
	packet = begin(DISCOVER);
	packet.bytes[packet.size++] = 50; /* no length */
	assert_int_equal(message_of(answer(&packet)), OFFER);
	packet.bytes[packet.size++] = 200; /* runs past the end */
	assert_int_equal(message_of(answer(&packet)), OFFER);
	packet.size = DHCP_PACKET_LIMIT + 1;
	assert_int_equal(answer(&packet), 0);
}

static void long_names_fit(void **state)
{
	char name[400];
	struct dhcp_lease long_lease = lease;
	struct packet packet = begin(DISCOVER);
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	long_lease.hostname = long_lease.domain = name;
	size_t size = dhcp_answer(&long_lease, packet.bytes, packet.size, reply, &destination);
	assert_true(size > 700 && size <= DHCP_REPLY_SIZE);
	assert_int_equal(option(size, 12)[-1], 255);
	assert_int_equal(reply[size - 1], 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_discovery_is_offered_the_address),
		cmocka_unit_test(the_own_address_is_acknowledged_any_other_refused),
		cmocka_unit_test(a_renewal_is_answered_directly),
		cmocka_unit_test(an_inquiry_gets_settings_but_no_lease),
		cmocka_unit_test(what_is_not_for_us_is_not_answered),
		cmocka_unit_test(cut_packets_are_harmless),
		cmocka_unit_test(long_names_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
