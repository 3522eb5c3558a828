/*
 * Rule texts against golden files. AMID_GOLDEN_UPDATE=1 writes them anew: read the difference before committing it.
 * That nft takes them is shown by tests/vm/test_network.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "net/names.h"
#include "net/rules.h"

static void compare(const char *name, const struct buffer *text)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct error err;
	char *golden, *path = arena_printf(arena, "%s/%s", GOLDEN, name);
	size_t size;
	if (getenv("AMID_GOLDEN_UPDATE"))
		assert_int_equal(file_replace(path, text->data, text->size, 0644, &err), 0);
	assert_int_equal(file_read(path, 1 << 20, arena, &golden, &size, &err), 0);
	assert_string_equal(buffer_text(text), golden);
}

static const struct net_rule web_ingress[] = {
	{ .protocol = 6, .from_port = 80, .to_port = 80 },
	{ .protocol = 6, .from_port = 8000, .to_port = 8010, .peer_prefix = -1, .peer_group = "sg-client" },
	{ .protocol = 17, .from_port = 53, .to_port = 53, .peer_address = 0x0a0001ff, .peer_prefix = 24 },
	{ .protocol = 1, .from_port = 8, .to_port = -1 },
	{ .protocol = 1, .from_port = 3, .to_port = 4 },
	{ .protocol = 1, .from_port = -1, .to_port = -1 },
	{ .protocol = 6, .from_port = -1, .to_port = -1, .peer_address = 0x0a000105, .peer_prefix = 32 },
	{ .protocol = 47 },
	{ .protocol = 6, .from_port = 22, .to_port = 22, .peer_prefix = -1, .peer_group = "sg-elsewhere" },
};
static const struct net_rule all[] = { { .protocol = NET_PROTOCOL_ALL, .from_port = -1, .to_port = -1 } };
static const struct net_group groups[] = {
	{ .id = "sg-web", .ingress = web_ingress, .ingress_count = 9, .egress = all, .egress_count = 1 },
	{ .id = "sg-client", .egress = all, .egress_count = 1 },
	{ .id = "sg-nobody" },
};
static const char *const both[] = { "sg-web", "sg-client", NULL };
static const char *const one[] = { "sg-client", "sg-unknown", NULL };
static const struct net_interface interfaces[] = {
	{ .id = "eni-1",
		.mac = "02:00:00:00:00:05",
		.private_address = 0x0a000105,
		.gateway = 0x0a000101,
		.subnet_address = 0x0a000100,
		.subnet_prefix = 24,
		.groups = both },
	{ .id = "eni-2",
		.mac = "02:00:00:00:00:06",
		.private_address = 0x0a000206,
		.gateway = 0x0a000201,
		.subnet_address = 0x0a000200,
		.subnet_prefix = 24,
		.groups = one },
};
static const struct net_vpc vpc = {
	.id = "vpc-1", .groups = groups, .group_count = 3, .interfaces = interfaces, .interface_count = 2
};
static const struct net_vpc empty = { .id = "vpc-2" };

static void a_vpc_with_groups(void **state)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	rules_render_vpc(&vpc, &text);
	compare("vpc.nft", &text);
}

static void an_empty_vpc_lets_nothing_pass(void **state)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	rules_render_vpc(&empty, &text);
	compare("empty-vpc.nft", &text);
}

static void links_are_added_kept_and_removed(void **state)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	char kept[NAME_TAP_SIZE];
	name_tap("eni-2", kept);
	const char *const existing[] = { "lo", kept, "tap0123456789ab", "veth0", NULL };
	rules_render_links(&vpc, existing, &text);
	compare("links.batch", &text);
}

static void public_addresses_lead_to_the_relay(void **state)
{
	static const uint32_t addresses[] = { 0x7f4d0101, 0x7f4d0102 };
	struct buffer text BUFFER_SCOPED = { 0 };
	rules_render_host("amid-12345678", addresses, 2, 40000, &text);
	compare("host.nft", &text);
	buffer_clear(&text);
	rules_render_host("amid-12345678", addresses, 2, 0, &text);
	compare("host-closed.nft", &text);
	buffer_clear(&text);
	rules_render_host("amid-12345678", NULL, 0, 40000, &text);
	assert_string_equal(buffer_text(&text), "table ip amid-12345678\ndelete table ip amid-12345678\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vpc_with_groups),
		cmocka_unit_test(an_empty_vpc_lets_nothing_pass),
		cmocka_unit_test(links_are_added_kept_and_removed),
		cmocka_unit_test(public_addresses_lead_to_the_relay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
