/*
 * The rules of security groups: AuthorizeSecurityGroupIngress, RevokeSecurityGroupIngress.
 *
 * Both come in two styles: IpPermissions, or one permission in flat parameters (CidrIp, FromPort, ...); the flat ones are turned into permissions first,
 * so that there is one path behind. A call's rules are all added or removed, or none. Runs on the thread of the call.
 */
#include "svc/ec2/security_groups.h"
#include "svc/ec2/security_rules.h"
#include "svc/network.h"
#include "base/banned.h"

enum {
	RULES_MAX = 60, /* in a direction of a group, counted for IPv4 and IPv6 apart: AWS's default quota */
	REQUEST_RULES_MAX = 4 * RULES_MAX, /* bounds the work of a request that is refused anyway */
};

static const char *const taggable[] = { "security-group-rule", NULL };

/* What the two requests have in common. */
struct rule_parameters {
	const char *group_id, *group_name;
	const struct ec2_IpPermissionList *permissions;
	const char *cidr, *protocol, *source_group, *source_owner;
	struct shape_integer from_port, to_port;
};

static bool has_flat_traffic(const struct rule_parameters *given)
{
	return given->cidr || given->protocol || given->from_port.set || given->to_port.set;
}

/* The flat form of a source group stands for all of TCP, UDP and ICMP from it. */
static struct ec2_IpPermissionList expand_source_group(struct call *call, const struct rule_parameters *given)
{
	static const struct {
		const char *protocol;
		int from, to;
	} all[] = { { "tcp", 0, 65535 }, { "udp", 0, 65535 }, { "icmp", -1, -1 } };
	struct ec2_IpPermissionList list = { .set = true };
	struct ec2_UserIdGroupPair *pair = arena_alloc(call->arena, sizeof *pair);

	pair->group_name = given->source_group;
	pair->user_id = given->source_owner;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		*ARENA_APPEND(call->arena, list.items, list.count) = (struct ec2_IpPermission){
			.ip_protocol = all[i].protocol,
			.from_port = some_integer(all[i].from),
			.to_port = some_integer(all[i].to),
			.user_id_group_pairs = { .items = pair, .count = 1, .set = true },
		};
	return list;
}

static struct ec2_IpPermissionList expand_cidr(struct call *call, const struct rule_parameters *given)
{
	struct ec2_IpPermissionList list = { .set = true };
	struct ec2_IpPermission *permission = ARENA_APPEND(call->arena, list.items, list.count);

	permission->ip_protocol = given->protocol;
	permission->from_port = given->from_port;
	permission->to_port = given->to_port;
	if (given->cidr) {
		struct ec2_IpRange *range =
			ARENA_APPEND(call->arena, permission->ip_ranges.items, permission->ip_ranges.count);
		range->cidr_ip = given->cidr;
	}
	return list;
}

/* One list of permissions, whichever style the request has. */
static int gather_permissions(struct call *call, const struct rule_parameters *given,
	struct ec2_IpPermissionList *list, struct error *err)
{
	bool flat_group = given->source_group || given->source_owner;

	if (given->permissions->count) {
		if (has_flat_traffic(given) || flat_group)
			return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
				"The parameter 'ipPermissions' may not be used in combination with the "
				"parameters of one "
				"permission");
		*list = *given->permissions;
		return 0;
	}
	if (flat_group && has_flat_traffic(given))
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"A source security group may not be combined with a CIDR block, ports or a protocol");
	if (!flat_group && !has_flat_traffic(given))
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter ipPermissions");
	if (flat_group && !given->source_group)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter SourceSecurityGroupName");
	*list = flat_group ? expand_source_group(call, given) : expand_cidr(call, given);
	return 0;
}

/* Finds the groups that rules name as their sources; `batch` (may be NULL) writes each of them that is not the group itself, once: see security_groups.c. */
static int resolve_groups(struct call *call, const struct security_group_record *group,
	struct security_rules *rules, struct meta_batch *batch, struct error *err)
{
	const char **written = NULL;
	size_t written_count = 0;

