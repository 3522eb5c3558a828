/* CreateRule, GetRule, ListRules, UpdateRule, DeleteRule. A rule holds from the commit that makes it, so it is `available` at once. */
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/rbin/common.h"
#include "svc/recycle_bin.h"
#include "base/banned.h"

enum { RULES_MAX = 250 /* of an account in a region */, LIST_FALLBACK = 1000 };

#define AVAILABLE "available"

static struct record_tag_list tags_of(struct call *call, const struct rbin_ResourceTag *items, size_t count)
{
	struct record_tag_list list = { .set = count > 0 };
	for (size_t i = 0; i < count; i++)
		*ARENA_APPEND(call->arena, list.items, list.count) =
			(struct record_tag){ .key = items[i].resource_tag_key,
				.value = items[i].resource_tag_value };
	return list;
}

static int check_rule(const struct retention_rule_record *rule, struct error *err)
{
	if (strcmp(rule->resource_type, RECYCLE_SNAPSHOT) != 0 &&
		strcmp(rule->resource_type, RECYCLE_IMAGE) != 0)
		return error_set(err, ERROR_VALIDATION,
			"Rules for resources of the type %s are not supported by this endpoint.",
			rule->resource_type);
	if (rule->resource_tags.count && rule->exclude_tags.count)
		return error_set(err, ERROR_VALIDATION,
			"A rule has either resource tags or exclusion tags: only region-level rules exclude.");
	if (rule->resource_tags.count && strcmp(rule_lock_state(rule), "unlocked") != 0)
		return error_set(err, ERROR_VALIDATION,
			"A rule with resource tags cannot be locked, only region-level ones.");
	return 0;
}

static int check_quota(struct call *call, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = call->account, .region = call->region };
	if (meta_list(call->amid->meta, &record_retention_rule, &query, call->arena, &rows, err))
		return -1;
	if (rows.count < RULES_MAX)
		return 0;
	return error_set(
		err, ERROR_SERVICE_QUOTA, "There are %d rules already, as many as there can be.", RULES_MAX);
}

/* Letters and digits, each as likely as any other: bytes that would favour some are thrown away. */
static const char *make_id(struct call *call)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char *id = arena_alloc(call->arena, RULE_ID_SIZE + 1);
	for (size_t size = 0; size < RULE_ID_SIZE;) {
		uint8_t byte;
		text_random_bytes(&byte, 1);
		if ((byte & 63) < sizeof letters - 1)
			id[size++] = letters[byte & 63];
	}
	return id;
}

int rbin_create_rule(struct call *call, const struct rbin_CreateRuleRequest *request,
	struct rbin_CreateRuleResponse *result, struct error *err)
{
	struct retention_rule_record rule = {
		.record = { .account = call->account, .region = call->region, .id = make_id(call) },
		.resource_type = request->resource_type,
		.retention_days = request->retention_period->retention_period_value,
		.description = request->description,
		.resource_tags = tags_of(call, request->resource_tags.items, request->resource_tags.count),
		.exclude_tags = tags_of(
			call, request->exclude_resource_tags.items, request->exclude_resource_tags.count),
		.created = some_timestamp(clock_now_ms()),
	};
	if (request->lock_configuration)
		rule.unlock_delay_days = request->lock_configuration->unlock_delay->unlock_delay_value;
	for (size_t i = 0; i < request->tags.count; i++) {
		*ARENA_APPEND(call->arena, rule.tags.items, rule.tags.count) =
			(struct record_tag){ request->tags.items[i].key, request->tags.items[i].value };
		rule.tags.set = true;
	}
	if (check_rule(&rule, err) || check_quota(call, err) || rule_put(call, &rule, err))
		return -1;
	*result = (struct rbin_CreateRuleResponse){ .identifier = rule.record.id,
		.retention_period = rule_period(call, &rule),
		.description = rule.description,
		.tags = request->tags,
		.resource_type = rule.resource_type,
		.resource_tags = rule_resource_tags(call, &rule.resource_tags),
		.status = AVAILABLE,
		.lock_configuration = rule_lock(call, &rule),
		.lock_state = rule_lock_state(&rule),
		.rule_arn = rule_arn(call, &rule),
		.exclude_resource_tags = rule_exclude_tags(call, &rule) };
	return 0;
}

