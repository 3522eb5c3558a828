/* Security groups and their ingress rules: the handlers. */
#include "handlers.h"

#include "svc/network.h"

static const char *create(struct scene *s, const char *name)
{
	struct ec2_CreateSecurityGroupRequest request = { .group_name = name, .description = "of a test" };
	struct ec2_CreateSecurityGroupResult result;

	assert_ok(RUN(s, CreateSecurityGroup, ec2_create_security_group, &request, &result));
	return result.group_id;
}

static struct ec2_SecurityGroupList describe(
	struct scene *s, struct ec2_DescribeSecurityGroupsRequest request)
{
	struct ec2_DescribeSecurityGroupsResult result;

	assert_ok(RUN(s, DescribeSecurityGroups, ec2_describe_security_groups, &request, &result));
	return result.security_groups;
}

static struct ec2_SecurityGroup describe_one(struct scene *s, const char *id)
{
	struct ec2_SecurityGroupList list =
		describe(s, (struct ec2_DescribeSecurityGroupsRequest){ .group_ids = STRINGS(id) });

	assert_int_equal(list.count, 1);
	return list.items[0];
}

static struct ec2_AuthorizeSecurityGroupIngressResult authorized;

static enum error_code authorize(struct scene *s, struct ec2_AuthorizeSecurityGroupIngressRequest request)
{
	return RUN(s, AuthorizeSecurityGroupIngress, ec2_authorize_security_group_ingress, &request,
		&authorized);
}

static enum error_code authorize_cidr(
	struct scene *s, const char *id, const char *protocol, int64_t from, int64_t to, const char *cidr)
{
	return authorize(s,
		(struct ec2_AuthorizeSecurityGroupIngressRequest){
			.group_id = id,
			.ip_protocol = protocol,
			.from_port = some_integer(from),
			.to_port = some_integer(to),
			.cidr_ip = cidr,
		});
}

static enum error_code authorize_group(struct scene *s, const char *id, const char *source)
{
	struct ec2_UserIdGroupPair pair = { .group_id = source };
	struct ec2_IpPermission permission = { .ip_protocol = "-1",
		.user_id_group_pairs = { &pair, 1, true } };

	return authorize(s,
		(struct ec2_AuthorizeSecurityGroupIngressRequest){
			.group_id = id, .ip_permissions = { &permission, 1, true } });
}

static struct ec2_RevokeSecurityGroupIngressResult revoked;

static enum error_code revoke(struct scene *s, struct ec2_RevokeSecurityGroupIngressRequest request)
{
	return RUN(s, RevokeSecurityGroupIngress, ec2_revoke_security_group_ingress, &request, &revoked);
}

static enum error_code delete (struct scene *s, const char *id) {
	struct ec2_DeleteSecurityGroupRequest request = { .group_id = id };
	struct ec2_DeleteSecurityGroupResult result;

	return RUN(s, DeleteSecurityGroup, ec2_delete_security_group, &request, &result);
}

static void a_default_group_is_there_from_the_start(void **state)
{
	struct scene *s = *state;
	struct ec2_SecurityGroupList list = describe(s, (struct ec2_DescribeSecurityGroupsRequest){ 0 });

	assert_int_equal(list.count, 1);
	assert_string_equal(list.items[0].group_name, "default");
	assert_int_equal(list.items[0].ip_permissions.count, 1);
	assert_string_equal(list.items[0].ip_permissions.items[0].ip_protocol, "-1");
	assert_string_equal(list.items[0].ip_permissions.items[0].user_id_group_pairs.items[0].group_id,
		list.items[0].group_id);
	assert_string_equal(
		list.items[0].ip_permissions_egress.items[0].ip_ranges.items[0].cidr_ip, "0.0.0.0/0");
	assert_error(delete (s, list.items[0].group_id), ERROR_CANNOT_DELETE);
}

