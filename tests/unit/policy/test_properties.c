/*
 * What must be true of every evaluation, tried with generated policies and requests: nothing that restricts ever allows, order does not matter, and wildcards match as their definition says.
 *
 * The same policies each time; AMID_TEST_SEED=N for others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "policy/policy.h"
#include "base/banned.h"

enum { WORLDS = 1500, STATEMENTS_MAX = 5, STATEMENT_SIZE = 640 };
enum list { IDENTITY, RESOURCE, BOUNDARY, SESSION, LEVEL_1, LEVEL_2, LISTS };

struct statement {
	char text[STATEMENT_SIZE];
	bool deny;
};
struct statements {
	struct statement items[STATEMENTS_MAX + 1]; /* one may be added */
	unsigned count;
	bool present;
};
/* Everything that governs a request, as texts that can be changed. */
struct world {
	struct statements lists[LISTS];
	bool alone;
	struct policy_request request;
	struct policy_context_key context[3];
};

static uint64_t state;
static uint64_t seed = 20261121;

static unsigned pick(unsigned below)
{
	state ^= state << 13; /* xorshift */
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % below);
}

#define PICK(list) (list)[pick(sizeof(list) / sizeof *(list))]

static const char *const effects[] = { "Allow", "Allow", "Allow", "Allow", "Allow", "Deny" };
static const char *const actions[] = { "\"Action\": \"*\"", "\"Action\": \"*\"", "\"Action\": \"ec2:*\"",
	"\"Action\": \"ec2:Run*\"", "\"Action\": [\"ec2:StopInstances\", \"s3:GetObject\"]",
	"\"NotAction\": \"ec2:Stop*\"", "\"NotAction\": \"s3:*\"" };
static const char *const resources[] = { "\"Resource\": \"*\"",
	"\"Resource\": \"arn:aws:ec2:*:*:instance/*\"", "\"Resource\": \"arn:aws:s3:::b/${aws:username}/*\"",
	"\"NotResource\": \"arn:aws:s3:::b/*\"", "\"NotResource\": \"arn:aws:s3:::b/${aws:username}\"" };
static const char *const conditions[] = { "{}", "{}", "{}", "{}", "{}", "{}",
	"{\"StringEquals\": {\"aws:username\": \"bob\"}}",
	"{\"StringNotLikeIfExists\": {\"aws:username\": \"b*\"}}", "{\"Null\": {\"aws:TagKeys\": \"true\"}}",
	"{\"ForAllValues:StringEquals\": {\"aws:TagKeys\": [\"a\", \"b\"]}}",
	"{\"ForAnyValue:StringNotEquals\": {\"aws:TagKeys\": \"a\"}}",
	"{\"IpAddress\": {\"aws:SourceIp\": \"10.0.0.0/8\"}}",
	"{\"NotIpAddress\": {\"aws:SourceIp\": \"10.0.0.0/8\"}}" };
static const char *const principals[] = { "\"*\"", "{\"AWS\": \"111111111111\"}",
	"{\"AWS\": \"arn:aws:iam::111111111111:user/bob\"}",
	"{\"AWS\": \"arn:aws:iam::111111111111:role/r\"}",
	"{\"AWS\": \"arn:aws:sts::111111111111:assumed-role/r/s\"}", "{\"Service\": \"ec2.amazonaws.com\"}",
	"{\"AWS\": \"222222222222\"}" };

static const struct policy_caller callers[] = {
	{ POLICY_CALLER_USER, "111111111111", "arn:aws:iam::111111111111:user/bob", "AIDABOBBOBBOBBOBBOB11",
		NULL, NULL },
	{ POLICY_CALLER_ROLE_SESSION, "111111111111", "arn:aws:sts::111111111111:assumed-role/r/s",
		"AROABUILDERBUILDER111", "arn:aws:iam::111111111111:role/r", NULL },
	{ POLICY_CALLER_ROOT, "111111111111", "arn:aws:iam::111111111111:root", "111111111111", NULL, NULL },
	{ POLICY_CALLER_SERVICE, NULL, NULL, NULL, NULL, "ec2.amazonaws.com" },
	{ POLICY_CALLER_ANONYMOUS, NULL, NULL, NULL, NULL, NULL },
};

static void make_statement(struct statement *statement, enum list list, const char *effect)
{
	char principal[160] = "";
	statement->deny = strcmp(effect, "Deny") == 0;
	if (list == RESOURCE)
		snprintf(principal, sizeof principal, "\"%sPrincipal\": %s, ",
			statement->deny && pick(3) == 0 ? "Not" : "", PICK(principals));
	snprintf(statement->text, sizeof statement->text, "{\"Effect\": \"%s\", %s%s, %s, \"Condition\": %s}",
		effect, principal, PICK(actions), PICK(resources), PICK(conditions));
}

