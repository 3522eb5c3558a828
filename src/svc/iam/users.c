/* CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser. Runs on the thread of the call. */
#include <string.h>

#include "base/text.h"
#include "svc/iam/access_keys.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

int iam_create_user(struct call *call, const struct iam_CreateUserRequest *request,
	struct iam_CreateUserResponse *result, struct error *err)
{
	struct iam_user_record user = { 0 };
	struct iam_entity entity = iam_entity_of(&iam_users, &user);
	struct meta_batch *batch = iam_batch(call);
	if (iam_begin(call, &iam_users, request->user_name, request->path, &user, err) ||
		iam_add_tags(call, &request->tags, &user.tags, err) ||
		(request->permissions_boundary &&
			iam_set_boundary(call, &entity, request->permissions_boundary, batch, err)))
		return -1;
	iam_touch(batch, &entity);
	if (iam_commit(call, batch, err))
		return -1;
	result->user = arena_alloc(call->arena, sizeof *result->user);
	*result->user = iam_show_user(call, &user);
	return 0;
}

/* The account's root has no record; what there is to say of it follows from its account. */
static int show_root(struct call *call, struct iam_User *user, struct error *err)
{
	struct account_record *account;
	if (meta_get(call->amid->meta, &record_account, "", "", call->account, call->arena, &account, err))
		return -1;
	*user = (struct iam_User){ .path = "/",
		.user_id = call->principal->id,
		.arn = call->principal->arn,
		.create_date = account ? account->created : (struct shape_timestamp){ 0 } };
	return 0;
}

int iam_find_user_or_caller(
	struct call *call, const char *name, struct iam_user_record **user, struct error *err)
{
	struct iam_entity entity;
	const struct principal *caller = call->principal;
	*user = NULL;
	if (name) {
		if (iam_find(call, &iam_users, name, &entity, err))
			return -1;
		*user = (void *)entity.record;
		return 0;
	}
	if (caller->type == PRINCIPAL_ROOT)
		return 0;
	if (caller->type != PRINCIPAL_USER)
		return error_set(err, ERROR_VALIDATION_QUERY,
			"Must specify userName when calling with non-User credentials");
	if (iam_find_id(call, &iam_users, caller->id, &entity, err))
		return -1;
	if (!entity.record)
		return error_set(
			err, ERROR_NO_SUCH_ENTITY, "The user with id %s cannot be found.", caller->id);
	*user = (void *)entity.record;
	return 0;
}

int iam_get_user(struct call *call, const struct iam_GetUserRequest *request,
	struct iam_GetUserResponse *result, struct error *err)
{
	struct iam_user_record *user;
	if (iam_find_user_or_caller(call, request->user_name, &user, err))
		return -1;
	result->user = arena_alloc(call->arena, sizeof *result->user);
	if (!user)
		return show_root(call, result->user, err);
	*result->user = iam_show_user(call, user);
	return 0;
}

int iam_list_users(struct call *call, const struct iam_ListUsersRequest *request,
	struct iam_ListUsersResponse *result, struct error *err)
{
	struct page page;
	struct meta_rows rows;
	bool full = false;
	if (iam_check_path_prefix(request->path_prefix, err) ||
		iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_list(call, &iam_users, NULL, NULL, &rows, err))
		return -1;
	result->users.set = true;
	for (size_t i = 0; i < rows.count && !full; i++) {
		struct iam_user_record *user = rows.items[i];
		if (request->path_prefix && !text_starts_with(user->path, request->path_prefix))
			continue;
		if (!iam_page_take(&page, user->key, &full))
			continue;
		struct iam_User *shown = ARENA_APPEND(call->arena, result->users.items, result->users.count);
		*shown = iam_show_user(call, user);
		/* lists leave these out */
		shown->tags.set = false;
		shown->permissions_boundary = NULL;
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

/* The id stays, so what refers to the user does. Its keys know its name. */
int iam_update_user(struct call *call, const struct iam_UpdateUserRequest *request,
	struct iam_UpdateUserResult *result, struct error *err)
{
	struct iam_entity user;
	struct meta_rows keys;
	struct meta_batch *batch = iam_batch(call);
	(void)result;
	if (iam_find(call, &iam_users, request->user_name, &user, err) ||
		iam_keys_of(call, (void *)user.record, &keys, err) ||
		iam_rename(call, &user, request->new_user_name, request->new_path, err))
		return -1;
	iam_rename_keys(call, &keys, &user, batch);
	iam_touch(batch, &user);
	return iam_commit(call, batch, err);
}

int iam_delete_user(struct call *call, const struct iam_DeleteUserRequest *request,
	struct iam_DeleteUserResult *result, struct error *err)
{
	struct iam_entity entity;
	struct meta_rows keys;
	(void)result;
	if (iam_find(call, &iam_users, request->user_name, &entity, err) ||
		iam_keys_of(call, (void *)entity.record, &keys, err) || iam_check_bare(&entity, err))
		return -1;
	const struct iam_user_record *user = (void *)entity.record;
	if (keys.count)
		return error_set(
			err, ERROR_DELETE_CONFLICT, "Cannot delete entity, must delete access keys first.");
	if (user->groups.count)
		return error_set(err, ERROR_DELETE_CONFLICT,
			"Cannot delete entity, must remove user from all groups first.");
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_iam_user, user);
	return iam_commit(call, batch, err);
}
