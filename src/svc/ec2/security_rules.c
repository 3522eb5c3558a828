/*
 * Security group rules: checking and taking apart the permissions of a request, and putting stored rules together again.
 *
 * A stored rule has exactly one source (cidr, cidr6 or group). Protocols are stored as "-1", "tcp", "udp", "icmp" or a number as text, so that each has one spelling
 * and rules can be compared member by member; ports are absent where they mean nothing (all protocols, and those other than TCP, UDP and ICMP). Runs on the thread of a call.
 */
#include <arpa/inet.h>

#include "svc/ec2/security_rules.h"
#include "svc/network.h"
#include "base/banned.h"

enum {
	DESCRIPTION_MAX = 255,
	PORT_MAX = 65535,
	ICMP_MAX = 255,
	PROTOCOL_ICMP6 = 58,
};

static const struct {
	int number;
	const char *stored;
} named_protocols[] = { { 1, "icmp" }, { 6, "tcp" }, { 17, "udp" } };

/* The one spelling of a protocol: see the top. */
static int parse_protocol(struct call *call, const char *text, const char **protocol, struct error *err)
{
	int64_t number;

	if (!text)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter IpProtocol");
	if (strcmp(text, "-1") == 0 || strcasecmp(text, "all") == 0) {
		*protocol = "-1";
		return 0;
	}
	for (size_t i = 0; i < sizeof named_protocols / sizeof named_protocols[0]; i++) {
		if (strcasecmp(text, named_protocols[i].stored) == 0 ||
			(text_parse_int64(text, &number) == 0 && number == named_protocols[i].number)) {
			*protocol = named_protocols[i].stored;
			return 0;
		}
	}
	if (strcasecmp(text, "icmpv6") == 0)
		number = PROTOCOL_ICMP6;
	else if (text_parse_int64(text, &number) != 0 || number < 0 || number > 255)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Invalid value '%.32s' for IP protocol. Unknown protocol.", text);
	*protocol = arena_printf(call->arena, "%d", (int)number);
	return 0;
}

static int check_range(
	const char *what, int64_t low, int64_t high, int64_t min, int64_t max, struct error *err)
{
	int64_t wrong = low < min || low > max ? low : high;

	if (wrong < min || wrong > max)
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "%s (%lld) out of range", what, (long long)wrong);
	return 0;
}

static int check_tcp_udp(const struct ec2_IpPermission *permission, struct error *err)
{
	int64_t from = permission->from_port.value, to = permission->to_port.value;

	if (!permission->from_port.set || !permission->to_port.set)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.");
	if (check_range("TCP/UDP port", from, to, 0, PORT_MAX, err) != 0)
		return -1;
	if (from > to)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "Invalid TCP/UDP port range (%lld:%lld)",
			(long long)from, (long long)to);
	return 0;
}

/* From and to are the ICMP type and code; -1 is any, and any type has no particular code. */
static int check_icmp(const struct ec2_IpPermission *permission, struct error *err)
{
	int64_t type = permission->from_port.value, code = permission->to_port.value;

	if (!permission->from_port.set || !permission->to_port.set)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Invalid value 'Must specify both type and code with ICMP.' for portRange.");
	if (check_range("ICMP type", type, type, -1, ICMP_MAX, err) != 0 ||
		check_range("ICMP code", code, code, -1, ICMP_MAX, err) != 0)
		return -1;
	if (type == -1 && code != -1)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"ICMP code (%lld) must be -1 when ICMP type is -1", (long long)code);
	return 0;
}

/* Protocol and ports into a rule without a source. */
static int parse_traffic(struct call *call, const struct ec2_IpPermission *permission,
	struct record_security_rule *rule, struct error *err)
{
	if (parse_protocol(call, permission->ip_protocol, &rule->protocol, err) != 0)
		return -1;
	if (strcmp(rule->protocol, "tcp") == 0 || strcmp(rule->protocol, "udp") == 0) {
		if (check_tcp_udp(permission, err) != 0)
			return -1;
	} else if (strcmp(rule->protocol, "icmp") == 0) {
		if (check_icmp(permission, err) != 0)
			return -1;
	} else if (strcmp(rule->protocol, "58") == 0) {
		if ((permission->from_port.set || permission->to_port.set) &&
			check_icmp(permission, err) != 0)
			return -1;
	} else {
		return 0; /* ports mean nothing: whatever was given is every port, as on AWS */
	}
	rule->from_port = permission->from_port;
	rule->to_port = permission->to_port;
	return 0;
}

/* "ADDRESS/BITS" in its canonical form, host bits cleared. */
static int parse_cidr(
	struct call *call, const char *text, int family, const char **canonical, struct error *err)
{
	int max_bits = family == AF_INET ? 32 : 128;
	uint8_t address[16];
	char shown[INET6_ADDRSTRLEN];
	const char *slash = text ? strchr(text, '/') : NULL;
	int64_t bits;

