/*
 * The table: requests, the policies that govern them, and what is to be decided. cases/README.md says how the files are written.
 *
 * Each case is evaluated twice, with and without an arena; both must decide alike. All files are looked at before it fails.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/arena.h"
#include "policy/policy.h"
#include "base/banned.h"

enum { POLICIES_MAX = 32, CONTEXT_MAX = 200, VALUES_MAX = 16, LEVELS_MAX = 8, CASES_MIN = 400 };

/* What a case names is looked up in it, then in its group. */
struct lookup {
	json_t *group, *item;
};
struct situation {
	struct policy_set set;
	struct policy_named policies[POLICIES_MAX];
	size_t policy_count;
	struct policy_list levels[LEVELS_MAX];
	struct policy_context_key context[CONTEXT_MAX];
	const char *values[CONTEXT_MAX][VALUES_MAX];
	struct policy_request request;
	struct arena *arena;
	char problem[600];
};

static const char *folder;
static unsigned total;

static json_t *find(const struct lookup *lookup, const char *name)
{
	json_t *found = json_object_get(lookup->item, name);
	return found ? found : json_object_get(lookup->group, name);
}

static const char *find_text(const struct lookup *lookup, const char *name, const char *otherwise)
{
	json_t *found = find(lookup, name);
	return found ? json_string_value(found) : otherwise;
}

/* A document as it stands, or statements that become one. */
static json_t *wrap(json_t *document)
{
	if (json_is_object(document) && json_object_get(document, "Statement"))
		return json_incref(document);
	return json_pack("{s:s, s:O}", "Version", "2012-10-17", "Statement", document);
}

static int add_policy(struct situation *situation, enum policy_kind kind, json_t *document, const char *name)
{
	struct error err;
	json_t *whole = wrap(document);
	char *text = json_dumps(whole, 0);
	struct policy_named *named = &situation->policies[situation->policy_count];
	assert_true(situation->policy_count < POLICIES_MAX);
	named->name = name;
	int result = policy_compile(kind, text, strlen(text), &named->policy, &err);
	if (result < 0)
		snprintf(situation->problem, sizeof situation->problem, "%s: %s", name, err.message);
	else
		situation->policy_count++;
	free(text);
	json_decref(whole);
	return result;
}

/* A list of documents, or of one document's statements, or one statement. */
static struct policy_list add_list(
	struct situation *situation, enum policy_kind kind, json_t *element, const char *name)
{
	size_t first = situation->policy_count;
	bool documents = json_is_array(element) && json_object_get(json_array_get(element, 0), "Statement");
	if (documents) {
		for (size_t i = 0; i < json_array_size(element); i++)
			add_policy(situation, kind, json_array_get(element, i), name);
	} else if (element && !(json_is_array(element) && !json_array_size(element))) {
		add_policy(situation, kind, element, name);
	}
	return (struct policy_list){ situation->policies + first, situation->policy_count - first };
}

static void add_condition(struct situation *situation, json_t *condition)
{
	json_t *statement = json_pack("{s:s, s:s, s:s, s:O}", "Effect", "Allow", "Action", "*", "Resource",
		"*", "Condition", condition);
	situation->set.identity = add_list(situation, POLICY_IDENTITY, statement, "identity");
	json_decref(statement);
}

static void make_set(struct situation *situation, const struct lookup *lookup)
{
	struct policy_set *set = &situation->set;
	bool trust = json_is_true(find(lookup, "trust"));
	json_t *levels = find(lookup, "organization");
	if (find(lookup, "condition"))
		add_condition(situation, find(lookup, "condition"));
	else
		set->identity = add_list(situation, POLICY_IDENTITY, find(lookup, "identity"), "identity");
	set->resource = add_list(situation, trust ? POLICY_TRUST : POLICY_RESOURCE,
		find(lookup, "resource-policy"), "resource");
	set->resource_decides_alone = trust || json_is_true(find(lookup, "alone"));
	set->resource_reaches_out = json_is_true(find(lookup, "reaches-out"));
	set->has_boundary =
		json_is_array(find(lookup, "boundary")) || json_is_object(find(lookup, "boundary"));
	set->has_session = json_is_array(find(lookup, "session")) || json_is_object(find(lookup, "session"));
	set->boundary = add_list(situation, POLICY_IDENTITY, find(lookup, "boundary"), "boundary");
	set->session = add_list(situation, POLICY_IDENTITY, find(lookup, "session"), "session");
	assert_true(json_array_size(levels) <= LEVELS_MAX);
	for (size_t i = 0; i < json_array_size(levels); i++)
		situation->levels[i] =
			add_list(situation, POLICY_ORGANIZATION, json_array_get(levels, i), "organization");
	set->organization = situation->levels;
	set->organization_count = json_array_size(levels);
}

