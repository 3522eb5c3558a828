/* Tags of users, roles, policies and instance profiles. Runs on the thread of the call. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "svc/iam/policies.h"
#include "base/banned.h"

/* Policies are named by their ARN, all others by their name. */
static int find_tagged(struct call *call, const struct iam_kind *kind, const char *name,
	struct iam_entity *entity, struct error *err)
{
	struct iam_policy_record *policy;
	if (kind != &iam_policies)
		return iam_find(call, kind, name, entity, err);
	if (iam_find_own_policy(call, name, &policy, err))
		return -1;
	*entity = iam_entity_of(kind, policy);
	return 0;
}

static int add_tags(struct call *call, const struct iam_kind *kind, const char *name,
	const struct iam_tagListType *tags, struct error *err)
{
	struct iam_entity entity;
	if (find_tagged(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err) ||
		iam_add_tags(call, tags, entity.tags, err))
		return -1;
	return iam_store(call, &entity, err);
}

static bool is_named(const struct iam_tagKeyListType *keys, const char *key)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcasecmp(keys->items[i], key) == 0)
			return true;
	return false;
}

static int remove_tags(struct call *call, const struct iam_kind *kind, const char *name,
	const struct iam_tagKeyListType *keys, struct error *err)
{
	struct iam_entity entity;
	size_t kept = 0;
	if (find_tagged(call, kind, name, &entity, err) || iam_check_modifiable(&entity, err))
		return -1;
	for (size_t i = 0; i < entity.tags->count; i++)
		if (!is_named(keys, entity.tags->items[i].key))
			entity.tags->items[kept++] = entity.tags->items[i];
	entity.tags->count = kept;
	return iam_store(call, &entity, err);
}

static int compare_tags(const void *a, const void *b)
{
	return strcmp(((const struct record_tag *)a)->key, ((const struct record_tag *)b)->key);
}

static int list_tags(struct call *call, const struct iam_kind *kind, const char *name, struct page *page,
	struct iam_tagListType *shown, struct error *err)
{
	struct iam_policy policy;
	struct iam_entity entity;
	bool full = false;
	shown->set = true;
	if (kind == &iam_policies) {
		if (iam_find_policy(call, name, &policy, err))
			return -1;
		if (policy.managed)
			return 0;
	}
	if (find_tagged(call, kind, name, &entity, err))
		return -1;
	if (entity.tags->count)
		qsort(entity.tags->items, entity.tags->count, sizeof *entity.tags->items, compare_tags);
	for (size_t i = 0; i < entity.tags->count && !full; i++) {
		const struct record_tag *tag = &entity.tags->items[i];
		if (iam_page_take(page, tag->key, &full))
			*ARENA_APPEND(call->arena, shown->items, shown->count) =
				(struct iam_Tag){ .key = tag->key, .value = tag->value };
	}
	return 0;
}

#define TAG_OPERATIONS(kind, kinds, Kind, name) \
	int iam_tag_##kind(struct call *call, const struct iam_Tag##Kind##Request *request, \
		struct iam_Tag##Kind##Result *result, struct error *err) \
	{ \
		(void)result; \
		return add_tags(call, &kinds, request->name, &request->tags, err); \
	} \
	int iam_untag_##kind(struct call *call, const struct iam_Untag##Kind##Request *request, \
		struct iam_Untag##Kind##Result *result, struct error *err) \
	{ \
		(void)result; \
		return remove_tags(call, &kinds, request->name, &request->tag_keys, err); \
	} \
	int iam_list_##kind##_tags(struct call *call, const struct iam_List##Kind##TagsRequest *request, \
		struct iam_List##Kind##TagsResponse *result, struct error *err) \
	{ \
		struct page page; \
		if (iam_page_open(call, request->max_items, request->marker, &page, err) || \
			list_tags(call, &kinds, request->name, &page, &result->tags, err)) \
			return -1; \
		IAM_PAGE_CLOSE(&page, result); \
		return 0; \
	}

TAG_OPERATIONS(user, iam_users, User, user_name)
TAG_OPERATIONS(role, iam_roles, Role, role_name)
TAG_OPERATIONS(policy, iam_policies, Policy, policy_arn)
TAG_OPERATIONS(instance_profile, iam_profiles, InstanceProfile, instance_profile_name)
