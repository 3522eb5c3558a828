/* How things are shown in answers. No state; runs on the thread of the call. */
#include <string.h>

#include "base/buffer.h"
#include "svc/iam/common.h"
#include "svc/policy_principals.h"
#include "base/banned.h"

const char *iam_encode_document(struct arena *arena, const char *document)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	struct buffer out BUFFER_SCOPED = { 0 };
	for (const char *c = document; *c; c++) {
		if (strchr(unreserved, *c))
			buffer_append_char(&out, *c);
		else
			buffer_printf(&out, "%%%02X", (unsigned char)*c);
	}
	return arena_strdup(arena, buffer_text(&out));
}

struct iam_tagListType iam_show_tags(struct call *call, const struct record_tag_list *tags)
{
	struct iam_tagListType shown = { .set = tags->count > 0 };
	for (size_t i = 0; i < tags->count; i++)
		*ARENA_APPEND(call->arena, shown.items, shown.count) =
			(struct iam_Tag){ .key = tags->items[i].key, .value = tags->items[i].value };
	return shown;
}

struct iam_AttachedPermissionsBoundary *iam_show_boundary(struct call *call, const char *arn)
{
	if (!arn)
		return NULL;
	struct iam_AttachedPermissionsBoundary *shown = arena_alloc(call->arena, sizeof *shown);
	shown->permissions_boundary_type = "Policy";
	shown->permissions_boundary_arn = arn;
	return shown;
}

struct iam_User iam_show_user(struct call *call, struct iam_user_record *user)
{
	struct iam_entity entity = iam_entity_of(&iam_users, user);
	return (struct iam_User){ .path = user->path,
		.user_name = user->name,
		.user_id = user->record.id,
		.arn = iam_arn(call, &entity),
		.create_date = user->created,
		.password_last_used = user->password_last_used,
		.permissions_boundary = iam_show_boundary(call, user->boundary),
		.tags = iam_show_tags(call, &user->tags) };
}

struct iam_Group iam_show_group(struct call *call, struct iam_group_record *group)
{
	struct iam_entity entity = iam_entity_of(&iam_groups, group);
	return (struct iam_Group){ .path = group->path,
		.group_name = group->name,
		.group_id = group->record.id,
		.arn = iam_arn(call, &entity),
		.create_date = group->created };
}

int iam_show_role(struct call *call, struct iam_role_record *role, struct iam_Role *shown, struct error *err)
{
	struct iam_entity entity = iam_entity_of(&iam_roles, role);
	struct iam_RoleLastUsed *used = arena_alloc(call->arena, sizeof *used);
	const char *trust_policy;
	if (policy_principals_show(call->amid, call->arena, role->trust_policy, &trust_policy, err))
		return -1;
	*used = (struct iam_RoleLastUsed){ .last_used_date = role->last_used,
		.region = role->last_used_region };
	*shown = (struct iam_Role){ .path = role->path,
		.role_name = role->name,
		.role_id = role->record.id,
		.arn = iam_arn(call, &entity),
		.create_date = role->created,
		.assume_role_policy_document = iam_encode_document(call->arena, trust_policy),
		.description = role->description,
		.max_session_duration = some_integer(integer_or(role->max_session_seconds, 3600)),
		.permissions_boundary = iam_show_boundary(call, role->boundary),
		.tags = iam_show_tags(call, &role->tags),
		.role_last_used = used };
	return 0;
}

int iam_show_profile(struct call *call, struct instance_profile_record *profile,
	struct iam_InstanceProfile *shown, struct error *err)
{
	struct iam_entity entity = iam_entity_of(&iam_profiles, profile), role;
	*shown = (struct iam_InstanceProfile){ .path = profile->path,
		.instance_profile_name = profile->name,
		.instance_profile_id = profile->record.id,
		.arn = iam_arn(call, &entity),
		.create_date = profile->created,
		.roles = { .set = true },
		.tags = iam_show_tags(call, &profile->tags) };
	if (!profile->role)
		return 0;
	if (iam_find_id(call, &iam_roles, profile->role, &role, err))
		return -1;
	if (!role.record)
		return 0;
	return iam_show_role(call, (void *)role.record,
		ARENA_APPEND(call->arena, shown->roles.items, shown->roles.count), err);
}