	for (size_t i = 0; i < rules->count; i++) {
		struct record_security_rule *rule = &rules->items[i];
		struct security_group_record *source;
		if (!rule->group && !rules->group_names[i])
			continue;
		if (!text_equal(rule->group_owner, call->account))
			return error_set(err, ERROR_GROUP_NOT_FOUND,
				"You have specified two resources that belong to different networks.");
		if (security_groups_find(call, rule->group, rules->group_names[i], &source, err) != 0)
			return -1;
		rule->group = source->record.id;
		bool known = text_equal(rule->group, group->record.id);
		for (size_t j = 0; j < written_count && !known; j++)
			known = text_equal(written[j], rule->group);
		if (known || !batch)
			continue;
		meta_batch_put(batch, &record_security_group, source);
		*ARENA_APPEND(call->arena, written, written_count) = rule->group;
	}
	return 0;
}

/* The group of a request and the ingress rules it speaks of. */
static int read_rules(struct call *call, const struct rule_parameters *given, struct meta_batch *batch,
	struct security_group_record *group, struct security_rules *rules, struct error *err)
{
	struct ec2_IpPermissionList permissions = { 0 };

	if (gather_permissions(call, given, &permissions, err) != 0)
		return -1;
	for (size_t i = 0; i < permissions.count; i++)
		if (security_rules_parse(call, &permissions.items[i], false, rules, err) != 0)
			return -1;
	if (rules->count > REQUEST_RULES_MAX)
		return error_set(
			err, ERROR_RULE_LIMIT, "A request may have %d rules at most", REQUEST_RULES_MAX);
	if (resolve_groups(call, group, rules, batch, err) != 0)
		return -1;
	for (size_t i = 0; i < rules->count; i++)
		for (size_t j = 0; j < i; j++)
			if (security_rules_equal(&rules->items[i], &rules->items[j]))
				return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
					"The same permission must not appear multiple times");
	return 0;
}

/* Where a group has an equal rule; its rule count if it has none. */
static size_t find_rule(const struct security_group_record *group, const struct record_security_rule *rule)
{
	size_t at = 0;

	while (at < group->rules.count && !security_rules_equal(&group->rules.items[at], rule))
		at++;
	return at;
}

/* A rule whose source is a group counts for both versions of IP. */
static int check_rule_count(const struct security_group_record *group, struct error *err)
{
	size_t ipv4 = 0, ipv6 = 0;

	for (size_t i = 0; i < group->rules.count; i++) {
		const struct record_security_rule *rule = &group->rules.items[i];
		if (boolean_or(rule->egress, false))
			continue;
		ipv4 += !rule->cidr6;
		ipv6 += !rule->cidr;
	}
	if (ipv4 > RULES_MAX || ipv6 > RULES_MAX)
		return error_set(err, ERROR_RULE_LIMIT,
			"The maximum number of rules per security group has been reached (%d)", RULES_MAX);
	return 0;
}

/* Appends the rules to the group and to the answer. */
static int add_rules(struct call *call, struct security_group_record *group,
	const struct security_rules *rules, const struct record_tag_list *tags,
	struct ec2_SecurityGroupRuleList *shown, struct error *err)
{
	for (size_t i = 0; i < rules->count; i++) {
		struct record_security_rule *rule = &rules->items[i];
		if (find_rule(group, rule) < group->rules.count)
			return error_set(err, ERROR_PERMISSION_DUPLICATE,
				"the specified rule \"%s\" already exists",
				security_rules_describe(call, rule));
		rule->id = text_random_id(call->arena, "sgr");
		rule->tags = *tags;
		*ARENA_APPEND(call->arena, group->rules.items, group->rules.count) = *rule;
		group->rules.set = true;
		security_rules_result(
			call, group, rule, ARENA_APPEND(call->arena, shown->items, shown->count));
		shown->set = true;
	}
	return check_rule_count(group, err);
}

int ec2_authorize_security_group_ingress(struct call *call,
	const struct ec2_AuthorizeSecurityGroupIngressRequest *request,
	struct ec2_AuthorizeSecurityGroupIngressResult *result, struct error *err)
{
	struct rule_parameters given = {
		.permissions = &request->ip_permissions,
		.cidr = request->cidr_ip,
		.protocol = request->ip_protocol,
		.source_group = request->source_security_group_name,
		.source_owner = request->source_security_group_owner_id,
		.from_port = request->from_port,
		.to_port = request->to_port,
	};
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	struct security_group_record *group;
	struct security_rules rules = { 0 };
	struct record_tag_list tags;