	if (!slash || slash == text || !slash[1] || strspn(slash + 1, "0123456789") != strlen(slash + 1) ||
		text_parse_int64(slash + 1, &bits) != 0 || bits > max_bits ||
		inet_pton(family, arena_strndup(call->arena, text, (size_t)(slash - text)), address) != 1)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "CIDR block %.64s is malformed",
			text_or(text, ""));
	for (int bit = (int)bits; bit < max_bits; bit++)
		address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	inet_ntop(family, address, shown, sizeof shown);
	*canonical = arena_printf(call->arena, "%s/%d", shown, (int)bits);
	return 0;
}

static int check_description(const char *text, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				      " ._-:/()#,@[]+=&;{}!$*";

	if (text && (strlen(text) > DESCRIPTION_MAX || text[strspn(text, allowed)] != '\0'))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Invalid rule description. Valid descriptions are strings less than 256 characters "
			"from the "
			"following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*");
	return 0;
}

/* A rule of that traffic at the end of the list, still without a source; NULL with the error set. */
static struct record_security_rule *append_rule(struct call *call, struct security_rules *rules,
	const struct record_security_rule *traffic, const char *description, struct error *err)
{
	if (check_description(description, err) != 0)
		return NULL;
	struct record_security_rule *rule = ARENA_APPEND(call->arena, rules->items, rules->count);
	*ARENA_APPEND(call->arena, rules->group_names, rules->group_name_count) = NULL;
	*rule = *traffic;
	rule->description = description && *description ? description : NULL;
	return rule;
}

static int append_ranges(struct call *call, const struct ec2_IpPermission *permission,
	const struct record_security_rule *traffic, struct security_rules *rules, struct error *err)
{
	for (size_t i = 0; i < permission->ip_ranges.count; i++) {
		const struct ec2_IpRange *range = &permission->ip_ranges.items[i];
		struct record_security_rule *rule =
			append_rule(call, rules, traffic, range->description, err);
		if (!rule || parse_cidr(call, range->cidr_ip, AF_INET, &rule->cidr, err) != 0)
			return -1;
	}
	for (size_t i = 0; i < permission->ipv6_ranges.count; i++) {
		const struct ec2_Ipv6Range *range = &permission->ipv6_ranges.items[i];
		struct record_security_rule *rule =
			append_rule(call, rules, traffic, range->description, err);
		if (!rule || parse_cidr(call, range->cidr_ipv6, AF_INET6, &rule->cidr6, err) != 0)
			return -1;
	}
	return 0;
}

static int append_groups(struct call *call, const struct ec2_IpPermission *permission,
	const struct record_security_rule *traffic, struct security_rules *rules, struct error *err)
{
	for (size_t i = 0; i < permission->user_id_group_pairs.count; i++) {
		const struct ec2_UserIdGroupPair *pair = &permission->user_id_group_pairs.items[i];
		struct record_security_rule *rule = append_rule(call, rules, traffic, pair->description, err);
		if (!rule)
			return -1;
		if (pair->vpc_peering_connection_id)
			return error_set(err, ERROR_UNSUPPORTED_OPERATION,
				"Groups of peered VPCs are not supported by this endpoint.");
		if (pair->vpc_id &&
			!text_equal(pair->vpc_id,
				network_default_vpc_id(call->account, call->region, call->arena)))
			return error_set(
				err, ERROR_VPC_NOT_FOUND, "The vpc ID '%.64s' does not exist", pair->vpc_id);
		if (!pair->group_id && !pair->group_name)
			return error_set(err, ERROR_MISSING_PARAMETER,
				"The request must contain the parameter GroupId or GroupName of a source "
				"group");
		rule->group = pair->group_id;
		rule->group_owner = text_or(pair->user_id, call->account);
		rules->group_names[rules->count - 1] = pair->group_id ? NULL : pair->group_name;
	}
	return 0;
}

int security_rules_parse(struct call *call, const struct ec2_IpPermission *permission, bool egress,
	struct security_rules *rules, struct error *err)
{
	struct record_security_rule traffic = { .egress = some_boolean(egress) };
	size_t before = rules->count;

	if (permission->prefix_list_ids.count)
		return error_set(
			err, ERROR_UNSUPPORTED_OPERATION, "Prefix lists are not supported by this endpoint.");
	if (parse_traffic(call, permission, &traffic, err) != 0 ||
		append_ranges(call, permission, &traffic, rules, err) != 0 ||
		append_groups(call, permission, &traffic, rules, err) != 0)
		return -1;
	if (rules->count == before)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain an IP range or a source group for each permission");
	return 0;
}

static bool integers_equal(struct shape_integer a, struct shape_integer b)
{
	return a.set == b.set && (!a.set || a.value == b.value);
}

