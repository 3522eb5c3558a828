/* Policies that lie inside a user, group or role: Put, Get, List, Delete. Runs on the thread of the call. */
#include <stdlib.h>
#include <string.h>

#include "svc/iam/policies.h"
#include "base/banned.h"

static struct record_inline_policy *find_inline(const struct iam_entity *entity, const char *name)
{
	for (size_t i = 0; i < entity->inline_policies->count; i++)
		if (strcmp(entity->inline_policies->items[i].name, name) == 0)
			return &entity->inline_policies->items[i];
	return NULL;
}

static int check_sizes(const struct iam_entity *entity, struct error *err)
{
	size_t size = 0;
	for (size_t i = 0; i < entity->inline_policies->count; i++)
		size += iam_document_size(entity->inline_policies->items[i].document);
	if (size <= entity->kind->inline_size)
		return 0;
	return error_set(err, ERROR_LIMIT_EXCEEDED, "Maximum policy size of %u bytes exceeded for %s %s",
		entity->kind->inline_size, entity->kind->noun, *entity->name);
}

static int put_inline(struct call *call, const struct iam_kind *kind, const char *name,
	const char *policy_name, const char *document, struct error *err)
{
	struct iam_entity entity;
	if (iam_find(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err) ||
		iam_check_name("policyName", policy_name, err) ||
		iam_check_document(POLICY_IDENTITY, document, err))
		return -1;
	struct record_inline_policy *policy = find_inline(&entity, policy_name);
	if (!policy)
		policy = ARENA_APPEND(
			call->arena, entity.inline_policies->items, entity.inline_policies->count);
	*policy = (struct record_inline_policy){ .name = policy_name, .document = document };
	entity.inline_policies->set = true;
	return check_sizes(&entity, err) ? -1 : iam_store(call, &entity, err);
}

static int missing(const struct iam_entity *entity, const char *policy_name, struct error *err)
{
	return error_set(err, ERROR_NO_SUCH_ENTITY, "The %s policy with name %s cannot be found.",
		entity->kind->noun, policy_name);
}

/* *document is the policy as answers have it. */
static int get_inline(struct call *call, const struct iam_kind *kind, const char *entity_name,
	const char *policy_name, const char **document, struct error *err)
{
	struct iam_entity entity;
	if (iam_find(call, kind, entity_name, &entity, err) || iam_check_name("policyName", policy_name, err))
		return -1;
	const struct record_inline_policy *policy = find_inline(&entity, policy_name);
	if (!policy)
		return missing(&entity, policy_name, err);
	*document = iam_encode_document(call->arena, policy->document);
	return 0;
}

static int delete_inline(struct call *call, const struct iam_kind *kind, const char *name,
	const char *policy_name, struct error *err)
{
	struct iam_entity entity;
	if (iam_find(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err) ||
		iam_check_name("policyName", policy_name, err))
		return -1;
	struct record_inline_policy *policy = find_inline(&entity, policy_name);
	if (!policy)
		return missing(&entity, policy_name, err);
	*policy = entity.inline_policies->items[--entity.inline_policies->count];
	return iam_store(call, &entity, err);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int list_inline(struct call *call, const struct iam_kind *kind, const char *name, struct page *page,
	struct iam_policyNameListType *names, struct error *err)
{
	struct iam_entity entity;
	bool full = false;
	if (iam_find(call, kind, name, &entity, err))
		return -1;
	size_t count = entity.inline_policies->count;
	const char **sorted = arena_alloc_array(call->arena, count + 1, sizeof *sorted);
	for (size_t i = 0; i < count; i++)
		sorted[i] = entity.inline_policies->items[i].name;
	qsort(sorted, count, sizeof *sorted, compare_names);
	names->set = true;
	for (size_t i = 0; i < count && !full; i++)
		if (iam_page_take(page, sorted[i], &full))
			*ARENA_APPEND(call->arena, names->items, names->count) = sorted[i];
	return 0;
}

/* The operations of each kind differ in nothing but names. */
#define INLINE_OPERATIONS(kind, Kind, name) \
	int iam_put_##kind##_policy(struct call *call, const struct iam_Put##Kind##PolicyRequest *request, \
		struct iam_Put##Kind##PolicyResult *result, struct error *err) \
	{ \
		(void)result; \
		return put_inline(call, &iam_##kind##s, request->name, request->policy_name, \
			request->policy_document, err); \
	} \
	int iam_get_##kind##_policy(struct call *call, const struct iam_Get##Kind##PolicyRequest *request, \
		struct iam_Get##Kind##PolicyResponse *result, struct error *err) \
	{ \
		result->name = request->name; \
		result->policy_name = request->policy_name; \
		return get_inline(call, &iam_##kind##s, request->name, request->policy_name, \
			&result->policy_document, err); \
	} \
	int iam_delete_##kind##_policy(struct call *call, \
		const struct iam_Delete##Kind##PolicyRequest *request, \
		struct iam_Delete##Kind##PolicyResult *result, struct error *err) \
	{ \
		(void)result; \
		return delete_inline(call, &iam_##kind##s, request->name, request->policy_name, err); \
	} \
	int iam_list_##kind##_policies(struct call *call, \
		const struct iam_List##Kind##PoliciesRequest *request, \
		struct iam_List##Kind##PoliciesResponse *result, struct error *err) \
	{ \
		struct page page; \
		if (iam_page_open(call, request->max_items, request->marker, &page, err) || \
			list_inline(call, &iam_##kind##s, request->name, &page, &result->policy_names, err)) \
			return -1; \
		IAM_PAGE_CLOSE(&page, result); \
		return 0; \
	}

INLINE_OPERATIONS(user, User, user_name)
INLINE_OPERATIONS(group, Group, group_name)
INLINE_OPERATIONS(role, Role, role_name)

struct iam_policyDetailListType iam_show_inline(
	struct call *call, const struct record_inline_policy_list *policies)
{
	struct iam_policyDetailListType shown = { .set = true };
	for (size_t i = 0; i < policies->count; i++)
		*ARENA_APPEND(call->arena, shown.items,
			shown.count) = (struct iam_PolicyDetail){ .policy_name = policies->items[i].name,
			.policy_document = iam_encode_document(call->arena, policies->items[i].document) };
	return shown;
}
