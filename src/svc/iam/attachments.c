/*
 * Managed policies of users, groups and roles: attached ones, and permission boundaries. The record of who has a policy lists its ARN. Whatever comes to refer to an account's own policy puts that
 * policy's record too, so that it cannot be deleted meanwhile. Runs on the thread of the call.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "svc/iam/roles.h"
#include "base/banned.h"

int iam_check_modifiable(const struct iam_entity *entity, struct error *err)
{
	if (entity->kind != &iam_roles || !text_starts_with(*entity->path, IAM_SERVICE_ROLE_PATH))
		return 0;
	return error_set(err, ERROR_UNMODIFIABLE_ENTITY,
		"Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS",
		*entity->name);
}

int iam_check_bare(const struct iam_entity *entity, struct error *err)
{
	if (entity->attached_policies->count)
		return error_set(
			err, ERROR_DELETE_CONFLICT, "Cannot delete entity, must detach all policies first.");
	if (entity->inline_policies->count)
		return error_set(
			err, ERROR_DELETE_CONFLICT, "Cannot delete entity, must delete policies first.");
	return 0;
}

/* A policy that is to be attached or made a boundary. */
static int find_attachable(struct call *call, const char *arn, struct iam_policy *policy, struct error *err)
{
	if (iam_find_policy(call, arn, policy, err)) {
		if (err->code == ERROR_NO_SUCH_ENTITY)
			error_set(err, ERROR_NO_SUCH_ENTITY,
				"Policy %.300s does not exist or is not attachable.", arn);
		return -1;
	}
	if (policy->managed && text_starts_with(policy->path, IAM_SERVICE_ROLE_PATH))
		return error_set(err, ERROR_POLICY_NOT_ATTACHABLE,
			"Cannot attach a Service Role Policy to a Customer Role.");
	return 0;
}

static void touch_policy(struct meta_batch *batch, const struct iam_policy *policy)
{
	if (policy->record)
		meta_batch_put(batch, &record_iam_policy, policy->record);
}

static size_t find_attached(const struct iam_entity *entity, const char *arn)
{
	size_t i = 0;
	while (i < entity->attached_policies->count && strcmp(entity->attached_policies->items[i], arn) != 0)
		i++;
	return i;
}

static const char *quota_name(const struct iam_entity *entity)
{
	return entity->kind == &iam_users     ? "PoliciesPerUser"
		: entity->kind == &iam_groups ? "PoliciesPerGroup"
					      : "PoliciesPerRole";
}

static int attach(
	struct call *call, const struct iam_kind *kind, const char *name, const char *arn, struct error *err)
{
	struct iam_entity entity;
	struct iam_policy policy;
	if (iam_find(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err) ||
		find_attachable(call, arn, &policy, err))
		return -1;
	struct record_string_list *attached = entity.attached_policies;
	if (find_attached(&entity, arn) < attached->count)
		return 0;
	if (attached->count >= IAM_ATTACHED_MAX)
		return error_set(err, ERROR_LIMIT_EXCEEDED, "Cannot exceed quota for %s: %d",
			quota_name(&entity), IAM_ATTACHED_MAX);
	*ARENA_APPEND(call->arena, attached->items, attached->count) = policy.arn;
	attached->set = true;
	struct meta_batch *batch = iam_batch(call);
	iam_touch(batch, &entity);
	touch_policy(batch, &policy);
	return iam_commit(call, batch, err);
}

static int detach(
	struct call *call, const struct iam_kind *kind, const char *name, const char *arn, struct error *err)
{
	struct iam_entity entity;
	if (iam_find(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err))
		return -1;
	struct record_string_list *attached = entity.attached_policies;
	size_t at = find_attached(&entity, arn);
	if (at == attached->count)
		return error_set(err, ERROR_NO_SUCH_ENTITY, "Policy %.300s was not found.", arn);
	attached->items[at] = attached->items[--attached->count];
	return iam_store(call, &entity, err);
}

static const char *path_of_arn(struct call *call, const char *arn)
{
	const char *begin = strchr(arn, '/'), *end = strrchr(arn, '/');
	return begin ? arena_strndup(call->arena, begin, (size_t)(end - begin) + 1) : "/";
}

static struct iam_AttachedPolicy show_attached(const char *arn)
{
	return (struct iam_AttachedPolicy){ .policy_name = strrchr(arn, '/') + 1, .policy_arn = arn };
}

static int compare_names(const void *a, const void *b)
{
	const char *left = *(const char *const *)a, *right = *(const char *const *)b;
	int order = strcmp(strrchr(left, '/'), strrchr(right, '/'));
	return order ? order : strcmp(left, right);
}