static const struct {
	const char *name;
	struct policy_caller caller;
} callers[] = {
	{ "user",
		{ POLICY_CALLER_USER, "111111111111", "arn:aws:iam::111111111111:user/bob",
			"AIDABOBBOBBOBBOBBOB11", NULL, NULL } },
	{ "user in a path",
		{ POLICY_CALLER_USER, "111111111111", "arn:aws:iam::111111111111:user/team/ann",
			"AIDAANNANNANNANNANN11", NULL, NULL } },
	{ "role session",
		{ POLICY_CALLER_ROLE_SESSION, "111111111111",
			"arn:aws:sts::111111111111:assumed-role/builder/s1", "AROABUILDERBUILDER111",
			"arn:aws:iam::111111111111:role/builder", NULL } },
	{ "root",
		{ POLICY_CALLER_ROOT, "111111111111", "arn:aws:iam::111111111111:root", "111111111111", NULL,
			NULL } },
	{ "federated user",
		{ POLICY_CALLER_FEDERATED_USER, "111111111111",
			"arn:aws:sts::111111111111:federated-user/fay", "AIDABOBBOBBOBBOBBOB11",
			"arn:aws:iam::111111111111:user/bob", NULL } },
	{ "federated root",
		{ POLICY_CALLER_FEDERATED_USER, "111111111111",
			"arn:aws:sts::111111111111:federated-user/fay", "111111111111",
			"arn:aws:iam::111111111111:root", NULL } },
	{ "service", { POLICY_CALLER_SERVICE, NULL, NULL, NULL, NULL, "ec2.amazonaws.com" } },
	{ "service for an account",
		{ POLICY_CALLER_SERVICE, "111111111111", NULL, "ec2.amazonaws.com", NULL,
			"ec2.amazonaws.com" } },
	{ "web identity", { POLICY_CALLER_WEB_IDENTITY, NULL, NULL, NULL, NULL, "accounts.google.com" } },
	{ "anonymous", { POLICY_CALLER_ANONYMOUS, NULL, NULL, NULL, NULL, NULL } },
};

static void make_context(struct situation *situation, json_t *context)
{
	const char *name;
	json_t *value;
	json_object_foreach(context, name, value)
	{
		struct policy_context_key *key = &situation->context[situation->request.context_count];
		const char **values = situation->values[situation->request.context_count++];
		assert_true(situation->request.context_count <= CONTEXT_MAX);
		key->name = name;
		key->values = values;
		key->value_count = json_is_array(value) ? json_array_size(value) : 1;
		assert_true(key->value_count <= VALUES_MAX);
		for (size_t i = 0; i < key->value_count; i++)
			values[i] =
				json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
	}
	situation->request.context = situation->context;
}

static int make_request(struct situation *situation, const struct lookup *lookup)
{
	struct policy_request *request = &situation->request;
	const char *caller = find_text(lookup, "caller", "user");
	request->action = find_text(lookup, "action", "ec2:RunInstances");
	request->resource = find_text(lookup, "on", "arn:aws:ec2:us-east-1:111111111111:instance/i-1");
	request->resource_account = find_text(lookup, "owner", NULL);
	make_context(situation, find(lookup, "context"));
	for (size_t i = 0; i < sizeof callers / sizeof *callers; i++)
		if (strcmp(callers[i].name, caller) == 0) {
			request->caller = callers[i].caller;
			return 0;
		}
	snprintf(situation->problem, sizeof situation->problem, "there is no caller %s", caller);
	return -1;
}

/* "allow", "implicit", "deny"; and by what, if the case says that. */
static int check_result(
	const struct lookup *lookup, const struct policy_result *result, char *problem, size_t size)
{
	static const char *const decisions[] = { [POLICY_ALLOWED] = "allow",
		[POLICY_EXPLICIT_DENY] = "deny",
		[POLICY_IMPLICIT_DENY] = "implicit" };
	static const char *const sources[] = { "none", "identity", "resource", "boundary", "session",
		"organization", "root" };
	const char *decision = decisions[result->decision], *source = sources[result->match.source];
	const char *expect = find_text(lookup, "expect", ""), *by = find_text(lookup, "by", source);
	const char *sid = find_text(lookup, "sid", NULL);
	bool same = strcmp(decision, expect) == 0 && strcmp(source, by) == 0;
	if (sid && (!result->match.sid || strcmp(result->match.sid, sid) != 0))
		same = false;
	if (!same)
		snprintf(problem, size, "expected %s by %s, sid %s; decided %s by %s, sid %s", expect, by,
			sid ? sid : "-", decision, source, result->match.sid ? result->match.sid : "-");
	return same ? 0 : -1;
}

static int check_missing(
	const struct lookup *lookup, const struct policy_result *result, char *problem, size_t size)
{
	json_t *missing = find(lookup, "missing");
	bool same = !missing || json_array_size(missing) == result->missing_count;
	for (size_t i = 0; same && missing && i < result->missing_count; i++)
		same = strcmp(result->missing_keys[i], json_string_value(json_array_get(missing, i))) == 0;
	if (!same)
		snprintf(problem, size, "%zu keys are missing, the first: %s", result->missing_count,
			result->missing_count ? result->missing_keys[0] : "-");
	return same ? 0 : -1;
}

