/* Look-ups of retention rules, and how parts of one are shown. No state. */
#include "svc/rbin/common.h"

#include <string.h>

#include "base/clock.h"
#include "base/banned.h"

int rule_find(struct call *call, const char *id, struct retention_rule_record **rule, struct error *err)
{
	if (meta_get(call->amid->meta, &record_retention_rule, call->account, call->region, id, call->arena,
		    rule, err))
		return -1;
	if (!*rule)
		return error_set(err, ERROR_RULE_NOT_FOUND, "The rule '%.64s' does not exist.", id);
	return 0;
}

const char *rule_lock_state(const struct retention_rule_record *rule)
{
	if (!rule->unlock_delay_days.set)
		return "unlocked";
	if (!rule->unlocks.set)
		return "locked";
	return rule->unlocks.ms > clock_now_ms() ? "pending_unlock" : "unlocked";
}

int rule_find_unlocked(
	struct call *call, const char *id, struct retention_rule_record **rule, struct error *err)
{
	if (rule_find(call, id, rule, err))
		return -1;
	if (strcmp(rule_lock_state(*rule), "unlocked") != 0)
		return error_set(err, ERROR_RULE_STATE, "The rule '%s' is %s and cannot be changed.", id,
			rule_lock_state(*rule));
	return 0;
}

int rule_put(struct call *call, const struct retention_rule_record *rule, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_retention_rule, rule);
	return meta_commit(call->amid->meta, batch, err);
}

const char *rule_arn(struct call *call, const struct retention_rule_record *rule)
{
	return arena_printf(call->arena, "arn:aws:rbin:%s:%s:rule/%s", rule->record.region,
		rule->record.account, rule->record.id);
}

struct rbin_RetentionPeriod *rule_period(struct call *call, const struct retention_rule_record *rule)
{
	struct rbin_RetentionPeriod *period = arena_alloc(call->arena, sizeof *period);
	*period = (struct rbin_RetentionPeriod){ .retention_period_value = rule->retention_days,
		.retention_period_unit = "DAYS" };
	return period;
}

struct rbin_ResourceTags rule_resource_tags(struct call *call, const struct record_tag_list *tags)
{
	struct rbin_ResourceTags list = { .set = tags->count > 0 };
	for (size_t i = 0; i < tags->count; i++)
		*ARENA_APPEND(call->arena, list.items, list.count) =
			(struct rbin_ResourceTag){ .resource_tag_key = tags->items[i].key,
				.resource_tag_value = tags->items[i].value };
	return list;
}

struct rbin_ExcludeResourceTags rule_exclude_tags(struct call *call, const struct retention_rule_record *rule)
{
	struct rbin_ResourceTags tags = rule_resource_tags(call, &rule->exclude_tags);
	return (struct rbin_ExcludeResourceTags){ tags.items, tags.count, tags.set };
}

struct rbin_LockConfiguration *rule_lock(struct call *call, const struct retention_rule_record *rule)
{
	if (strcmp(rule_lock_state(rule), "unlocked") == 0)
		return NULL;
	struct rbin_LockConfiguration *lock = arena_alloc(call->arena, sizeof *lock);
	lock->unlock_delay = arena_alloc(call->arena, sizeof *lock->unlock_delay);
	*lock->unlock_delay = (struct rbin_UnlockDelay){ .unlock_delay_value = rule->unlock_delay_days,
		.unlock_delay_unit = "DAYS" };
	return lock;
}

struct shape_timestamp rule_lock_end(const struct retention_rule_record *rule)
{
	return strcmp(rule_lock_state(rule), "pending_unlock") == 0 ? rule->unlocks
								    : (struct shape_timestamp){ 0 };
}