static void make_request(struct world *world)
{
	static const char *const names[] = { "bob", "ann" }, *const addresses[] = { "10.1.2.3", "192.0.2.1" };
	static const char *const tags[] = { "a", "b", "c" };
	static const char *const wanted[] = { "ec2:RunInstances", "ec2:StopInstances", "s3:GetObject" };
	static const char *const on[] = { "arn:aws:ec2:us-east-1:111111111111:instance/i-1",
		"arn:aws:s3:::b/bob/x", "*" };
	static const char *const owners[] = { NULL, "111111111111", "222222222222" };
	struct policy_request *request = &world->request;
	request->action = PICK(wanted);
	request->resource = PICK(on);
	request->resource_account = PICK(owners);
	request->caller = PICK(callers);
	if (pick(2))
		world->context[request->context_count++] =
			(struct policy_context_key){ "aws:username", &names[pick(2)], 1 };
	if (pick(2))
		world->context[request->context_count++] =
			(struct policy_context_key){ "aws:SourceIp", &addresses[pick(2)], 1 };
	if (pick(2))
		world->context[request->context_count++] =
			(struct policy_context_key){ "aws:TagKeys", &tags[pick(2)], pick(3) };
	request->context = world->context;
}

static void make_world(struct world *world)
{
	memset(world, 0, sizeof *world);
	for (unsigned list = 0; list < LISTS; list++) {
		struct statements *statements = &world->lists[list];
		statements->present = list <= RESOURCE ||
			(pick(4) == 0 && (list != LEVEL_2 || world->lists[LEVEL_1].present));
		statements->count = statements->present ? pick(STATEMENTS_MAX + 1) : 0;
		for (unsigned i = 0; i < statements->count; i++)
			make_statement(&statements->items[i], (enum list)list, PICK(effects));
	}
	world->alone = pick(4) == 0;
	make_request(world);
}

static struct policy *compile(enum list list, const struct statement *statements, unsigned count)
{
	char text[STATEMENT_SIZE * (STATEMENTS_MAX + 1) + 128];
	struct policy *policy;
	struct error err;
	size_t used = (size_t)snprintf(text, sizeof text, "{\"Version\": \"2012-10-17\", \"Statement\": [");
	for (unsigned i = 0; i < count; i++)
		used += (size_t)snprintf(
			text + used, sizeof text - used, "%s%s", i ? ", " : "", statements[i].text);
	used += (size_t)snprintf(text + used, sizeof text - used, "]}");
	if (policy_compile(list == RESOURCE ? POLICY_RESOURCE : POLICY_IDENTITY, text, used, &policy, &err) <
		0)
		fail_msg("%s: %s", err.message, text);
	return policy;
}

/* Each list as two policies, cut at a random place. */
static enum policy_decision decide(const struct world *world)
{
	struct policy_named named[LISTS][2];
	struct policy_list lists[LISTS];
	struct policy_set set = { .resource_decides_alone = world->alone };
	struct policy_result result, collected;
	for (unsigned list = 0; list < LISTS; list++) {
		const struct statements *statements = &world->lists[list];
		unsigned first = statements->count ? 1 + pick(statements->count) : 0;
		lists[list] = (struct policy_list){ named[list], 0 };
		if (first)
			named[list][lists[list].count++] =
				(struct policy_named){ compile((enum list)list, statements->items, first),
					"first" };
		if (first < statements->count)
			named[list][lists[list].count++] =
				(struct policy_named){ compile((enum list)list, statements->items + first,
							       statements->count - first),
					"second" };
	}
	set.identity = lists[IDENTITY];
	set.resource = lists[RESOURCE];
	set.boundary = lists[BOUNDARY];
	set.session = lists[SESSION];
	set.has_boundary = world->lists[BOUNDARY].present;
	set.has_session = world->lists[SESSION].present;
	set.organization = &lists[LEVEL_1];
	set.organization_count = world->lists[LEVEL_2].present ? 2 : world->lists[LEVEL_1].present;
	policy_evaluate(&set, &world->request, NULL, &result);
	struct arena *arena = arena_create();
	policy_evaluate(&set, &world->request, arena, &collected);
	assert_int_equal(result.decision, collected.decision);
	assert_true(result.decision == POLICY_IMPLICIT_DENY || collected.match_count ||
		result.match.source == POLICY_SOURCE_ROOT);
	arena_destroy(arena);
	for (unsigned list = 0; list < LISTS; list++)
		for (size_t i = 0; i < lists[list].count; i++)
			policy_release(named[list][i].policy);
	return result.decision;
}

static void begin(void)
{
	state = seed * 2654435761u + 1;
}