static void a_new_group_lets_everything_out_and_nothing_in(void **state)
{
	struct scene *s = *state;
	struct ec2_SecurityGroup group = describe_one(s, create(s, "web"));

	assert_string_equal(group.description, "of a test");
	assert_string_equal(group.vpc_id, network_default_vpc_id("111111111111", "us-east-1", s->arena));
	assert_true(group.ip_permissions.set);
	assert_int_equal(group.ip_permissions.count, 0);
	assert_int_equal(group.ip_permissions_egress.count, 1);
}

static void names_are_checked(void **state)
{
	struct scene *s = *state;
	static const char *const wrong[] = { "", "default", "sg-name", "n\xc3\xa4me", "a\"b" };
	struct ec2_CreateSecurityGroupResult result;
	struct ec2_CreateSecurityGroupRequest request = { .group_name = "web", .description = "d" };

	create(s, "web");
	assert_error(RUN(s, CreateSecurityGroup, ec2_create_security_group, &request, &result),
		ERROR_GROUP_DUPLICATE);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		request.group_name = wrong[i];
		assert_error(RUN(s, CreateSecurityGroup, ec2_create_security_group, &request, &result),
			ERROR_INVALID_PARAMETER_VALUE);
	}
	request = (struct ec2_CreateSecurityGroupRequest){
		.group_name = "x", .description = "d", .vpc_id = "vpc-1"
	};
	assert_error(RUN(s, CreateSecurityGroup, ec2_create_security_group, &request, &result),
		ERROR_VPC_NOT_FOUND);
}

static void a_rule_is_answered_and_described(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");

	assert_ok(authorize_cidr(s, id, "tcp", 22, 22, "10.1.2.3/8"));
	assert_true(authorized.return_.value);
	assert_int_equal(authorized.security_group_rules.count, 1);
	const struct ec2_SecurityGroupRule *rule = &authorized.security_group_rules.items[0];
	assert_true(text_starts_with(rule->security_group_rule_id, "sgr-"));
	assert_string_equal(rule->group_id, id);
	assert_string_equal(rule->cidr_ipv4, "10.0.0.0/8");
	assert_false(rule->is_egress.value);
	struct ec2_SecurityGroup group = describe_one(s, id);
	assert_int_equal(group.ip_permissions.count, 1);
	assert_int_equal(group.ip_permissions.items[0].from_port.value, 22);
	assert_string_equal(group.ip_permissions.items[0].ip_ranges.items[0].cidr_ip, "10.0.0.0/8");
}

static void rules_of_the_same_ports_are_one_permission(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");

	assert_ok(authorize_cidr(s, id, "tcp", 80, 80, "10.0.0.0/8"));
	assert_ok(authorize_cidr(s, id, "tcp", 443, 443, "10.0.0.0/8"));
	assert_ok(authorize_cidr(s, id, "6", 80, 80, "192.168.0.0/16"));
	struct ec2_SecurityGroup group = describe_one(s, id);
	assert_int_equal(group.ip_permissions.count, 2);
	assert_string_equal(group.ip_permissions.items[0].ip_protocol, "tcp");
	assert_int_equal(group.ip_permissions.items[0].ip_ranges.count, 2);
}

static void a_rule_is_there_once(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");
	struct ec2_IpRange ranges[] = { { .cidr_ip = "10.0.0.0/8" }, { .cidr_ip = "10.9.9.9/8" } };
	struct ec2_IpPermission permission = {
		.ip_protocol = "tcp",
		.from_port = some_integer(1),
		.to_port = some_integer(2),
		.ip_ranges = { ranges, 2, true },
	};

	assert_ok(authorize_cidr(s, id, "tcp", 22, 22, "0.0.0.0/0"));
	assert_error(authorize_cidr(s, id, "tcp", 22, 22, "0.0.0.0/0"), ERROR_PERMISSION_DUPLICATE);
	assert_string_equal(s->err.message,
		"the specified rule \"peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW\" already "
		"exists");
	assert_error(authorize(s,
			     (struct ec2_AuthorizeSecurityGroupIngressRequest){
				     .group_id = id, .ip_permissions = { &permission, 1, true } }),
		ERROR_INVALID_PARAMETER_VALUE);
}