int rbin_get_rule(struct call *call, const struct rbin_GetRuleRequest *request,
	struct rbin_GetRuleResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	if (rule_find(call, request->identifier, &rule, err))
		return -1;
	*result = (struct rbin_GetRuleResponse){ .identifier = rule->record.id,
		.description = rule->description,
		.resource_type = rule->resource_type,
		.retention_period = rule_period(call, rule),
		.resource_tags = rule_resource_tags(call, &rule->resource_tags),
		.status = AVAILABLE,
		.lock_configuration = rule_lock(call, rule),
		.lock_state = rule_lock_state(rule),
		.lock_end_time = rule_lock_end(rule),
		.rule_arn = rule_arn(call, rule),
		.exclude_resource_tags = rule_exclude_tags(call, rule) };
	return 0;
}

/* Whether a rule has all the tags that a list is asked for by. */
static bool has_tags(const struct record_tag_list *tags, const struct rbin_ResourceTag *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;
		for (size_t j = 0; j < tags->count; j++)
			found |= text_equal(tags->items[j].key, wanted[i].resource_tag_key) &&
				(!wanted[i].resource_tag_value ||
					text_equal(tags->items[j].value, wanted[i].resource_tag_value));
		if (!found)
			return false;
	}
	return true;
}

int rbin_list_rules(struct call *call, const struct rbin_ListRulesRequest *request,
	struct rbin_ListRulesResponse *result, struct error *err)
{
	static const struct page_rules rules = {
		.max = LIST_FALLBACK, .fallback = LIST_FALLBACK, .bad_token = ERROR_VALIDATION_PAGE_TOKEN
	};
	struct page page;
	struct meta_rows rows;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "resource_type",
		.value = request->resource_type };
	if (page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token, &page,
		    err))
		return -1;
	query.after_id = page.after;
	if (meta_list(call->amid->meta, &record_retention_rule, &query, call->arena, &rows, err))
		return -1;
	result->rules.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const struct retention_rule_record *rule = rows.items[i];
		if ((request->lock_state && strcmp(request->lock_state, rule_lock_state(rule)) != 0) ||
			!has_tags(&rule->resource_tags, request->resource_tags.items,
				request->resource_tags.count) ||
			!has_tags(&rule->exclude_tags, request->exclude_resource_tags.items,
				request->exclude_resource_tags.count))
			continue;
		if (!page_take(&page, rule->record.id))
			break;
		*ARENA_APPEND(call->arena, result->rules.items, result->rules.count) =
			(struct rbin_RuleSummary){ .identifier = rule->record.id,
				.description = rule->description,
				.retention_period = rule_period(call, rule),
				.lock_state = rule_lock_state(rule),
				.rule_arn = rule_arn(call, rule) };
	}
	result->next_token = page_close(&page);
	return 0;
}

int rbin_update_rule(struct call *call, const struct rbin_UpdateRuleRequest *request,
	struct rbin_UpdateRuleResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	if (rule_find_unlocked(call, request->identifier, &rule, err))
		return -1;
	if (request->resource_type && strcmp(request->resource_type, rule->resource_type) != 0)
		return error_set(err, ERROR_VALIDATION,
			"The resource type of the rule '%s' is %s and stays that.", rule->record.id,
			rule->resource_type);
	if (request->retention_period)
		rule->retention_days = request->retention_period->retention_period_value;
	if (request->description)
		rule->description = request->description;
	if (request->resource_tags.set)
		rule->resource_tags =
			tags_of(call, request->resource_tags.items, request->resource_tags.count);
	if (request->exclude_resource_tags.set)
		rule->exclude_tags = tags_of(
			call, request->exclude_resource_tags.items, request->exclude_resource_tags.count);
	if (check_rule(rule, err) || rule_put(call, rule, err))
		return -1;
	*result = (struct rbin_UpdateRuleResponse){ .identifier = rule->record.id,
		.retention_period = rule_period(call, rule),
		.description = rule->description,
		.resource_type = rule->resource_type,
		.resource_tags = rule_resource_tags(call, &rule->resource_tags),
		.status = AVAILABLE,
		.lock_state = rule_lock_state(rule),
		.rule_arn = rule_arn(call, rule),
		.exclude_resource_tags = rule_exclude_tags(call, rule) };
	return 0;
}

int rbin_delete_rule(struct call *call, const struct rbin_DeleteRuleRequest *request,
	struct rbin_DeleteRuleResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	(void)result;
	if (rule_find_unlocked(call, request->identifier, &rule, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_delete(batch, &record_retention_rule, rule);
	return meta_commit(call->amid->meta, batch, err);
}
