/* Descriptions of VPCs: checked before they become rule texts, copied whole, asked whom they admit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/describe.h"
#include "net/names.h"

enum { ADDRESS = 0x0a000105, GATEWAY = 0x0a000101, SUBNET = 0x0a000100, LOCALHOST = 0x7f000001 };

static const char *const one_group[] = { "sg-a", NULL };
static const char *const unknown_group[] = { "sg-unknown", NULL };

static struct net_interface good_interface(void)
{
	return (struct net_interface){ .id = "eni-1",
		.mac = "02:00:00:00:00:05",
		.private_address = ADDRESS,
		.gateway = GATEWAY,
		.subnet_address = SUBNET,
		.subnet_prefix = 24,
		.hostname = "host",
		.groups = one_group };
}

static int check(struct net_interface interface, struct net_rule rule)
{
	struct error err;
	struct net_group group = { .id = "sg-a", .ingress = &rule, .ingress_count = 1 };
	struct net_vpc vpc = { .id = "vpc-1",
		.groups = &group,
		.group_count = 1,
		.interfaces = &interface,
		.interface_count = 1 };
	int result = vpc_check(&vpc, &err);
	assert_true(result == 0 || err.code == ERROR_INVALID);
	return result;
}

static const struct net_rule ssh = { .protocol = 6, .from_port = 22, .to_port = 22 };

static void what_cannot_be_made_is_refused(void **state)
{
	struct net_interface interface;
	assert_int_equal(check(good_interface(), ssh), 0);
#define REFUSED(field, value) (interface = good_interface(), interface.field = (value), check(interface, ssh))
	assert_int_equal(REFUSED(id, "eni-1 drop"), -1);
	assert_int_equal(REFUSED(id, "eni\"1"), -1);
	assert_int_equal(REFUSED(id, ""), -1);
	assert_int_equal(REFUSED(id, NULL), -1);
	assert_int_equal(REFUSED(mac, "02:00:00:00:00"), -1);
	assert_int_equal(REFUSED(mac, "02-00-00-00-00-05"), -1);
	assert_int_equal(REFUSED(mac, "01:00:00:00:00:05"), -1); /* a group address */
	assert_int_equal(REFUSED(mac, NULL), -1);
	assert_int_equal(REFUSED(private_address, GATEWAY), -1);
	assert_int_equal(REFUSED(private_address, 0x0a000205), -1);
	assert_int_equal(REFUSED(subnet_prefix, 0), -1);
	assert_int_equal(REFUSED(subnet_prefix, 31), -1);
	assert_int_equal(REFUSED(public_address, 0xc0000201), -1);
	assert_int_equal(REFUSED(public_address, 0x7f4d0101), 0);
#undef REFUSED
}