static int run_situation(struct situation *situation, const struct lookup *lookup)
{
	struct policy_result result, again;
	if (situation->problem[0] || make_request(situation, lookup) < 0)
		return -1;
	policy_evaluate(&situation->set, &situation->request, NULL, &result);
	policy_evaluate(&situation->set, &situation->request, situation->arena, &again);
	if (check_result(lookup, &result, situation->problem, sizeof situation->problem) < 0 ||
		check_result(lookup, &again, situation->problem, sizeof situation->problem) < 0)
		return -1;
	return check_missing(lookup, &again, situation->problem, sizeof situation->problem);
}

/* A case that expects a refusal has "refused": a part of the message. */
static int check_refused(struct situation *situation, const char *refused)
{
	if (strstr(situation->problem, refused))
		return 0;
	if (!situation->problem[0])
		snprintf(situation->problem, sizeof situation->problem, "was taken");
	return -1;
}

/* Of a case that is about a document alone. */
static void compile_alone(struct situation *situation, const struct lookup *lookup)
{
	static const char *const kinds[] = { [POLICY_IDENTITY] = "identity",
		[POLICY_RESOURCE] = "resource",
		[POLICY_TRUST] = "trust",
		[POLICY_ORGANIZATION] = "organization" };
	const char *kind = find_text(lookup, "kind", "identity");
	json_t *document = find(lookup, "document");
	char *text = document ? json_dumps(document, 0) : strdup(find_text(lookup, "text", ""));
	struct policy_named *named = &situation->policies[0];
	struct error err;
	unsigned number = 0;
	while (number < POLICY_ORGANIZATION && strcmp(kinds[number], kind) != 0)
		number++;
	if (policy_compile((enum policy_kind)number, text, strlen(text), &named->policy, &err) < 0)
		snprintf(situation->problem, sizeof situation->problem, "%s", err.message);
	else
		situation->policy_count = 1;
	free(text);
}

static int run_case(json_t *group, json_t *item, const char *file)
{
	struct lookup lookup = { group, item };
	struct situation *situation = calloc(1, sizeof *situation);
	const char *refused = find_text(&lookup, "refused", NULL);
	situation->arena = arena_create();
	bool alone = find(&lookup, "document") || find(&lookup, "text");
	if (alone)
		compile_alone(situation, &lookup);
	else
		make_set(situation, &lookup);
	int result = refused ? check_refused(situation, refused)
		: alone      ? -(situation->policy_count == 0)
			     : run_situation(situation, &lookup);
	if (result < 0)
		print_error("%s: %s: %s: %s\n", file, json_string_value(json_object_get(group, "group")),
			json_string_value(json_object_get(item, "name")), situation->problem);
	for (size_t i = 0; i < situation->policy_count; i++)
		policy_release(situation->policies[i].policy);
	arena_destroy(situation->arena);
	free(situation);
	return result;
}

static unsigned run_group(json_t *group, const char *file)
{
	unsigned failed = 0;
	size_t index;
	json_t *item;
	if (!json_is_string(json_object_get(group, "source")) ||
		!json_is_string(json_object_get(group, "group")) ||
		!json_array_size(json_object_get(group, "cases"))) {
		print_error("%s: a group without name, source or cases\n", file);
		return 1;
	}
	json_array_foreach(json_object_get(group, "cases"), index, item)
	{
		if (!json_is_string(json_object_get(item, "name"))) {
			print_error("%s: a case without a name\n", file);
			failed++;
		}
		failed += run_case(group, item, file) < 0;
		total++;
	}
	return failed;
}

static unsigned run_file(const char *name)
{
	char path[512];
	json_error_t fault;
	unsigned failed = 0;
	size_t index;
	json_t *group;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	json_t *groups = json_load_file(path, JSON_REJECT_DUPLICATES, &fault);
	if (!groups)
		fail_msg("%s:%d: %s", name, fault.line, fault.text);
	json_array_foreach(groups, index, group)
	{
		failed += run_group(group, name);
	}
	json_decref(groups);
	return failed;
}

static void every_case_is_decided_as_documented(void **state)
{
	struct dirent **names;
	unsigned failed = 0;
	int count = scandir(folder, &names, NULL, alphasort);
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		size_t length = strlen(names[i]->d_name);
		if (length > 5 && strcmp(names[i]->d_name + length - 5, ".json") == 0)
			failed += run_file(names[i]->d_name);
		free(names[i]);
	}
	free(names);
	print_message("%u cases, %u failed\n", total, failed);
	assert_int_equal(failed, 0);
	assert_true(total >= CASES_MIN);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_case_is_decided_as_documented) };
	if (argc != 2)
		return 2;
	folder = argv[1];
	return cmocka_run_group_tests_name("policy-cases", tests, NULL, NULL);
}