static void ports_protocols_and_addresses_are_checked(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");
	static const struct {
		const char *protocol;
		int from, to;
		const char *cidr;
	} wrong[] = {
		{ "tcp", -1, 22, "0.0.0.0/0" },
		{ "tcp", 22, 65536, "0.0.0.0/0" },
		{ "udp", 23, 22, "0.0.0.0/0" },
		{ "icmp", 256, -1, "0.0.0.0/0" },
		{ "icmp", -1, 3, "0.0.0.0/0" },
		{ "foo", 1, 1, "0.0.0.0/0" },
		{ "256", 1, 1, "0.0.0.0/0" },
		{ "tcp", 1, 1, "0.0.0.0" },
		{ "tcp", 1, 1, "0.0.0.0/33" },
		{ "tcp", 1, 1, "0.0.0.0/-1" },
		{ "tcp", 1, 1, "0.0.0.0/" },
		{ "tcp", 1, 1, "0.0.0/0" },
		{ "tcp", 1, 1, "::/0" },
		{ "tcp", 1, 1, "/8" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_error(
			authorize_cidr(s, id, wrong[i].protocol, wrong[i].from, wrong[i].to, wrong[i].cidr),
			ERROR_INVALID_PARAMETER_VALUE);
	assert_int_equal(describe_one(s, id).ip_permissions.count, 0);
}

static void icmpv6_and_ipv6_ranges_are_taken(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");
	struct ec2_Ipv6Range range = { .cidr_ipv6 = "2001:db8:0:0::1/32", .description = "doc" };
	struct ec2_IpPermission permission = { .ip_protocol = "icmpv6", .ipv6_ranges = { &range, 1, true } };

	assert_ok(authorize(s,
		(struct ec2_AuthorizeSecurityGroupIngressRequest){
			.group_id = id, .ip_permissions = { &permission, 1, true } }));
	struct ec2_IpPermission shown = describe_one(s, id).ip_permissions.items[0];
	assert_string_equal(shown.ip_protocol, "icmpv6");
	assert_string_equal(shown.ipv6_ranges.items[0].cidr_ipv6, "2001:db8::/32");
	assert_string_equal(shown.ipv6_ranges.items[0].description, "doc");
}

static void the_two_styles_do_not_mix(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");
	struct ec2_IpRange range = { .cidr_ip = "0.0.0.0/0" };
	struct ec2_IpPermission permission = { .ip_protocol = "-1", .ip_ranges = { &range, 1, true } };

	assert_error(authorize(s,
			     (struct ec2_AuthorizeSecurityGroupIngressRequest){ .group_id = id,
				     .cidr_ip = "0.0.0.0/0",
				     .ip_permissions = { &permission, 1, true } }),
		ERROR_INVALID_PARAMETER_COMBINATION);
	assert_error(authorize(s, (struct ec2_AuthorizeSecurityGroupIngressRequest){ .group_id = id }),
		ERROR_MISSING_PARAMETER);
	assert_error(
		authorize(s, (struct ec2_AuthorizeSecurityGroupIngressRequest){ .cidr_ip = "0.0.0.0/0" }),
		ERROR_MISSING_PARAMETER);
}

static void a_source_group_by_name_is_three_rules(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");

	assert_ok(authorize(s,
		(struct ec2_AuthorizeSecurityGroupIngressRequest){
			.group_id = id, .source_security_group_name = "default" }));
	assert_int_equal(authorized.security_group_rules.count, 3);
	assert_error(authorize(s,
			     (struct ec2_AuthorizeSecurityGroupIngressRequest){
				     .group_id = id, .source_security_group_name = "nobody" }),
		ERROR_GROUP_NOT_FOUND);
}

static void rules_are_revoked_by_id_and_by_what_they_say(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");

	assert_ok(authorize_cidr(s, id, "tcp", 22, 22, "0.0.0.0/0"));
	const char *rule_id = authorized.security_group_rules.items[0].security_group_rule_id;
	assert_ok(authorize_cidr(s, id, "tcp", 80, 80, "0.0.0.0/0"));
	assert_ok(revoke(s,
		(struct ec2_RevokeSecurityGroupIngressRequest){
			.group_id = id, .security_group_rule_ids = STRINGS(rule_id) }));
	assert_int_equal(revoked.revoked_security_group_rules.count, 1);
	assert_string_equal(revoked.revoked_security_group_rules.items[0].security_group_rule_id, rule_id);
	struct ec2_RevokeSecurityGroupIngressRequest by_value = {
		.group_name = "web",
		.ip_protocol = "tcp",
		.from_port = some_integer(80),
		.to_port = some_integer(80),
		.cidr_ip = "0.0.0.0/0",
	};
	assert_ok(revoke(s, by_value));
	assert_int_equal(describe_one(s, id).ip_permissions.count, 0);
	assert_int_equal(describe_one(s, id).ip_permissions_egress.count, 1);
	assert_error(revoke(s, by_value), ERROR_PERMISSION_NOT_FOUND);
	assert_error(revoke(s,
			     (struct ec2_RevokeSecurityGroupIngressRequest){
				     .group_id = id, .security_group_rule_ids = STRINGS(rule_id) }),
		ERROR_RULE_ID_NOT_FOUND);
}

static void a_group_that_a_rule_names_cannot_be_deleted(void **state)
{
	struct scene *s = *state;
	const char *web = create(s, "web"), *db = create(s, "db");

	assert_ok(authorize_group(s, db, web));
	assert_error(delete (s, web), ERROR_GROUP_IN_USE);
	assert_ok(delete (s, db));
	assert_ok(delete (s, web));
	assert_error(delete (s, web), ERROR_GROUP_NOT_FOUND);
}

static void naming_a_group_in_a_rule_moves_its_version(void **state)
{
	struct scene *s = *state;
	const char *web = create(s, "web"), *db = create(s, "db");
	struct security_group_record *before, *after;

	assert_int_equal(EC2_GET(&s->call, record_security_group, web, &before, &s->err), 0);
	assert_ok(authorize_group(s, db, web));
	assert_int_equal(EC2_GET(&s->call, record_security_group, web, &after, &s->err), 0);
	assert_true(after->record.version > before->record.version);
}

static void a_group_may_name_itself_and_still_be_deleted(void **state)
{
	struct scene *s = *state;
	const char *web = create(s, "web");

	assert_ok(authorize_group(s, web, web));
	assert_ok(delete (s, web));
}

static void a_group_of_a_live_instance_cannot_be_deleted(void **state)
{
	struct scene *s = *state;
	const char *web = create(s, "web");
	struct instance_record instance = {
		.record = { .account = s->call.account,
			.region = s->call.region,
			.id = "i-0123456789abcdef0" },
		.state = "stopped",
		.groups = STRINGS(web),
	};

	scene_put(s, &record_instance, &instance);
	assert_error(delete (s, web), ERROR_GROUP_IN_USE);
	instance.record.version = 1;
	instance.state = "terminated";
	scene_put(s, &record_instance, &instance);
	assert_ok(delete (s, web));
}

static void a_group_has_sixty_rules_at_most(void **state)
{
	struct scene *s = *state;
	const char *id = create(s, "web");

	for (int i = 0; i < 60; i++)
		assert_ok(authorize_cidr(s, id, "tcp", i, i, "0.0.0.0/0"));
	assert_error(authorize_cidr(s, id, "tcp", 60, 60, "0.0.0.0/0"), ERROR_RULE_LIMIT);
}

static void groups_of_another_account_are_not_there(void **state)
{
	struct scene *s = *state;
	const char *web = create(s, "web");

	s->call.account = "222222222222";
	assert_error(delete (s, web), ERROR_GROUP_NOT_FOUND);
	assert_error(authorize_cidr(s, web, "tcp", 22, 22, "0.0.0.0/0"), ERROR_GROUP_NOT_FOUND);
	assert_error(authorize_group(s, create(s, "mine"), web), ERROR_GROUP_NOT_FOUND);
	assert_error(delete (s, "sg-nothex"), ERROR_GROUP_ID_MALFORMED);
}

static void filters_look_into_permissions(void **state)
{
	struct scene *s = *state;
	const char *web = create(s, "web"), *db = create(s, "db");

	assert_ok(authorize_cidr(s, web, "tcp", 22, 22, "10.0.0.0/8"));
	assert_ok(authorize_group(s, db, web));
	static const struct {
		const char *name, *value;
		size_t count;
	} cases[] = {
		{ "ip-permission.cidr", "10.*", 1 },
		{ "ip-permission.from-port", "22", 1 },
		{ "ip-permission.protocol", "-1", 2 }, /* db and default */
		{ "ip-permission.group-name", "web", 1 },
		{ "egress.ip-permission.cidr", "0.0.0.0/0", 3 },
		{ "group-name", "?b", 1 },
		{ "owner-id", "111111111111", 3 },
		{ "owner-id", "222222222222", 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ec2_SecurityGroupList list = describe(s,
			(struct ec2_DescribeSecurityGroupsRequest){
				.filters = FILTER(cases[i].name, cases[i].value) });
		if (list.count != cases[i].count)
			fail_msg("%s=%s: %zu groups", cases[i].name, cases[i].value, list.count);
	}
	assert_null(describe_one(s, db).ip_permissions.items[0].user_id_group_pairs.items[0].group_name);
}

static void pages_hold_every_group_once(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeSecurityGroupsRequest request = { .max_results = some_integer(5) };
	struct ec2_DescribeSecurityGroupsResult result;
	size_t seen = 0, pages = 0;

	for (int i = 0; i < 11; i++)
		create(s, arena_printf(s->arena, "g%d", i));
	do {
		assert_ok(RUN(s, DescribeSecurityGroups, ec2_describe_security_groups, &request, &result));
		seen += result.security_groups.count;
		request.next_token = result.next_token;
		pages++;
	} while (request.next_token);
	assert_int_equal(seen, 12);
	assert_int_equal(pages, 3);
	request.next_token = "made up";
	assert_error(RUN(s, DescribeSecurityGroups, ec2_describe_security_groups, &request, &result),
		ERROR_INVALID_NEXT_TOKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_default_group_is_there_from_the_start),
		SCENE_TEST(a_new_group_lets_everything_out_and_nothing_in),
		SCENE_TEST(names_are_checked),
		SCENE_TEST(a_rule_is_answered_and_described),
		SCENE_TEST(rules_of_the_same_ports_are_one_permission),
		SCENE_TEST(a_rule_is_there_once),
		SCENE_TEST(ports_protocols_and_addresses_are_checked),
		SCENE_TEST(icmpv6_and_ipv6_ranges_are_taken),
		SCENE_TEST(the_two_styles_do_not_mix),
		SCENE_TEST(a_source_group_by_name_is_three_rules),
		SCENE_TEST(rules_are_revoked_by_id_and_by_what_they_say),
		SCENE_TEST(a_group_that_a_rule_names_cannot_be_deleted),
		SCENE_TEST(naming_a_group_in_a_rule_moves_its_version),
		SCENE_TEST(a_group_may_name_itself_and_still_be_deleted),
		SCENE_TEST(a_group_of_a_live_instance_cannot_be_deleted),
		SCENE_TEST(a_group_has_sixty_rules_at_most),
		SCENE_TEST(groups_of_another_account_are_not_there),
		SCENE_TEST(filters_look_into_permissions),
		SCENE_TEST(pages_hold_every_group_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
