/* TagResource, UntagResource, ListTagsForResource: tags of the rules themselves, which are named by their ARN. */
#include <string.h>

#include "base/text.h"
#include "svc/rbin/common.h"
#include "base/banned.h"

enum { TAGS_MAX = 200 };

static int find_by_arn(
	struct call *call, const char *arn, struct retention_rule_record **rule, struct error *err)
{
	const char *prefix =
		arena_printf(call->arena, "arn:aws:rbin:%s:%s:rule/", call->region, call->account);
	if (!text_starts_with(arn, prefix))
		return error_set(err, ERROR_RULE_NOT_FOUND, "The resource '%.128s' does not exist.", arn);
	return rule_find(call, arn + strlen(prefix), rule, err);
}

int rbin_tag_resource(struct call *call, const struct rbin_TagResourceRequest *request,
	struct rbin_TagResourceResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	struct record_tag_list tags = { .set = true };
	(void)result;
	if (find_by_arn(call, request->resource_arn, &rule, err))
		return -1;
	for (size_t i = 0; i < rule->tags.count; i++) {
		bool replaced = false;
		for (size_t j = 0; j < request->tags.count; j++)
			replaced |= text_equal(rule->tags.items[i].key, request->tags.items[j].key);
		if (!replaced)
			*ARENA_APPEND(call->arena, tags.items, tags.count) = rule->tags.items[i];
	}
	for (size_t i = 0; i < request->tags.count; i++)
		*ARENA_APPEND(call->arena, tags.items, tags.count) =
			(struct record_tag){ request->tags.items[i].key, request->tags.items[i].value };
	if (tags.count > TAGS_MAX)
		return error_set(err, ERROR_SERVICE_QUOTA, "A rule has at most %d tags.", TAGS_MAX);
	rule->tags = tags;
	return rule_put(call, rule, err);
}

int rbin_untag_resource(struct call *call, const struct rbin_UntagResourceRequest *request,
	struct rbin_UntagResourceResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	size_t kept = 0;
	(void)result;
	if (find_by_arn(call, request->resource_arn, &rule, err))
		return -1;
	for (size_t i = 0; i < rule->tags.count; i++) {
		bool removed = false;
		for (size_t j = 0; j < request->tag_keys.count; j++)
			removed |= text_equal(rule->tags.items[i].key, request->tag_keys.items[j]);
		if (!removed)
			rule->tags.items[kept++] = rule->tags.items[i];
	}
	rule->tags.count = kept;
	return rule_put(call, rule, err);
}

int rbin_list_tags_for_resource(struct call *call, const struct rbin_ListTagsForResourceRequest *request,
	struct rbin_ListTagsForResourceResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	if (find_by_arn(call, request->resource_arn, &rule, err))
		return -1;
	result->tags.set = true;
	for (size_t i = 0; i < rule->tags.count; i++)
		*ARENA_APPEND(call->arena, result->tags.items, result->tags.count) =
			(struct rbin_Tag){ rule->tags.items[i].key, rule->tags.items[i].value };
	return 0;
}
