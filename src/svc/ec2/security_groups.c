/*
 * Security groups: CreateSecurityGroup, DeleteSecurityGroup. Their rules are changed in security_group_rules.c and shown in describe_security_groups.c.
 *
 * A group is one record that holds its rules. A group that another one's rule names, or that an instance has, cannot be deleted. Whoever adds a rule
 * that names a group writes that group as well, unchanged: its version moves, so that a deletion at the same moment meets a conflict and is run again. Launches do not write the
 * groups of their instances (launches into one group would then refuse each other): a group deleted in the very moment of a launch can still be named by the new instance.
 * Runs on the thread of the call.
 */
#include "svc/ec2/security_groups.h"
#include "svc/network.h"
#include "base/banned.h"

enum { TEXT_MAX = 255 };

static const char *const taggable[] = { "security-group", NULL };

int security_groups_list(struct call *call, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };

	return meta_list(call->amid->meta, &record_security_group, &query, call->arena, rows, err);
}

static int find_by_name(
	struct call *call, const char *name, struct security_group_record **group, struct error *err)
{
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "name", .value = name
	};
	struct meta_rows rows;

	if (meta_list(call->amid->meta, &record_security_group, &query, call->arena, &rows, err) != 0)
		return -1;
	*group = rows.count ? rows.items[0] : NULL;
	return 0;
}

int security_groups_find(struct call *call, const char *id, const char *name,
	struct security_group_record **group, struct error *err)
{
	if (!id && !name)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter GroupName or GroupId");
	if (id) {
		if (ec2_check_id(id, "sg", ERROR_GROUP_ID_MALFORMED, err) != 0 ||
			EC2_GET(call, record_security_group, id, group, err) != 0)
			return -1;
	} else if (find_by_name(call, name, group, err) != 0) {
		return -1;
	}
	if (!*group)
		return error_set(err, ERROR_GROUP_NOT_FOUND, "The security group '%.255s' does not exist",
			id ? id : name);
	return 0;
}

char *security_groups_arn(struct call *call, const struct security_group_record *group)
{
	return arena_printf(call->arena, "arn:aws:ec2:%s:%s:security-group/%s", group->record.region,
		group->record.account, group->record.id);
}

/* Names and descriptions of groups in a VPC: up to 255 characters of AWS's set. */
static int check_text(const char *what, const char *text, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				      " ._-:/()#,@[]+=&;{}!$*";

	if (!*text || strlen(text) > TEXT_MAX || text[strspn(text, allowed)] != '\0')
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter %s is invalid. It is 1 to %d characters of a-zA-Z0-9, space and "
			"._-:/()#,@[]+=&;{}!$*",
			text, what, TEXT_MAX);
	return 0;
}

static int check_name(const char *name, struct error *err)
{
	if (check_text("GroupName", name, err) != 0)
		return -1;
	if (text_starts_with(name, "sg-"))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"invalid value for parameter group-name (%.64s): it cannot begin with sg-", name);
	if (strcmp(name, "default") == 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Cannot use reserved security group name: default");
	return 0;
}

/* The VPC for a new group: the one asked for, or the default one. */
static int choose_vpc(struct call *call, const char *asked, const char **vpc_id, struct error *err)
{
	struct vpc_record *vpc;

	if (network_ensure_default(call->amid, call->account, call->region, err) != 0)
		return -1;
	*vpc_id = asked ? asked : network_default_vpc_id(call->account, call->region, call->arena);
	if (EC2_GET(call, record_vpc, *vpc_id, &vpc, err) != 0)
		return -1;
	if (!vpc)
		return error_set(err, ERROR_VPC_NOT_FOUND, "The vpc ID '%.64s' does not exist", *vpc_id);
	return 0;
}

static int refuse_duplicate(const struct security_group_record *group, struct error *err)
{
	return error_set(err, ERROR_GROUP_DUPLICATE, "The security group '%s' already exists for VPC '%s'",
		group->name, group->vpc);
}

static int store_new(struct call *call, const struct security_group_record *group, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	struct error failure;

	meta_batch_put(batch, &record_security_group, group);
	if (meta_commit(call->amid->meta, batch, &failure) == 0)
		return 0;
	if (failure.code == ERROR_DUPLICATE)
		return refuse_duplicate(group, err);
	return error_set(err, failure.code, "%s", failure.message);
}

int ec2_create_security_group(struct call *call, const struct ec2_CreateSecurityGroupRequest *request,
	struct ec2_CreateSecurityGroupResult *result, struct error *err)
{
	/* As on AWS, a new group lets everything out and nothing in. */
	struct record_security_rule egress = {
		.id = text_random_id(call->arena, "sgr"),
		.egress = some_boolean(true),
		.protocol = "-1",
		.cidr = "0.0.0.0/0",
	};
	struct security_group_record group = {
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "sg") },
		.name = request->group_name,
		.description = request->description,
		.rules = { .items = &egress, .count = 1, .set = true },
	};
	struct security_group_record *existing;

	if (check_name(request->group_name, err) != 0 ||
		check_text("GroupDescription", request->description, err) != 0 ||
		ec2_tags_from_specifications(call, &request->tag_specifications, "security-group", taggable,
			&group.tags, err) != 0 ||
		choose_vpc(call, request->vpc_id, &group.vpc, err) != 0 ||
		find_by_name(call, group.name, &existing, err) != 0)
		return -1;
	if (existing)
		return refuse_duplicate(&group, err);
	if (store_new(call, &group, err) != 0)
		return -1;
	result->group_id = group.record.id;
	result->security_group_arn = security_groups_arn(call, &group);
	result->tags = ec2_tags_result(call, &group.tags);
	return 0;
}

static int refuse_dependency(const char *id, struct error *err)
{
	return error_set(err, ERROR_GROUP_IN_USE, "resource %s has a dependent object", id);
}

/* A terminated instance is only a memory and holds nothing. */
static int check_no_instance(struct call *call, const char *id, struct error *err)
{
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "group", .value = id
	};
	struct meta_rows rows;

	if (meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct instance_record *instance = rows.items[i];
		if (!text_equal(instance->state, "terminated"))
			return refuse_dependency(id, err);
	}
	return 0;
}

static int check_no_reference(struct call *call, const char *id, struct error *err)
{
	struct meta_rows rows;

	if (security_groups_list(call, &rows, err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct security_group_record *other = rows.items[i];
		for (size_t j = 0; j < other->rules.count; j++)
			if (!text_equal(other->record.id, id) && text_equal(other->rules.items[j].group, id))
				return refuse_dependency(id, err);
	}
	return 0;
}

int ec2_delete_security_group(struct call *call, const struct ec2_DeleteSecurityGroupRequest *request,
	struct ec2_DeleteSecurityGroupResult *result, struct error *err)
{
	struct security_group_record *group;

	if (network_ensure_default(call->amid, call->account, call->region, err) != 0 ||
		security_groups_find(call, request->group_id, request->group_name, &group, err) != 0)
		return -1;
	if (strcmp(group->name, "default") == 0)
		return error_set(err, ERROR_CANNOT_DELETE,
			"the specified group: \"%s\" name: \"default\" cannot be deleted by a user",
			group->record.id);
	if (check_no_instance(call, group->record.id, err) != 0 ||
		check_no_reference(call, group->record.id, err) != 0)
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_delete(batch, &record_security_group, group);
	if (meta_commit(call->amid->meta, batch, err) != 0)
		return -1;
	result->return_ = some_boolean(true);
	result->group_id = group->record.id;
	return 0;
}
