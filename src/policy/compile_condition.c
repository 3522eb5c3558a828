/* Condition: operators by name, and their constants, read once. Runs on the thread that compiles. */
#include <string.h>

#include "base/text.h"
#include "policy/policy_internal.h"
#include "base/banned.h"

struct condition_operator {
	const char *name;
	enum condition_type type;
	enum comparison comparison;
	bool negated;
};
static const struct condition_operator operators[] = {
	{ "StringEquals", CONDITION_STRING, COMPARE_EQUAL, false },
	{ "StringNotEquals", CONDITION_STRING, COMPARE_EQUAL, true },
	{ "StringEqualsIgnoreCase", CONDITION_STRING, COMPARE_EQUAL_FOLD, false },
	{ "StringNotEqualsIgnoreCase", CONDITION_STRING, COMPARE_EQUAL_FOLD, true },
	{ "StringLike", CONDITION_STRING, COMPARE_LIKE, false },
	{ "StringNotLike", CONDITION_STRING, COMPARE_LIKE, true },
	{ "NumericEquals", CONDITION_NUMERIC, COMPARE_EQUAL, false },
	{ "NumericNotEquals", CONDITION_NUMERIC, COMPARE_EQUAL, true },
	{ "NumericLessThan", CONDITION_NUMERIC, COMPARE_LESS, false },
	{ "NumericLessThanEquals", CONDITION_NUMERIC, COMPARE_LESS_EQUAL, false },
	{ "NumericGreaterThan", CONDITION_NUMERIC, COMPARE_GREATER, false },
	{ "NumericGreaterThanEquals", CONDITION_NUMERIC, COMPARE_GREATER_EQUAL, false },
	{ "DateEquals", CONDITION_DATE, COMPARE_EQUAL, false },
	{ "DateNotEquals", CONDITION_DATE, COMPARE_EQUAL, true },
	{ "DateLessThan", CONDITION_DATE, COMPARE_LESS, false },
	{ "DateLessThanEquals", CONDITION_DATE, COMPARE_LESS_EQUAL, false },
	{ "DateGreaterThan", CONDITION_DATE, COMPARE_GREATER, false },
	{ "DateGreaterThanEquals", CONDITION_DATE, COMPARE_GREATER_EQUAL, false },
	{ "Bool", CONDITION_BOOL, COMPARE_EQUAL, false },
	{ "BinaryEquals", CONDITION_BINARY, COMPARE_EQUAL, false },
	{ "IpAddress", CONDITION_ADDRESS, COMPARE_EQUAL, false },
	{ "NotIpAddress", CONDITION_ADDRESS, COMPARE_EQUAL, true },
	{ "ArnEquals", CONDITION_ARN, COMPARE_LIKE, false },
	{ "ArnLike", CONDITION_ARN, COMPARE_LIKE, false },
	{ "ArnNotEquals", CONDITION_ARN, COMPARE_LIKE, true },
	{ "ArnNotLike", CONDITION_ARN, COMPARE_LIKE, true },
	{ "Null", CONDITION_NULL, COMPARE_EQUAL, false },
};

static bool take_prefix(const char **text, const char *prefix)
{
	if (!text_starts_with(*text, prefix))
		return false;
	*text += strlen(prefix);
	return true;
}

/* "ForAllValues:StringEqualsIfExists" into its parts. */
static int read_operator(const char *name, struct condition *condition)
{
	static const char if_exists[] = "IfExists";
	if (take_prefix(&name, "ForAllValues:"))
		condition->set = SET_ALL;
	else if (take_prefix(&name, "ForAnyValue:"))
		condition->set = SET_ANY;
	size_t length = strlen(name), suffix = strlen(if_exists);
	if (length > suffix && strcmp(name + length - suffix, if_exists) == 0) {
		condition->if_exists = true;
		length -= suffix;
	}
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (strlen(operators[i].name) == length && memcmp(operators[i].name, name, length) == 0) {
			condition->type = operators[i].type;
			condition->comparison = operators[i].comparison;
			condition->negated = operators[i].negated;
			return condition->type == CONDITION_NULL && condition->if_exists ? -1 : 0;
		}
	return -1;
}

static unsigned pattern_flags(const struct condition *condition)
{
	return PATTERN_VARIABLES | (condition->comparison == COMPARE_LIKE ? PATTERN_WILDCARDS : 0) |
		(condition->comparison == COMPARE_EQUAL_FOLD || condition->type == CONDITION_BOOL
				? PATTERN_FOLD
				: 0);
}

enum { ARN_FLAGS = PATTERN_VARIABLES | PATTERN_WILDCARDS };

/* The next colon, or the end; one within ${...} parts nothing. */
static const char *arn_part_end(const struct compiler *compiler, const char *at)
{
	for (bool variable = false; *at && (*at != ':' || variable); at++) {
		if (compiler->variables && at[0] == '$' && at[1] == '{')
			variable = true;
		else if (*at == '}')
			variable = false;
	}
	return at;
}

