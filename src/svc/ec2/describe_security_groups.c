/*
 * DescribeSecurityGroups. Rules that have protocol and ports in common are shown as one permission (security_rules.c). Runs on the thread of the call.
 */
#include "svc/ec2/describe.h"
#include "svc/ec2/security_groups.h"
#include "svc/ec2/security_rules.h"
#include "svc/network.h"
#include "base/banned.h"

static const struct describe_kind security_groups = {
	.shape = &ec2_shape_SecurityGroup,
	.key = "GroupId",
	.filters =
		(const struct describe_filter[]){
			{ "description", "Description" },
			{ "egress.ip-permission.cidr", "IpPermissionsEgress.IpRanges.CidrIp" },
			{ "egress.ip-permission.from-port", "IpPermissionsEgress.FromPort" },
			{ "egress.ip-permission.group-id", "IpPermissionsEgress.UserIdGroupPairs.GroupId" },
			{ "egress.ip-permission.group-name",
				"IpPermissionsEgress.UserIdGroupPairs.GroupName" },
			{ "egress.ip-permission.ipv6-cidr", "IpPermissionsEgress.Ipv6Ranges.CidrIpv6" },
			{ "egress.ip-permission.prefix-list-id",
				"IpPermissionsEgress.PrefixListIds.PrefixListId" },
			{ "egress.ip-permission.protocol", "IpPermissionsEgress.IpProtocol" },
			{ "egress.ip-permission.to-port", "IpPermissionsEgress.ToPort" },
			{ "egress.ip-permission.user-id", "IpPermissionsEgress.UserIdGroupPairs.UserId" },
			{ "group-id", "GroupId" },
			{ "group-name", "GroupName" },
			{ "ip-permission.cidr", "IpPermissions.IpRanges.CidrIp" },
			{ "ip-permission.from-port", "IpPermissions.FromPort" },
			{ "ip-permission.group-id", "IpPermissions.UserIdGroupPairs.GroupId" },
			{ "ip-permission.group-name", "IpPermissions.UserIdGroupPairs.GroupName" },
			{ "ip-permission.ipv6-cidr", "IpPermissions.Ipv6Ranges.CidrIpv6" },
			{ "ip-permission.prefix-list-id", "IpPermissions.PrefixListIds.PrefixListId" },
			{ "ip-permission.protocol", "IpPermissions.IpProtocol" },
			{ "ip-permission.to-port", "IpPermissions.ToPort" },
			{ "ip-permission.user-id", "IpPermissions.UserIdGroupPairs.UserId" },
			{ "owner-id", "OwnerId" },
			{ "vpc-id", "VpcId" },
			{ NULL },
		},
};

/* Every id and name asked for must be that of a group of the caller. */
static int check_asked(
	const struct meta_rows *rows, const char *const *asked, size_t count, bool by_id, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;
		if (by_id && ec2_check_id(text_or(asked[i], ""), "sg", ERROR_GROUP_ID_MALFORMED, err) != 0)
			return -1;
		for (size_t j = 0; j < rows->count && !found; j++) {
			const struct security_group_record *group = rows->items[j];
			found = text_equal(by_id ? group->record.id : group->name, asked[i]);
		}
		if (!found)
			return error_set(err, ERROR_GROUP_NOT_FOUND,
				"The security group '%.255s' does not exist", text_or(asked[i], ""));
	}
	return 0;
}

static void fill_group(
	struct call *call, const struct security_group_record *group, struct ec2_SecurityGroup *out)
{
	out->group_id = group->record.id;
	out->group_name = group->name;
	out->description = group->description;
	out->owner_id = group->record.account;
	out->vpc_id = group->vpc;
	out->security_group_arn = security_groups_arn(call, group);
	out->ip_permissions = security_rules_permissions(call, &group->rules, false);
	out->ip_permissions_egress = security_rules_permissions(call, &group->rules, true);
	out->tags = ec2_tags_result(call, &group->tags);
}

/*
 * As on AWS in a VPC, a permission shows its source groups by id alone; only a filter looks at their names. So the names are there while the list is filtered,
 * and taken out of what is shown.
 */
static void name_sources(const struct meta_rows *rows, struct ec2_IpPermissionList *permissions, bool show)
{
	for (size_t i = 0; i < permissions->count; i++) {
		struct ec2_UserIdGroupPairList *pairs = &permissions->items[i].user_id_group_pairs;
		for (size_t j = 0; j < pairs->count; j++) {
			pairs->items[j].group_name = NULL;
			for (size_t k = 0; k < rows->count && show; k++) {
				const struct security_group_record *group = rows->items[k];
				if (text_equal(group->record.id, pairs->items[j].group_id))
					pairs->items[j].group_name = group->name;
			}
		}
	}
}

static void name_all_sources(const struct meta_rows *rows, struct ec2_SecurityGroupList *list, bool show)
{
	for (size_t i = 0; i < list->count; i++) {
		name_sources(rows, &list->items[i].ip_permissions, show);
		name_sources(rows, &list->items[i].ip_permissions_egress, show);
	}
}

static bool filters_by_source_name(const struct ec2_FilterList *filters)
{
	for (size_t i = 0; i < filters->count; i++)
		if (filters->items[i].name && strstr(filters->items[i].name, "ip-permission.group-name"))
			return true;
	return false;
}

int ec2_describe_security_groups(struct call *call, const struct ec2_DescribeSecurityGroupsRequest *request,
	struct ec2_DescribeSecurityGroupsResult *result, struct error *err)
{
	const struct ec2_GroupIdStringList *ids = &request->group_ids;
	const struct ec2_GroupNameStringList *names = &request->group_names;
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows;

	if (network_ensure_default(call->amid, call->account, call->region, err) != 0 ||
		security_groups_list(call, &rows, err) != 0 ||
		check_asked(&rows, ids->items, ids->count, true, err) != 0 ||
		check_asked(&rows, names->items, names->count, false, err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct security_group_record *group = rows.items[i];
		if (describe_wants(ids->items, ids->count, group->record.id) &&
			describe_wants(names->items, names->count, group->name))
			fill_group(call, group,
				ARENA_APPEND(call->arena, result->security_groups.items,
					result->security_groups.count));
	}
	bool named = filters_by_source_name(&request->filters);
	if (named)
		name_all_sources(&rows, &result->security_groups, true);
	if (describe_finish(
		    call, &security_groups, &request->filters, &page, &result->security_groups, err) != 0)
		return -1;
	if (named)
		name_all_sources(&rows, &result->security_groups, false);
	return 0;
}