/* In order of names; of two that are equal one is AWS's. */
static int list_attached(struct call *call, const struct iam_kind *kind, const char *name, const char *prefix,
	struct page *page, struct iam_attachedPoliciesListType *shown, struct error *err)
{
	struct iam_entity entity;
	bool full = false;
	if (iam_check_path_prefix(prefix, err) || iam_find(call, kind, name, &entity, err))
		return -1;
	const struct record_string_list *attached = entity.attached_policies;
	if (attached->count)
		qsort(attached->items, attached->count, sizeof *attached->items, compare_names);
	shown->set = true;
	for (size_t i = 0; i < attached->count && !full; i++) {
		const char *arn = attached->items[i];
		if (prefix && !text_starts_with(path_of_arn(call, arn), prefix))
			continue;
		const char *sort = arena_printf(call->arena, "%s/%s", strrchr(arn, '/') + 1,
			iam_managed_policy_find(arn) ? "aws" : "own");
		if (iam_page_take(page, sort, &full))
			*ARENA_APPEND(call->arena, shown->items, shown->count) = show_attached(arn);
	}
	return 0;
}

#define ATTACHMENT_OPERATIONS(kind, Kind, name) \
	int iam_attach_##kind##_policy(struct call *call, \
		const struct iam_Attach##Kind##PolicyRequest *request, \
		struct iam_Attach##Kind##PolicyResult *result, struct error *err) \
	{ \
		(void)result; \
		return attach(call, &iam_##kind##s, request->name, request->policy_arn, err); \
	} \
	int iam_detach_##kind##_policy(struct call *call, \
		const struct iam_Detach##Kind##PolicyRequest *request, \
		struct iam_Detach##Kind##PolicyResult *result, struct error *err) \
	{ \
		(void)result; \
		return detach(call, &iam_##kind##s, request->name, request->policy_arn, err); \
	} \
	int iam_list_attached_##kind##_policies(struct call *call, \
		const struct iam_ListAttached##Kind##PoliciesRequest *request, \
		struct iam_ListAttached##Kind##PoliciesResponse *result, struct error *err) \
	{ \
		struct page page; \
		if (iam_page_open(call, request->max_items, request->marker, &page, err) || \
			list_attached(call, &iam_##kind##s, request->name, request->path_prefix, &page, \
				&result->attached_policies, err)) \
			return -1; \
		IAM_PAGE_CLOSE(&page, result); \
		return 0; \
	}

ATTACHMENT_OPERATIONS(user, User, user_name)
ATTACHMENT_OPERATIONS(group, Group, group_name)
ATTACHMENT_OPERATIONS(role, Role, role_name)

struct iam_attachedPoliciesListType iam_show_attached(
	struct call *call, const struct record_string_list *arns)
{
	struct iam_attachedPoliciesListType shown = { .set = true };
	for (size_t i = 0; i < arns->count; i++)
		*ARENA_APPEND(call->arena, shown.items, shown.count) = show_attached(arns->items[i]);
	return shown;
}

int iam_set_boundary(struct call *call, struct iam_entity *entity, const char *arn, struct meta_batch *batch,
	struct error *err)
{
	struct iam_policy policy;
	if (find_attachable(call, arn, &policy, err))
		return -1;
	*entity->boundary = policy.arn;
	touch_policy(batch, &policy);
	return 0;
}

static int put_boundary(
	struct call *call, const struct iam_kind *kind, const char *name, const char *arn, struct error *err)
{
	struct iam_entity entity;
	struct meta_batch *batch = iam_batch(call);
	if (iam_find(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err) ||
		iam_set_boundary(call, &entity, arn, batch, err))
		return -1;
	iam_touch(batch, &entity);
	return iam_commit(call, batch, err);
}

static int delete_boundary(
	struct call *call, const struct iam_kind *kind, const char *name, struct error *err)
{
	struct iam_entity entity;
	if (iam_find(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err))
		return -1;
	if (!*entity.boundary)
		return error_set(err, ERROR_NO_SUCH_ENTITY, "The %s %s does not have a permissions boundary.",
			kind->noun, name);
	*entity.boundary = NULL;
	return iam_store(call, &entity, err);
}

#define BOUNDARY_OPERATIONS(kind, Kind, name) \
	int iam_put_##kind##_permissions_boundary(struct call *call, \
		const struct iam_Put##Kind##PermissionsBoundaryRequest *request, \
		struct iam_Put##Kind##PermissionsBoundaryResult *result, struct error *err) \
	{ \
		(void)result; \
		return put_boundary( \
			call, &iam_##kind##s, request->name, request->permissions_boundary, err); \
	} \
	int iam_delete_##kind##_permissions_boundary(struct call *call, \
		const struct iam_Delete##Kind##PermissionsBoundaryRequest *request, \
		struct iam_Delete##Kind##PermissionsBoundaryResult *result, struct error *err) \
	{ \
		(void)result; \
		return delete_boundary(call, &iam_##kind##s, request->name, err); \
	}

BOUNDARY_OPERATIONS(user, User, user_name)
BOUNDARY_OPERATIONS(role, Role, role_name)