	if (network_ensure_default(call->amid, call->account, call->region, err) != 0 ||
		security_groups_find(call, request->group_id, request->group_name, &group, err) != 0 ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, taggable[0], taggable, &tags, err) != 0 ||
		read_rules(call, &given, batch, group, &rules, err) != 0 ||
		add_rules(call, group, &rules, &tags, &result->security_group_rules, err) != 0)
		return -1;
	meta_batch_put(batch, &record_security_group, group);
	if (meta_commit(call->amid->meta, batch, err) != 0)
		return -1;
	result->return_ = some_boolean(true);
	return 0;
}

/* Takes rule `at` out of the group and shows it as revoked. */
static void remove_rule(struct call *call, struct security_group_record *group, size_t at,
	struct ec2_RevokedSecurityGroupRuleList *revoked)
{
	struct record_security_rule *rule = &group->rules.items[at];

	*ARENA_APPEND(call->arena, revoked->items, revoked->count) = (struct ec2_RevokedSecurityGroupRule){
		.security_group_rule_id = rule->id,
		.group_id = group->record.id,
		.is_egress = some_boolean(boolean_or(rule->egress, false)),
		.ip_protocol = security_rules_protocol(rule),
		.from_port = some_integer(integer_or(rule->from_port, -1)),
		.to_port = some_integer(integer_or(rule->to_port, -1)),
		.cidr_ipv4 = rule->cidr,
		.cidr_ipv6 = rule->cidr6,
		.referenced_group_id = rule->group,
		.description = rule->description,
	};
	revoked->set = true;
	group->rules.count--;
	memmove(rule, rule + 1, (group->rules.count - at) * sizeof *rule);
}

static int revoke_by_id(struct call *call, struct security_group_record *group,
	const struct ec2_SecurityGroupRuleIdList *ids, struct ec2_RevokedSecurityGroupRuleList *revoked,
	struct error *err)
{
	for (size_t i = 0; i < ids->count; i++) {
		size_t at = 0;
		while (at < group->rules.count &&
			(!text_equal(group->rules.items[at].id, ids->items[i]) ||
				boolean_or(group->rules.items[at].egress, false)))
			at++;
		if (at == group->rules.count)
			return error_set(err, ERROR_RULE_ID_NOT_FOUND,
				"The security group rule ID '%.64s' does not exist", ids->items[i]);
		remove_rule(call, group, at, revoked);
	}
	return 0;
}

static int revoke_by_permission(struct call *call, struct security_group_record *group,
	const struct rule_parameters *given, struct ec2_RevokedSecurityGroupRuleList *revoked,
	struct error *err)
{
	struct security_rules rules = { 0 };

	if (read_rules(call, given, NULL, group, &rules, err) != 0)
		return -1;
	for (size_t i = 0; i < rules.count; i++) {
		size_t at = find_rule(group, &rules.items[i]);
		if (at == group->rules.count)
			return error_set(err, ERROR_PERMISSION_NOT_FOUND,
				"The specified rule does not exist in this security group.");
		remove_rule(call, group, at, revoked);
	}
	return 0;
}

int ec2_revoke_security_group_ingress(struct call *call,
	const struct ec2_RevokeSecurityGroupIngressRequest *request,
	struct ec2_RevokeSecurityGroupIngressResult *result, struct error *err)
{
	struct rule_parameters given = {
		.permissions = &request->ip_permissions,
		.cidr = request->cidr_ip,
		.protocol = request->ip_protocol,
		.source_group = request->source_security_group_name,
		.source_owner = request->source_security_group_owner_id,
		.from_port = request->from_port,
		.to_port = request->to_port,
	};
	bool by_id = request->security_group_rule_ids.count > 0;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	struct security_group_record *group;

	if (by_id &&
		(given.permissions->count || has_flat_traffic(&given) || given.source_group ||
			given.source_owner))
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The parameter 'securityGroupRuleIds' may not be used in combination with "
			"permissions");
	if (network_ensure_default(call->amid, call->account, call->region, err) != 0 ||
		security_groups_find(call, request->group_id, request->group_name, &group, err) != 0)
		return -1;
	if (by_id ? revoke_by_id(call, group, &request->security_group_rule_ids,
			    &result->revoked_security_group_rules, err)
		  : revoke_by_permission(call, group, &given, &result->revoked_security_group_rules, err))
		return -1;
	meta_batch_put(batch, &record_security_group, group);
	if (meta_commit(call->amid->meta, batch, err) != 0)
		return -1;
	result->return_ = some_boolean(true);
	return 0;
}
