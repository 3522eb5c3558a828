/*
 * Whether a condition holds for a request.
 *
 *	                key missing, no values          else
 *	plain           false; negated operators true   some value of the request matches some constant; negated: none does
 *	...IfExists     true                            as without
 *	ForAllValues    true                            each value matches some constant; negated: none
 *	ForAnyValue     false                           some value matches some constant; negated: some value matches none
 *	Null            the constant "true"             the constant "false"
 *
 * To the set operators an empty text is no value. Runs on any thread; allocates nothing.
 */
#include <string.h>

#include "policy/policy_internal.h"
#include "base/banned.h"

static bool compare(enum comparison comparison, int order)
{
	switch (comparison) {
	case COMPARE_LESS:
		return order < 0;
	case COMPARE_LESS_EQUAL:
		return order <= 0;
	case COMPARE_GREATER:
		return order > 0;
	case COMPARE_GREATER_EQUAL:
		return order >= 0;
	default:
		return order == 0;
	}
}

static bool match_arn(const union constant *constant, const struct scope *scope, const char *text)
{
	const struct pattern *parts = constant->arn.parts;
	if (constant->arn.count == 0)
		return true;
	if (constant->arn.count == 1)
		return pattern_match(parts, scope, text, strlen(text), NULL);
	for (unsigned i = 0; i < ARN_PARTS; i++) {
		const char *end = i == ARN_PARTS - 1 ? text + strlen(text) : strchr(text, ':');
		if (!end || !pattern_match(&parts[i], scope, text, (size_t)(end - text), NULL))
			return false;
		text = end + 1;
	}
	return true;
}

static bool match_number(const struct condition *condition, const char *text)
{
	struct number number;
	if (value_parse_number(text, &number) < 0)
		return false;
	for (uint32_t i = 0; i < condition->constant_count; i++)
		if (compare(condition->comparison,
			    value_compare_numbers(&number, &condition->constants[i].number)))
			return true;
	return false;
}

static bool match_date(const struct condition *condition, const char *text)
{
	int64_t ms;
	if (value_parse_date(text, &ms) < 0)
		return false;
	for (uint32_t i = 0; i < condition->constant_count; i++) {
		int64_t constant = condition->constants[i].date_ms;
		if (compare(condition->comparison, (ms > constant) - (ms < constant)))
			return true;
	}
	return false;
}

static bool match_address(const struct condition *condition, const char *text)
{
	struct address address;
	if (value_parse_address(text, &address) < 0)
		return false;
	for (uint32_t i = 0; i < condition->constant_count; i++)
		if (value_address_within(&address, &condition->constants[i].address))
			return true;
	return false;
}

/* Whether one value of the request matches some constant, without negation. */
static bool match_value(const struct condition *condition, const struct scope *scope, const char *text)
{
	switch (condition->type) {
	case CONDITION_NUMERIC:
		return match_number(condition, text);
	case CONDITION_DATE:
		return match_date(condition, text);
	case CONDITION_ADDRESS:
		return match_address(condition, text);
	default:
		break;
	}
	size_t length = strlen(text);
	for (uint32_t i = 0; i < condition->constant_count; i++) {
		const union constant *constant = &condition->constants[i];
		bool matches = condition->type == CONDITION_ARN ? match_arn(constant, scope, text)
			: condition->type == CONDITION_BINARY
			? strcmp(constant->base64, text) == 0
			: pattern_match(&constant->pattern, scope, text, length, NULL);
		if (matches)
			return true;
	}
	return false;
}

static bool match_null(const struct condition *condition, bool missing)
{
	for (uint32_t i = 0; i < condition->constant_count; i++)
		if (condition->constants[i].boolean == missing)
			return true;
	return false;
}

static bool match_set(
	const struct condition *condition, const struct scope *scope, const struct policy_context_key *key)
{
	for (size_t i = 0; key && i < key->value_count; i++) {
		if (!*key->values[i])
			continue;
		bool matches = match_value(condition, scope, key->values[i]) != condition->negated;
		if (matches != (condition->set == SET_ALL))
			return matches;
	}
	return condition->set == SET_ALL;
}

bool condition_holds(const struct condition *condition, const struct scope *scope)
{
	const struct policy_context_key *key = evaluation_find(scope, condition->key);
	bool missing = !key || !key->value_count;
	if (condition->type == CONDITION_NULL)
		return match_null(condition, missing);
	if (missing && condition->if_exists)
		return true;
	if (condition->set != SET_NONE)
		return match_set(condition, scope, key);
	for (size_t i = 0; key && i < key->value_count; i++)
		if (match_value(condition, scope, key->values[i]))
			return !condition->negated;
	return condition->negated;
}
