/* Tags of root, units, accounts and policies: TagResource, UntagResource, ListTagsForResource. Run on the thread of the call. */
#include "svc/organizations/common.h"

#include <string.h>

#include "base/text.h"
#include "base/banned.h"

/* What has tags: a node of the tree, or a policy. */
struct tagged {
	struct organization_record *organization;
	struct org_node node;
	struct organization_policy_record *policy; /* NULL: it is the node */
	struct record_tag_list *tags;
};

static int find(struct call *call, const char *id, struct tagged *tagged, struct error *err)
{
	*tagged = (struct tagged){ 0 };
	if (org_open(call, ORG_MANAGEMENT, &tagged->organization, err))
		return -1;
	if (text_starts_with(id, "p-")) {
		if (meta_get(call->amid->meta, &record_organization_policy,
			    tagged->organization->record.account, "", id, call->arena, &tagged->policy, err))
			return -1;
		tagged->tags = tagged->policy ? &tagged->policy->tags : NULL;
	} else {
		if (org_node_find(call, tagged->organization, id, &tagged->node, err))
			return -1;
		tagged->tags = tagged->node.tags;
	}
	return tagged->tags ? 0
			    : error_set(err, ERROR_ORG_TARGET_NOT_FOUND,
				      "You specified a target that doesn't exist: %.130s", id);
}

static int put(struct call *call, const struct tagged *tagged, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (tagged->policy)
		meta_batch_put(batch, &record_organization_policy, tagged->policy);
	else
		org_node_put(batch, &tagged->node);
	return org_commit(call, batch, tagged->organization, err);
}

int organizations_tag_resource(struct call *call, const struct organizations_TagResourceRequest *request,
	struct organizations_TagResourceResult *result, struct error *err)
{
	struct tagged tagged;
	(void)result;
	return find(call, request->resource_id, &tagged, err) ||
			org_tags_merge(call, &request->tags, tagged.tags, err) || put(call, &tagged, err)
		? -1
		: 0;
}

static bool is_named(const struct organizations_TagKeys *keys, const char *key)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->items[i], key) == 0)
			return true;
	return false;
}

int organizations_untag_resource(struct call *call, const struct organizations_UntagResourceRequest *request,
	struct organizations_UntagResourceResult *result, struct error *err)
{
	struct tagged tagged;
	size_t kept = 0;
	(void)result;
	if (find(call, request->resource_id, &tagged, err))
		return -1;
	for (size_t i = 0; i < tagged.tags->count; i++)
		if (!is_named(&request->tag_keys, tagged.tags->items[i].key))
			tagged.tags->items[kept++] = tagged.tags->items[i];
	tagged.tags->count = kept;
	return put(call, &tagged, err);
}

int organizations_list_tags_for_resource(struct call *call,
	const struct organizations_ListTagsForResourceRequest *request,
	struct organizations_ListTagsForResourceResponse *result, struct error *err)
{
	struct tagged tagged;
	if (find(call, request->resource_id, &tagged, err))
		return -1;
	result->tags.set = true;
	for (size_t i = 0; i < tagged.tags->count; i++)
		*ARENA_APPEND(call->arena, result->tags.items, result->tags.count) =
			(struct organizations_Tag){ .key = tagged.tags->items[i].key,
				.value = tagged.tags->items[i].value };
	return 0;
}