static void rules_out_of_range_are_refused(void **state)
{
	static const struct net_rule bad[] = {
		{ .protocol = -2 },
		{ .protocol = 256 },
		{ .protocol = 6, .from_port = 0, .to_port = 65536 },
		{ .protocol = 6, .from_port = 23, .to_port = 22 },
		{ .protocol = 17, .from_port = -2, .to_port = 22 },
		{ .protocol = 1, .from_port = 256, .to_port = -1 },
		{ .protocol = -1, .peer_prefix = 33 },
		{ .protocol = -1, .peer_prefix = -1, .peer_group = "sg a" },
		{ .protocol = -1, .peer_prefix = -1, .peer_group = NULL },
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(check(good_interface(), bad[i]), -1);
}

static void an_address_is_given_once(void **state)
{
	struct error err;
	struct net_interface interfaces[] = { good_interface(), good_interface() };
	struct net_vpc vpc = { .id = "vpc-1", .interfaces = interfaces, .interface_count = 2 };
	interfaces[1].id = "eni-2";
	assert_int_equal(vpc_check(&vpc, &err), -1);
	assert_string_equal(err.message, "two network interfaces of vpc-1 have the address 10.0.1.5");
	interfaces[1].private_address++;
	assert_int_equal(vpc_check(&vpc, &err), 0);
}

static bool admits(struct net_rule rule, const char *const *groups, uint32_t source, unsigned port)
{
	struct net_group group = { .id = "sg-a", .ingress = &rule, .ingress_count = 1 };
	struct net_interface interface = good_interface();
	struct net_vpc vpc = { .id = "vpc-1",
		.groups = &group,
		.group_count = 1,
		.interfaces = &interface,
		.interface_count = 1 };
	interface.groups = groups;
	return vpc_admits(&vpc, &interface, source, port);
}

static void callers_from_outside_are_admitted_by_address_and_port(void **state)
{
	struct net_rule all = { .protocol = NET_PROTOCOL_ALL, .from_port = -1, .to_port = -1 };
	struct net_rule all_tcp = { .protocol = 6, .from_port = -1, .to_port = -1 };
	struct net_rule udp = { .protocol = 17, .from_port = 22, .to_port = 22 };
	struct net_rule office = {
		.protocol = 6, .from_port = 22, .to_port = 25, .peer_address = 0xc0000200, .peer_prefix = 24
	};
	struct net_rule members = {
		.protocol = 6, .from_port = 22, .to_port = 22, .peer_prefix = -1, .peer_group = "sg-a"
	};
	assert_true(admits(ssh, one_group, LOCALHOST, 22));
	assert_false(admits(ssh, one_group, LOCALHOST, 23));
	assert_false(admits(ssh, unknown_group, LOCALHOST, 22));
	assert_false(admits(ssh, NULL, LOCALHOST, 22));
	assert_true(admits(all, one_group, LOCALHOST, 1));
	assert_true(admits(all_tcp, one_group, LOCALHOST, 65535));
	assert_false(admits(udp, one_group, LOCALHOST, 22));
	assert_true(admits(office, one_group, 0xc0000263, 25));
	assert_false(admits(office, one_group, 0xc0000363, 25));
	assert_false(admits(office, one_group, LOCALHOST, 22));
	assert_false(admits(members, one_group, LOCALHOST, 22));
}

static void a_copy_shares_nothing(void **state)
{
	char id[] = "eni-1", group_id[] = "sg-a", host[] = "host", peer[] = "sg-b";
	const char *groups[] = { group_id, NULL };
	struct net_rule rule = { .protocol = -1, .peer_prefix = -1, .peer_group = peer };
	struct net_group group = { .id = group_id, .egress = &rule, .egress_count = 1 };
	struct net_interface interface = good_interface();
	interface.id = id;
	interface.hostname = host;
	interface.groups = groups;
	struct net_vpc vpc = { .id = "vpc-1",
		.groups = &group,
		.group_count = 1,
		.interfaces = &interface,
		.interface_count = 1 };
	struct arena *arena ARENA_SCOPED = arena_create();
	const struct net_vpc *copy = vpc_copy(arena, &vpc);
	id[0] = group_id[0] = host[0] = peer[0] = '?';
	interface.private_address = 0;
	rule.protocol = 6;
	assert_string_equal(copy->interfaces[0].id, "eni-1");
	assert_string_equal(copy->interfaces[0].hostname, "host");
	assert_int_equal(copy->interfaces[0].private_address, ADDRESS);
	assert_string_equal(copy->groups[0].egress[0].peer_group, "sg-b");
	assert_int_equal(copy->groups[0].egress[0].protocol, -1);
	assert_true(interface_in_group(&copy->interfaces[0], "sg-a"));
	assert_null(copy->domain);
}

static void names_fit_the_kernel_and_differ(void **state)
{
	char tap[NAME_TAP_SIZE], other[NAME_TAP_SIZE], namespace[NAME_NAMESPACE_SIZE],
		prefix[NAME_NAMESPACE_SIZE];
	name_tap("eni-0123456789abcdef0", tap);
	name_tap("eni-0123456789abcdef1", other);
	assert_int_equal(strlen(tap), 15);
	assert_string_not_equal(tap, other);
	name_prefix("/var/lib/amid", prefix);
	name_namespace("/var/lib/amid", "vpc-1", namespace);
	assert_int_equal(strlen(namespace), 5 + 8 + 1 + 16);
	assert_memory_equal(namespace, prefix, strlen(prefix));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_made_is_refused),
		cmocka_unit_test(rules_out_of_range_are_refused),
		cmocka_unit_test(an_address_is_given_once),
		cmocka_unit_test(callers_from_outside_are_admitted_by_address_and_port),
		cmocka_unit_test(a_copy_shares_nothing),
		cmocka_unit_test(names_fit_the_kernel_and_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