/* Fewer than six parts: an ARN only if a variable brings the others. */
static int compile_short_arn(struct compiler *compiler, const char *text, union constant *constant)
{
	struct pattern *whole = arena_alloc(compiler->arena, sizeof *whole);
	if (pattern_compile(compiler, text, strlen(text), ARN_FLAGS, whole) < 0)
		return -1;
	if (!whole->variables)
		return compile_refuse(compiler, SYNTAX_ERRORS, "%.120s is not an ARN", text);
	constant->arn.parts = whole;
	constant->arn.count = 1;
	return 0;
}

/* An ARN of six parts, each a pattern of its own; the last one has all further colons. */
static int compile_arn(struct compiler *compiler, const char *text, union constant *constant)
{
	if (strcmp(text, "*") == 0)
		return 0;
	struct pattern *parts = arena_alloc_array(compiler->arena, ARN_PARTS, sizeof *parts);
	const char *at = text;
	for (unsigned i = 0; i < ARN_PARTS; i++) {
		const char *end = i < ARN_PARTS - 1 ? arn_part_end(compiler, at) : at + strlen(at);
		if (i < ARN_PARTS - 1 && !*end)
			return compile_short_arn(compiler, text, constant);
		if (pattern_compile(compiler, at, (size_t)(end - at), ARN_FLAGS, &parts[i]) < 0)
			return -1;
		at = end + 1;
	}
	constant->arn.parts = parts;
	constant->arn.count = ARN_PARTS;
	return 0;
}

static int compile_binary(struct compiler *compiler, const char *text, union constant *constant)
{
	size_t size;
	uint8_t *data = text_unbase64(compiler->arena, text, &size);
	if (!data)
		return -1;
	constant->base64 = text_base64(compiler->arena, data, size);
	return 0;
}

static int compile_constant(struct compiler *compiler, const struct condition *condition, const char *text,
	union constant *constant)
{
	bool boolean;
	switch (condition->type) {
	case CONDITION_BOOL:
		if (value_parse_bool(text, &boolean) < 0 &&
			!(compiler->variables && text_starts_with(text, "${")))
			return compile_refuse(
				compiler, SYNTAX_ERRORS, "%.64s is neither true nor false", text);
		__attribute__((fallthrough));
	case CONDITION_STRING:
		return pattern_compile(
			compiler, text, strlen(text), pattern_flags(condition), &constant->pattern);
	case CONDITION_ARN:
		return compile_arn(compiler, text, constant);
	case CONDITION_NUMERIC:
		if (value_parse_number(text, &constant->number) < 0)
			return compile_refuse(compiler, SYNTAX_ERRORS, "%.64s is not a number", text);
		return 0;
	case CONDITION_DATE:
		if (value_parse_date(text, &constant->date_ms) < 0)
			return compile_refuse(compiler, LEGACY_PARSING, "%.64s is not a date", text);
		return 0;
	case CONDITION_BINARY:
		if (compile_binary(compiler, text, constant) < 0)
			return compile_refuse(compiler, SYNTAX_ERRORS, "%.64s is not Base64", text);
		return 0;
	case CONDITION_ADDRESS:
		if (value_parse_address(text, &constant->address) < 0)
			return compile_refuse(compiler, SYNTAX_ERRORS,
				"%.64s is not an address or a range of addresses", text);
		return 0;
	case CONDITION_NULL:
		if (value_parse_bool(text, &constant->boolean) < 0)
			return compile_refuse(
				compiler, SYNTAX_ERRORS, "%.64s is neither true nor false", text);
		return 0;
	}
	return -1;
}

/* Quotation marks are optional around numbers and booleans: their text, in `scratch` if they have none. NULL: something else. */
static const char *constant_text(json_t *value, char scratch[64])
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string_value(value);
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_INTEGER:
		snprintf(scratch, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return scratch;
	case JSON_REAL:
		snprintf(scratch, 64, "%.17g", json_real_value(value));
		return scratch;
	default:
		return NULL;
	}
}

int condition_compile(struct compiler *compiler, const char *operator_name, const char *key, json_t *values)
{
	struct condition condition = { 0 };
	if (read_operator(operator_name, &condition) < 0)
		return compile_refuse(
			compiler, SYNTAX_ERRORS, "there is no condition operator %.64s", operator_name);
	if (!strchr(key, ':'))
		return compile_refuse(compiler, PREFACED_BY_VENDOR, "condition key %.64s", key);
	condition.key = compile_intern_key(compiler, key, strlen(key));
	size_t count = compile_list_count(values);
	union constant *constants = arena_alloc_array(compiler->arena, count, sizeof *constants);
	for (size_t i = 0; i < count; i++) {
		char scratch[64];
		json_t *value = json_is_array(values) ? json_array_get(values, i) : values;
		const char *text = constant_text(value, scratch);
		if (!text)
			return compile_refuse(compiler, SYNTAX_ERRORS,
				"a value of condition key %.64s is not a string", key);
		if (compile_constant(compiler, &condition, text, &constants[i]) < 0)
			return -1;
	}
	condition.constants = constants;
	condition.constant_count = (uint32_t)count;
	*ARENA_APPEND(compiler->arena, compiler->conditions, compiler->condition_count) = condition;
	return 0;
}
