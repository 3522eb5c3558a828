/*
 * Security group rules between their two forms: IpPermission (a protocol and ports with many sources) as the API takes and shows them, and one record_security_rule per source as they are stored.
 * Nothing here reads or writes the store.
 */
#pragma once

#include "svc/ec2/common.h"

/*
 * Appends the rules that a permission stands for, without ids: protocol, ports, addresses and descriptions checked, addresses made canonical (10.0.0.1/8 is 10.0.0.0/8). Groups come out as they were named: `group` is the
 * GroupId, or NULL with the GroupName in `*group_names` at the same index as the rule (NULL for rules without).
 */
struct security_rules {
	struct record_security_rule *items;
	size_t count;
	const char **group_names;
	size_t group_name_count; /* = count */
};
int security_rules_parse(struct call *call, const struct ec2_IpPermission *permission, bool egress,
	struct security_rules *rules, struct error *err);

/* Whether two rules allow the same traffic: all but id, description and tags. */
bool security_rules_equal(const struct record_security_rule *a, const struct record_security_rule *b);
/* `peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW`, as AWS names a rule in errors. */
char *security_rules_describe(struct call *call, const struct record_security_rule *rule);

/* The permissions of a group, one direction: rules of the same protocol and ports are one permission. */
struct ec2_IpPermissionList security_rules_permissions(
	struct call *call, const struct record_security_rule_list *rules, bool egress);
/* A rule as SecurityGroupRules shows it. */
void security_rules_result(struct call *call, const struct security_group_record *group,
	const struct record_security_rule *rule, struct ec2_SecurityGroupRule *out);
/* The protocol as it is shown: "icmpv6" for 58. */
const char *security_rules_protocol(const struct record_security_rule *rule);
