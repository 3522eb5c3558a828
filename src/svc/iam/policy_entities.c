/* ListEntitiesForPolicy: who has a managed policy attached or as boundary. Pages go through groups, then roles, then users. Runs on the thread of the call. */
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

struct entities {
	struct call *call;
	const struct iam_ListEntitiesForPolicyRequest *request;
	struct iam_ListEntitiesForPolicyResponse *result;
	struct page page;
	bool full;
};

static void add_entity(struct entities *entities, const struct iam_entity *entity)
{
	struct iam_ListEntitiesForPolicyResponse *result = entities->result;
	struct arena *arena = entities->call->arena;
	if (entity->kind == &iam_groups)
		*ARENA_APPEND(arena, result->policy_groups.items, result->policy_groups.count) =
			(struct iam_PolicyGroup){ .group_name = *entity->name,
				.group_id = entity->record->id };
	else if (entity->kind == &iam_roles)
		*ARENA_APPEND(arena, result->policy_roles.items, result->policy_roles.count) =
			(struct iam_PolicyRole){ .role_name = *entity->name, .role_id = entity->record->id };
	else
		*ARENA_APPEND(arena, result->policy_users.items, result->policy_users.count) =
			(struct iam_PolicyUser){ .user_name = *entity->name, .user_id = entity->record->id };
}

static bool has_arn(const struct record_string_list *arns, const char *arn)
{
	for (size_t i = 0; i < arns->count; i++)
		if (strcmp(arns->items[i], arn) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct entities *entities, const struct iam_entity *entity)
{
	const struct iam_ListEntitiesForPolicyRequest *request = entities->request;
	const char *usage = request->policy_usage_filter;
	bool attached = has_arn(entity->attached_policies, request->policy_arn);
	bool boundary = entity->boundary && text_equal(*entity->boundary, request->policy_arn);
	if (request->path_prefix && !text_starts_with(*entity->path, request->path_prefix))
		return false;
	return (attached && !text_equal(usage, "PermissionsBoundary")) ||
		(boundary && !text_equal(usage, "PermissionsPolicy"));
}

static int add_kind(
	struct entities *entities, const struct iam_kind *kind, const char *filter, struct error *err)
{
	struct meta_rows rows;
	if (entities->request->entity_filter && !text_equal(entities->request->entity_filter, filter))
		return 0;
	if (iam_list(entities->call, kind, NULL, NULL, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count && !entities->full; i++) {
		struct iam_entity entity = iam_entity_of(kind, rows.items[i]);
		const char *sort = arena_printf(entities->call->arena, "%s/%s", filter, *entity.key);
		if (is_wanted(entities, &entity) && iam_page_take(&entities->page, sort, &entities->full))
			add_entity(entities, &entity);
	}
	return 0;
}

int iam_list_entities_for_policy(struct call *call, const struct iam_ListEntitiesForPolicyRequest *request,
	struct iam_ListEntitiesForPolicyResponse *result, struct error *err)
{
	struct entities entities = { .call = call, .request = request, .result = result };
	struct iam_policy policy;
	if (iam_check_path_prefix(request->path_prefix, err) ||
		iam_page_open(call, request->max_items, request->marker, &entities.page, err) ||
		iam_find_policy(call, request->policy_arn, &policy, err))
		return -1;
	result->policy_groups.set = result->policy_users.set = result->policy_roles.set = true;
	/* in the order of their filters' names, which is that of the pages */
	if (add_kind(&entities, &iam_groups, "Group", err) || add_kind(&entities, &iam_roles, "Role", err) ||
		add_kind(&entities, &iam_users, "User", err))
		return -1;
	IAM_PAGE_CLOSE(&entities.page, result);
	return 0;
}