static bool same_traffic(const struct record_security_rule *a, const struct record_security_rule *b)
{
	return boolean_or(a->egress, false) == boolean_or(b->egress, false) &&
		text_equal(a->protocol, b->protocol) && integers_equal(a->from_port, b->from_port) &&
		integers_equal(a->to_port, b->to_port);
}

bool security_rules_equal(const struct record_security_rule *a, const struct record_security_rule *b)
{
	return same_traffic(a, b) && text_equal(a->cidr, b->cidr) && text_equal(a->cidr6, b->cidr6) &&
		text_equal(a->group, b->group);
}

const char *security_rules_protocol(const struct record_security_rule *rule)
{
	return strcmp(rule->protocol, "58") == 0 ? "icmpv6" : rule->protocol;
}

char *security_rules_describe(struct call *call, const struct record_security_rule *rule)
{
	const char *peer = rule->cidr ? rule->cidr : rule->cidr6 ? rule->cidr6 : rule->group;
	char *protocol = arena_strdup(call->arena, security_rules_protocol(rule));

	if (strcmp(protocol, "-1") == 0)
		return arena_printf(call->arena, "peer: %s, ALL, ALLOW", peer);
	for (char *c = protocol; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	if (!rule->from_port.set)
		return arena_printf(call->arena, "peer: %s, %s, ALLOW", peer, protocol);
	return arena_printf(call->arena, "peer: %s, %s, from port: %lld, to port: %lld, ALLOW", peer,
		protocol, (long long)rule->from_port.value, (long long)rule->to_port.value);
}

/* A rule's source into the permission that has its traffic. */
static void add_source(
	struct call *call, struct ec2_IpPermission *permission, const struct record_security_rule *rule)
{
	if (rule->cidr) {
		struct ec2_IpRange *range =
			ARENA_APPEND(call->arena, permission->ip_ranges.items, permission->ip_ranges.count);
		range->cidr_ip = rule->cidr;
		range->description = rule->description;
	} else if (rule->cidr6) {
		struct ec2_Ipv6Range *range = ARENA_APPEND(
			call->arena, permission->ipv6_ranges.items, permission->ipv6_ranges.count);
		range->cidr_ipv6 = rule->cidr6;
		range->description = rule->description;
	} else {
		struct ec2_UserIdGroupPair *pair = ARENA_APPEND(call->arena,
			permission->user_id_group_pairs.items, permission->user_id_group_pairs.count);
		pair->group_id = rule->group;
		pair->user_id = rule->group_owner;
		pair->description = rule->description;
	}
}

struct ec2_IpPermissionList security_rules_permissions(
	struct call *call, const struct record_security_rule_list *rules, bool egress)
{
	struct ec2_IpPermissionList list = { .set = true };
	const struct record_security_rule **firsts = NULL; /* the rule that began each permission */
	size_t first_count = 0;

	for (size_t i = 0; i < rules->count; i++) {
		const struct record_security_rule *rule = &rules->items[i];
		size_t at = 0;

		if (boolean_or(rule->egress, false) != egress)
			continue;
		while (at < list.count && !same_traffic(firsts[at], rule))
			at++;
		if (at == list.count) {
			*ARENA_APPEND(call->arena, firsts, first_count) = rule;
			struct ec2_IpPermission *made = ARENA_APPEND(call->arena, list.items, list.count);
			made->ip_protocol = security_rules_protocol(rule);
			made->from_port = rule->from_port;
			made->to_port = rule->to_port;
			made->ip_ranges.set = made->ipv6_ranges.set = true;
			made->user_id_group_pairs.set = made->prefix_list_ids.set = true;
		}
		add_source(call, &list.items[at], rule);
	}
	return list;
}

void security_rules_result(struct call *call, const struct security_group_record *group,
	const struct record_security_rule *rule, struct ec2_SecurityGroupRule *out)
{
	/* AWS shows -1 for ports that a rule does not have. */
	*out = (struct ec2_SecurityGroupRule){
		.security_group_rule_id = rule->id,
		.group_id = group->record.id,
		.group_owner_id = group->record.account,
		.is_egress = some_boolean(boolean_or(rule->egress, false)),
		.ip_protocol = security_rules_protocol(rule),
		.from_port = some_integer(integer_or(rule->from_port, -1)),
		.to_port = some_integer(integer_or(rule->to_port, -1)),
		.cidr_ipv4 = rule->cidr,
		.cidr_ipv6 = rule->cidr6,
		.description = rule->description,
		.tags = ec2_tags_result(call, &rule->tags),
		.security_group_rule_arn =
			arena_printf(call->arena, "arn:aws:ec2:%s:%s:security-group-rule/%s",
				group->record.region, group->record.account, rule->id),
	};
	if (rule->group) {
		out->referenced_group_info = arena_alloc(call->arena, sizeof *out->referenced_group_info);
		out->referenced_group_info->group_id = rule->group;
		out->referenced_group_info->user_id = rule->group_owner;
	}
}
