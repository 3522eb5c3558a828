/* Groups and who is in them. A user's record lists the ids of its groups, so that a group's name may change. Runs on the thread of the call. */
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

int iam_create_group(struct call *call, const struct iam_CreateGroupRequest *request,
	struct iam_CreateGroupResponse *result, struct error *err)
{
	struct iam_group_record group = { 0 };
	struct iam_entity entity = iam_entity_of(&iam_groups, &group);
	if (iam_begin(call, &iam_groups, request->group_name, request->path, &group, err) ||
		iam_store(call, &entity, err))
		return -1;
	result->group = arena_alloc(call->arena, sizeof *result->group);
	*result->group = iam_show_group(call, &group);
	return 0;
}

int iam_get_group(struct call *call, const struct iam_GetGroupRequest *request,
	struct iam_GetGroupResponse *result, struct error *err)
{
	struct iam_entity group;
	struct meta_rows users;
	struct page page;
	bool full = false;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_find(call, &iam_groups, request->group_name, &group, err) ||
		iam_list(call, &iam_users, "group", group.record->id, &users, err))
		return -1;
	result->group = arena_alloc(call->arena, sizeof *result->group);
	*result->group = iam_show_group(call, (void *)group.record);
	result->users.set = true;
	for (size_t i = 0; i < users.count && !full; i++) {
		struct iam_user_record *user = users.items[i];
		if (!iam_page_take(&page, user->key, &full))
			continue;
		struct iam_User *shown = ARENA_APPEND(call->arena, result->users.items, result->users.count);
		*shown = iam_show_user(call, user);
		shown->tags.set = false;
		shown->permissions_boundary = NULL;
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

int iam_list_groups(struct call *call, const struct iam_ListGroupsRequest *request,
	struct iam_ListGroupsResponse *result, struct error *err)
{
	struct meta_rows rows;
	struct page page;
	bool full = false;
	if (iam_check_path_prefix(request->path_prefix, err) ||
		iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_list(call, &iam_groups, NULL, NULL, &rows, err))
		return -1;
	result->groups.set = true;
	for (size_t i = 0; i < rows.count && !full; i++) {
		struct iam_group_record *group = rows.items[i];
		if (request->path_prefix && !text_starts_with(group->path, request->path_prefix))
			continue;
		if (iam_page_take(&page, group->key, &full))
			*ARENA_APPEND(call->arena, result->groups.items, result->groups.count) =
				iam_show_group(call, group);
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

int iam_update_group(struct call *call, const struct iam_UpdateGroupRequest *request,
	struct iam_UpdateGroupResult *result, struct error *err)
{
	struct iam_entity group;
	(void)result;
	if (iam_find(call, &iam_groups, request->group_name, &group, err) ||
		iam_rename(call, &group, request->new_group_name, request->new_path, err))
		return -1;
	return iam_store(call, &group, err);
}

int iam_delete_group(struct call *call, const struct iam_DeleteGroupRequest *request,
	struct iam_DeleteGroupResult *result, struct error *err)
{
	struct iam_entity group;
	struct meta_rows users;
	(void)result;
	if (iam_find(call, &iam_groups, request->group_name, &group, err) ||
		iam_list(call, &iam_users, "group", group.record->id, &users, err))
		return -1;
	if (users.count)
		return error_set(err, ERROR_DELETE_CONFLICT,
			"Cannot delete entity, must remove users from group first.");
	if (iam_check_bare(&group, err))
		return -1;
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_iam_group, group.record);
	return iam_commit(call, batch, err);
}

static size_t find_membership(const struct iam_user_record *user, const char *group)
{
	size_t i = 0;
	while (i < user->groups.count && strcmp(user->groups.items[i], group) != 0)
		i++;
	return i;
}

int iam_add_user_to_group(struct call *call, const struct iam_AddUserToGroupRequest *request,
	struct iam_AddUserToGroupResult *result, struct error *err)
{
	struct iam_entity group, entity;
	(void)result;
	if (iam_find(call, &iam_groups, request->group_name, &group, err) ||
		iam_find(call, &iam_users, request->user_name, &entity, err))
		return -1;
	struct iam_user_record *user = (void *)entity.record;
	if (find_membership(user, group.record->id) < user->groups.count)
		return 0;
	if (user->groups.count >= IAM_GROUPS_OF_USER_MAX)
		return error_set(err, ERROR_LIMIT_EXCEEDED, "Cannot exceed quota for GroupsPerUser: %d",
			IAM_GROUPS_OF_USER_MAX);
	*ARENA_APPEND(call->arena, user->groups.items, user->groups.count) = group.record->id;
	user->groups.set = true;
	struct meta_batch *batch = iam_batch(call);
	iam_touch(batch, &entity);
	iam_touch(batch, &group);
	return iam_commit(call, batch, err);
}

int iam_remove_user_from_group(struct call *call, const struct iam_RemoveUserFromGroupRequest *request,
	struct iam_RemoveUserFromGroupResult *result, struct error *err)
{
	struct iam_entity group, entity;
	(void)result;
	if (iam_find(call, &iam_groups, request->group_name, &group, err) ||
		iam_find(call, &iam_users, request->user_name, &entity, err))
		return -1;
	struct iam_user_record *user = (void *)entity.record;
	size_t at = find_membership(user, group.record->id);
	if (at == user->groups.count)
		return 0;
	user->groups.items[at] = user->groups.items[--user->groups.count];
	return iam_store(call, &entity, err);
}

int iam_list_groups_for_user(struct call *call, const struct iam_ListGroupsForUserRequest *request,
	struct iam_ListGroupsForUserResponse *result, struct error *err)
{
	struct iam_entity user, group;
	struct meta_rows rows;
	struct page page;
	bool full = false;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_find(call, &iam_users, request->user_name, &user, err) ||
		iam_list(call, &iam_groups, NULL, NULL, &rows, err))
		return -1;
	const struct iam_user_record *record = (void *)user.record;
	result->groups.set = true;
	for (size_t i = 0; i < rows.count && !full; i++) {
		group = iam_entity_of(&iam_groups, rows.items[i]);
		if (find_membership(record, group.record->id) < record->groups.count &&
			iam_page_take(&page, *group.key, &full))
			*ARENA_APPEND(call->arena, result->groups.items, result->groups.count) =
				iam_show_group(call, rows.items[i]);
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}
