/* LockRule, UnlockRule. A locked rule is unlocked only after its delay; until then it can be locked again, and nothing else. */
#include <string.h>

#include "base/clock.h"
#include "svc/rbin/common.h"
#include "base/banned.h"

#define DAY_MS (24LL * 3600 * 1000)

int rbin_lock_rule(struct call *call, const struct rbin_LockRuleRequest *request,
	struct rbin_LockRuleResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	if (rule_find(call, request->identifier, &rule, err))
		return -1;
	if (strcmp(rule_lock_state(rule), "locked") == 0)
		return error_set(err, ERROR_RULE_STATE, "The rule '%s' is locked already.", rule->record.id);
	if (rule->resource_tags.count)
		return error_set(err, ERROR_VALIDATION,
			"The rule '%s' has resource tags; only region-level rules can be locked.",
			rule->record.id);
	rule->unlock_delay_days = request->lock_configuration->unlock_delay->unlock_delay_value;
	rule->unlocks.set = false;
	if (rule_put(call, rule, err))
		return -1;
	*result = (struct rbin_LockRuleResponse){ .identifier = rule->record.id,
		.description = rule->description,
		.resource_type = rule->resource_type,
		.retention_period = rule_period(call, rule),
		.resource_tags = rule_resource_tags(call, &rule->resource_tags),
		.status = "available",
		.lock_configuration = rule_lock(call, rule),
		.lock_state = rule_lock_state(rule),
		.rule_arn = rule_arn(call, rule),
		.exclude_resource_tags = rule_exclude_tags(call, rule) };
	return 0;
}

int rbin_unlock_rule(struct call *call, const struct rbin_UnlockRuleRequest *request,
	struct rbin_UnlockRuleResponse *result, struct error *err)
{
	struct retention_rule_record *rule;
	if (rule_find(call, request->identifier, &rule, err))
		return -1;
	if (strcmp(rule_lock_state(rule), "locked") != 0)
		return error_set(err, ERROR_RULE_STATE, "The rule '%s' is %s, not locked.", rule->record.id,
			rule_lock_state(rule));
	rule->unlocks = some_timestamp(clock_now_ms() + rule->unlock_delay_days.value * DAY_MS);
	if (rule_put(call, rule, err))
		return -1;
	*result = (struct rbin_UnlockRuleResponse){ .identifier = rule->record.id,
		.description = rule->description,
		.resource_type = rule->resource_type,
		.retention_period = rule_period(call, rule),
		.resource_tags = rule_resource_tags(call, &rule->resource_tags),
		.status = "available",
		.lock_configuration = rule_lock(call, rule),
		.lock_state = rule_lock_state(rule),
		.lock_end_time = rule_lock_end(rule),
		.rule_arn = rule_arn(call, rule),
		.exclude_resource_tags = rule_exclude_tags(call, rule) };
	return 0;
}