/* Changes worlds and sees to it that what was not allowed is not allowed afterwards. */
static void never_allows(void (*restrict_world)(struct world *))
{
	unsigned allowed = 0, denied = 0;
	begin();
	for (unsigned i = 0; i < WORLDS; i++) {
		struct world world;
		make_world(&world);
		bool before = decide(&world) == POLICY_ALLOWED;
		restrict_world(&world);
		bool after = decide(&world) == POLICY_ALLOWED;
		if (after && !before)
			fail_msg("seed %lu, world %u: allowed after a restriction", (unsigned long)seed, i);
		allowed += before;
		denied += before && !after;
	}
	assert_true(allowed > WORLDS / 20); /* or nothing was tried */
	assert_true(denied > 0);
}

static void add_deny(struct world *world)
{
	enum list list = (enum list)pick(LISTS);
	struct statements *statements = &world->lists[list];
	if (statements->present)
		make_statement(&statements->items[statements->count++], list, "Deny");
}

static void remove_allow(struct world *world)
{
	struct statements *statements = &world->lists[pick(LISTS)];
	for (unsigned i = 0; i < statements->count; i++)
		if (!statements->items[i].deny) {
			statements->items[i] = statements->items[--statements->count];
			return;
		}
}

static void add_list(struct world *world, enum list list)
{
	struct statements *statements = &world->lists[list];
	if (statements->present)
		return;
	statements->present = true;
	statements->count = pick(3);
	for (unsigned i = 0; i < statements->count; i++)
		make_statement(&statements->items[i], list, PICK(effects));
}

static void add_level(struct world *world)
{
	add_list(world, world->lists[LEVEL_1].present ? LEVEL_2 : LEVEL_1);
}

static void add_limit(struct world *world)
{
	add_list(world, pick(2) ? BOUNDARY : SESSION);
}

static void adding_a_deny_never_allows(void **unused)
{
	never_allows(add_deny);
}

static void removing_an_allow_never_allows(void **unused)
{
	never_allows(remove_allow);
}

static void adding_a_level_of_the_organization_never_allows(void **unused)
{
	never_allows(add_level);
}

static void adding_a_boundary_or_session_policy_never_allows(void **unused)
{
	never_allows(add_limit);
}

static void order_does_not_matter(void **unused)
{
	begin();
	for (unsigned i = 0; i < WORLDS; i++) {
		struct world world;
		make_world(&world);
		enum policy_decision decision = decide(&world);
		for (unsigned list = 0; list < LISTS; list++) {
			struct statements *statements = &world.lists[list];
			for (unsigned j = statements->count; j > 1; j--) {
				unsigned other = pick(j);
				struct statement moved = statements->items[j - 1];
				statements->items[j - 1] = statements->items[other];
				statements->items[other] = moved;
			}
		}
		if (decide(&world) != decision)
			fail_msg("seed %lu, world %u: decided otherwise in another order",
				(unsigned long)seed, i);
	}
}

/* The definition of wildcards, as slow as it is. */
static bool matches(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return matches(pattern + 1, text) || (*text && matches(pattern, text + 1));
	if (!*pattern || !*text)
		return !*pattern && !*text;
	return (*pattern == '?' || *pattern == *text) && matches(pattern + 1, text + 1);
}

static void make_text(char *text, unsigned length, const char *alphabet)
{
	for (unsigned i = 0; i < length; i++)
		text[i] = alphabet[pick((unsigned)strlen(alphabet))];
	text[length] = '\0';
}

static bool compiled_matches(const char *pattern, const char *text)
{
	struct statement statement = { 0 };
	snprintf(statement.text, sizeof statement.text,
		"{\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"*\", \"Resource\": \"%s\"}",
		pattern);
	struct policy_named named = { compile(RESOURCE, &statement, 1), "one" };
	struct policy_set set = { .resource = { &named, 1 } };
	struct policy_request request = { .action = "s3:GetObject", .resource = text, .caller = callers[0] };
	struct policy_result result;
	policy_evaluate(&set, &request, NULL, &result);
	policy_release(named.policy);
	return result.decision == POLICY_ALLOWED;
}

static void wildcards_match_as_defined(void **unused)
{
	unsigned matched = 0;
	begin();
	for (unsigned i = 0; i < 10000; i++) {
		char pattern[16], text[16];
		make_text(pattern, pick(9), "ab*?");
		make_text(text, pick(11), "ab");
		bool expected = matches(pattern, text);
		if (compiled_matches(pattern, text) != expected ||
			policy_match_arn(pattern, text) != expected ||
			policy_match_action(pattern, text) != expected)
			fail_msg("seed %lu: pattern %s, text %s", (unsigned long)seed, pattern, text);
		matched += expected;
	}
	assert_true(matched > 500);
}

