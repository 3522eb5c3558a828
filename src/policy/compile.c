/*
 * Documents: JSON to a compiled policy, by the published grammar and what IAM is known to refuse beyond it.
 *
 * Elements are checked in the order in which IAM reports faults: the shape of everything first, then what a statement must have, then what stands in it. A refused document leaves nothing behind.
 */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "policy/policy_internal.h"
#include "base/banned.h"

/* What is quoted of a document may be cut within a character, or have line ends in it. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (!isprint((unsigned char)*text))
			*text = '?';
}

int compile_refuse(struct compiler *compiler, const char *sentence, const char *format, ...)
{
	char detail[256], message[sizeof compiler->err->message];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	if (compiler->statement)
		snprintf(message, sizeof message, "%s (statement %u: %s)", sentence, compiler->statement,
			detail);
	else
		snprintf(message, sizeof message, "%s (%s)", sentence, detail);
	make_printable(message);
	return error_set(compiler->err, ERROR_MALFORMED_POLICY_DOCUMENT, "%s", message);
}

uint32_t compile_intern_key(struct compiler *compiler, const char *name, size_t length)
{
	struct policy *policy = compiler->policy;
	uint32_t hash = key_hash(name, length);
	for (size_t i = 0; i < policy->key_count; i++)
		if (policy->keys[i].hash == hash && strlen(policy->keys[i].name) == length &&
			strncasecmp(policy->keys[i].name, name, length) == 0)
			return (uint32_t)i;
	struct key *key = ARENA_APPEND(compiler->arena, policy->keys, policy->key_count);
	key->name = arena_strndup(compiler->arena, name, length);
	key->hash = hash;
	return (uint32_t)policy->key_count - 1;
}

static int check_sid(struct compiler *compiler, const char *sid)
{
	if (compiler->policy->kind != POLICY_RESOURCE)
		for (const char *c = sid; *c; c++)
			if (!isalnum((unsigned char)*c))
				return compile_refuse(compiler,
					"Statement IDs must be alpha numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
					"Sid %.64s", sid);
	if (!*sid)
		return 0;
	for (unsigned i = 0; i + 1 < compiler->statement; i++) {
		const char *other = compiler->policy->statements[i].sid;
		if (other && strcmp(other, sid) == 0)
			return compile_refuse(compiler,
				"Statement IDs (SID) in a single policy must be unique.", "Sid %.64s", sid);
	}
	return 0;
}

static int compile_sid(struct compiler *compiler, json_t *element, struct statement *statement)
{
	if (!element)
		return 0;
	if (!json_is_string(element))
		return compile_refuse(compiler, SYNTAX_ERRORS, "Sid is not a string");
	statement->sid = arena_strdup(compiler->arena, json_string_value(element));
	return check_sid(compiler, statement->sid);
}

static int compile_effect(struct compiler *compiler, json_t *element, struct statement *statement)
{
	const char *effect = json_string_value(element);
	if (!effect)
		return compile_refuse(
			compiler, SYNTAX_ERRORS, element ? "Effect is not a string" : "Effect is missing");
	statement->deny = strcmp(effect, "Deny") == 0;
	if (!statement->deny && strcmp(effect, "Allow") != 0)
		return compile_refuse(compiler, SYNTAX_ERRORS, "Effect is %.32s, not Allow or Deny", effect);
	return 0;
}

static int check_members(struct compiler *compiler, json_t *object, const char *const *known)
{
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value)
	{
		const char *const *at = known;
		while (*at && strcmp(*at, name) != 0)
			at++;
		if (!*at)
			return compile_refuse(compiler, SYNTAX_ERRORS, "there is no element %.64s", name);
	}
	return 0;
}

static int check_one_of(struct compiler *compiler, json_t *object, const char *name, const char *other)
{
	if (json_object_get(object, name) && json_object_get(object, other))
		return compile_refuse(compiler, SYNTAX_ERRORS, "both %s and %s", name, other);
	return 0;
}

/* Statements whose Condition is {"OPERATOR": {"KEY": VALUES, ...}, ...}: all of them must hold. */
static int compile_conditions(struct compiler *compiler, json_t *element, struct statement *statement)
{
	const char *operator_name, *key = NULL;
	json_t *keys, *values;
	if (!element)
		return 0;
	if (!json_is_object(element))
		return compile_refuse(compiler, SYNTAX_ERRORS, "Condition is not an object");
	compiler->conditions = NULL;
	compiler->condition_count = 0;
	json_object_foreach(element, operator_name, keys)
	{
		if (!json_is_object(keys))
			return compile_refuse(compiler, SYNTAX_ERRORS, "the value of %.64s is not an object",
				operator_name);
		json_object_foreach(keys, key, values)
		{
			if (condition_compile(compiler, operator_name, key, values) < 0)
				return -1;
		}
	}
	statement->conditions = compiler->conditions;
	statement->condition_count = (uint32_t)compiler->condition_count;
	return 0;
}