static void actions_match_without_regard_to_case(void **unused)
{
	assert_true(policy_match_action("ec2:run*", "EC2:RunInstances"));
	assert_false(policy_match_action("ec2:run*", "EC2:StopInstances"));
	assert_false(policy_match_arn("arn:aws:s3:::B", "arn:aws:s3:::b"));
}

static void keys_are_listed_once(void **unused)
{
	static const char document[] =
		"{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"arn:aws:s3:::${aws:username}\","
		" \"Condition\": {\"StringEquals\": {\"AWS:UserName\": \"${aws:PrincipalTag/team, 'x'}\"}, \"Bool\": {\"aws:SecureTransport\": true}}}]}";
	struct arena *arena = arena_create();
	struct policy *policy;
	const char **keys;
	size_t count;
	assert_int_equal(policy_compile(POLICY_IDENTITY, document, strlen(document), &policy, NULL), 0);
	policy_list_context_keys(policy, arena, &keys, &count);
	assert_int_equal(count, 3);
	assert_string_equal(keys[0], "aws:username");
	assert_string_equal(keys[1], "aws:PrincipalTag/team");
	assert_string_equal(keys[2], "aws:SecureTransport");
	policy_release(policy);
	arena_destroy(arena);
}

static void statements_are_located(void **unused)
{
	static const char document[] =
		"{\"Id\": \"Statement\", \"Version\": \"2012-10-17\",\n"
		" \"Statement\": [\n"
		"  {\"Effect\": \"Allow\", \"Action\": [\"a:b\\\"]}\"], \"Resource\": \"*\"},\n"
		"  {\"Effect\": \"Deny\",\n"
		"   \"Action\": \"*\", \"Resource\": \"*\"}]}";
	struct policy_position start, end;
	struct policy *policy;
	assert_int_equal(policy_compile(POLICY_IDENTITY, document, strlen(document), &policy, NULL), 0);
	assert_string_equal(policy_language_version(policy), "2012-10-17");
	assert_int_equal(policy_locate_statement(policy, 0, &start, &end), 0);
	assert_int_equal(start.line, 3);
	assert_int_equal(start.column, 3);
	assert_int_equal(end.line, 3);
	assert_int_equal(end.column,
		strlen("  {\"Effect\": \"Allow\", \"Action\": [\"a:b\\\"]}\"], \"Resource\": \"*\"}") + 1);
	assert_int_equal(policy_locate_statement(policy, 1, &start, &end), 0);
	assert_int_equal(start.line, 4);
	assert_int_equal(end.line, 5);
	assert_int_equal(policy_locate_statement(policy, 2, &start, &end), -1);
	policy_release(policy);
}

/* All that matched, of every list, not only what decided. */
static void matches_are_collected(void **unused)
{
	static const struct statement allow = {
		"{\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\"}", false
	};
	static const struct statement other = {
		"{\"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"*\"}", false
	};
	struct arena *arena = arena_create();
	struct policy_named identity = { compile(IDENTITY, &allow, 1), "identity" };
	struct policy_named boundary = { compile(IDENTITY, &other, 1), "boundary" };
	struct policy_set set = {
		.identity = { &identity, 1 }, .has_boundary = true, .boundary = { &boundary, 1 }
	};
	struct policy_request request = {
		.action = "ec2:RunInstances", .resource = "*", .caller = callers[0]
	};
	struct policy_result result;
	policy_evaluate(&set, &request, arena, &result);
	assert_int_equal(result.decision, POLICY_IMPLICIT_DENY);
	assert_int_equal(result.match.source, POLICY_SOURCE_BOUNDARY);
	assert_int_equal(result.match_count, 1);
	assert_string_equal(result.matches[0].policy, "identity");
	request.action = "s3:GetObject";
	policy_evaluate(&set, &request, arena, &result);
	assert_int_equal(result.decision, POLICY_ALLOWED);
	assert_int_equal(result.match_count, 2);
	policy_release(policy_retain(identity.policy));
	policy_release(identity.policy);
	policy_release(boundary.policy);
	arena_destroy(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding_a_deny_never_allows),
		cmocka_unit_test(removing_an_allow_never_allows),
		cmocka_unit_test(adding_a_level_of_the_organization_never_allows),
		cmocka_unit_test(adding_a_boundary_or_session_policy_never_allows),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(wildcards_match_as_defined),
		cmocka_unit_test(actions_match_without_regard_to_case),
		cmocka_unit_test(keys_are_listed_once),
		cmocka_unit_test(statements_are_located),
		cmocka_unit_test(matches_are_collected),
	};
	const char *given = getenv("AMID_TEST_SEED");
	if (given)
		seed = strtoull(given, NULL, 10);
	return cmocka_run_group_tests_name("policy-properties", tests, NULL, NULL);
}