static int compile_action_elements(struct compiler *compiler, json_t *object, struct statement *statement)
{
	json_t *element = json_object_get(object, "Action"), *negated = json_object_get(object, "NotAction");
	return compile_actions(compiler, negated ? negated : element, negated != NULL, &statement->actions);
}

static int compile_resource_elements(struct compiler *compiler, json_t *object, struct statement *statement)
{
	json_t *element = json_object_get(object, "Resource"),
	       *negated = json_object_get(object, "NotResource");
	if (compiler->policy->kind == POLICY_TRUST) {
		if (element || negated)
			return compile_refuse(compiler,
				element ? "Has prohibited field Resource"
					: "Has prohibited field NotResource",
				"a role's trust policy is about that role");
		statement->any_resource = true;
		return 0;
	}
	return compile_resources(
		compiler, negated ? negated : element, negated != NULL, &statement->resources);
}

static int compile_statement(struct compiler *compiler, json_t *object, struct statement *statement)
{
	static const char *const known[] = { "Sid", "Effect", "Principal", "NotPrincipal", "Action",
		"NotAction", "Resource", "NotResource", "Condition", NULL };
	if (!json_is_object(object))
		return compile_refuse(compiler, SYNTAX_ERRORS, "it is not an object");
	if (check_members(compiler, object, known) < 0 ||
		check_one_of(compiler, object, "Action", "NotAction") < 0 ||
		check_one_of(compiler, object, "Resource", "NotResource") < 0 ||
		check_one_of(compiler, object, "Principal", "NotPrincipal") < 0)
		return -1;
	if (compile_sid(compiler, json_object_get(object, "Sid"), statement) < 0 ||
		compile_effect(compiler, json_object_get(object, "Effect"), statement) < 0 ||
		principal_compile(compiler, object, statement) < 0 ||
		compile_action_elements(compiler, object, statement) < 0 ||
		compile_resource_elements(compiler, object, statement) < 0)
		return -1;
	return compile_conditions(compiler, json_object_get(object, "Condition"), statement);
}

static int compile_statements(struct compiler *compiler, json_t *element)
{
	struct policy *policy = compiler->policy;
	size_t count = json_is_array(element) ? json_array_size(element) : 1;
	if (!json_is_array(element) && !json_is_object(element))
		return compile_refuse(compiler, SYNTAX_ERRORS,
			element ? "Statement is neither an object nor a list" : "Statement is missing");
	if (!count)
		return compile_refuse(compiler, SYNTAX_ERRORS, "Statement is empty");
	struct statement *statements = arena_alloc_array(compiler->arena, count, sizeof *statements);
	policy->statements = statements;
	policy->statement_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		compiler->statement = (unsigned)i + 1;
		json_t *object = json_is_array(element) ? json_array_get(element, i) : element;
		if (compile_statement(compiler, object, &statements[i]) < 0)
			return -1;
	}
	return 0;
}

static int compile_version(struct compiler *compiler, json_t *element)
{
	const char *version = element ? json_string_value(element) : "2008-10-17";
	compiler->variables = version && strcmp(version, "2012-10-17") == 0;
	if (!version || (!compiler->variables && strcmp(version, "2008-10-17") != 0))
		return compile_refuse(
			compiler, SYNTAX_ERRORS, "Version is neither 2012-10-17 nor 2008-10-17");
	compiler->policy->version = element ? arena_strdup(compiler->arena, version) : NULL;
	return 0;
}

static int compile_document(struct compiler *compiler, json_t *document)
{
	static const char *const known[] = { "Version", "Id", "Statement", NULL };
	if (!json_is_object(document))
		return compile_refuse(compiler, SYNTAX_ERRORS, "the document is not an object");
	json_t *id = json_object_get(document, "Id");
	if (check_members(compiler, document, known) < 0)
		return -1;
	if (id && !json_is_string(id))
		return compile_refuse(compiler, SYNTAX_ERRORS, "Id is not a string");
	if (compile_version(compiler, json_object_get(document, "Version")) < 0)
		return -1;
	return compile_statements(compiler, json_object_get(document, "Statement"));
}

int policy_compile(
	enum policy_kind kind, const char *document, size_t size, struct policy **policy, struct error *err)
{
	struct compiler compiler = { .err = err };
	json_error_t fault;
	json_t *json = json_loadb(document, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
	*policy = NULL;
	if (!json)
		return compile_refuse(&compiler, SYNTAX_ERRORS, "line %d, column %d: %.120s", fault.line,
			fault.column, fault.text);
	struct policy *made = memory_alloc(sizeof *made);
	made->magic = POLICY_MAGIC;
	atomic_init(&made->references, 1);
	made->arena = arena_create();
	made->kind = kind;
	made->document = arena_strndup(made->arena, document, size);
	made->document_size = size;
	compiler.policy = made;
	compiler.arena = made->arena;
	int result = compile_document(&compiler, json);
	json_decref(json);
	if (result < 0) {
		policy_release(made);
		return -1;
	}
	*policy = made;
	return 0;
}
