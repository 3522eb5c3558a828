/*
 * Any bytes as a policy document, and as what is asked of it. The first byte says what the document is for and who asks; then the document; behind a NUL, if there is one, the resource and the value of
 * every context key.
 *
 * What is taken is decided alike with and without an arena, and by a second compilation; a Deny of everything beside it always denies; its statements are found in it.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct policy_caller callers[] = {
	{ POLICY_CALLER_USER, "111111111111", "arn:aws:iam::111111111111:user/bob", "AIDABOBBOBBOBBOBBOB11",
		NULL, NULL },
	{ POLICY_CALLER_ROLE_SESSION, "111111111111", "arn:aws:sts::111111111111:assumed-role/builder/s1",
		"AROABUILDERBUILDER111", "arn:aws:iam::111111111111:role/builder", NULL },
	{ POLICY_CALLER_SERVICE, NULL, NULL, NULL, NULL, "ec2.amazonaws.com" },
	{ POLICY_CALLER_WEB_IDENTITY, NULL, NULL, NULL, NULL, "accounts.google.com" },
};

static void evaluate(struct policy *policy, enum policy_kind kind, const struct policy_request *request,
	struct arena *arena, struct policy *deny, struct policy_result *result)
{
	struct policy_named items[] = { { policy, "fuzzed" }, { deny, "deny" } };
	struct policy_list list = { items, deny ? 2 : 1 };
	struct policy_set set = { .resource_decides_alone = kind == POLICY_TRUST };
	if (kind == POLICY_RESOURCE || kind == POLICY_TRUST)
		set.resource = list;
	else if (kind == POLICY_ORGANIZATION)
		set.organization = &list, set.organization_count = 1;
	else
		set.identity = list;
	policy_evaluate(&set, request, arena, result);
}

static void check(struct policy *policy, enum policy_kind kind, struct policy_request *request,
	struct arena *arena, struct policy *again)
{
	static const char everything[] =
		"{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}}";
	struct policy *deny;
	struct policy_result result, other;
	if (policy_compile(POLICY_RESOURCE, everything, sizeof everything - 1, &deny, NULL) < 0)
		abort();
	evaluate(policy, kind, request, NULL, NULL, &result);
	evaluate(again, kind, request, arena, NULL, &other);
	if (result.decision != other.decision || result.match.statement != other.match.statement)
		abort();
	evaluate(policy, kind, request, NULL, deny, &other);
	if (other.decision != POLICY_EXPLICIT_DENY)
		abort();
	policy_release(deny);
}

static void ask(struct policy *policy, enum policy_kind kind, const struct policy_caller *caller,
	const char *text, struct policy *again)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	static const char *const actions[] = { "ec2:RunInstances", "sts:AssumeRole", "kms:Decrypt" };
	const char *values[] = { text, "10.0.0.1" };
	const char **keys;
	size_t count;
	struct policy_position start, end;
	policy_list_context_keys(policy, arena, &keys, &count);
	struct policy_context_key *context = arena_alloc_array(arena, count, sizeof *context);
	for (size_t i = 0; i < count; i++)
		context[i] = (struct policy_context_key){ keys[i], values, 1 + i % 2 };
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		struct policy_request request = { .action = actions[i],
			.resource = *text ? text : "*",
			.resource_account = i ? NULL : "222222222222",
			.caller = *caller,
			.context = context,
			.context_count = count };
		check(policy, kind, &request, arena, again);
	}
	for (unsigned i = 0; policy_locate_statement(policy, i, &start, &end) == 0; i++)
		if (end.line < start.line || (end.line == start.line && end.column <= start.column))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *policy, *again;
	struct error err;
	if (!size)
		return 0;
	enum policy_kind kind = (enum policy_kind)(data[0] % 4);
	const struct policy_caller *caller = &callers[data[0] / 4 % 4];
	const uint8_t *nul = memchr(data + 1, '\0', size - 1);
	size_t length = nul ? (size_t)(nul - data - 1) : size - 1;
	/* exactly its bytes, so that reading behind them is seen */
	char *document = malloc(length ? length : 1), *text = calloc(1, size);
	memcpy(document, data + 1, length);
	if (nul)
		memcpy(text, nul + 1, size - length - 2);
	if (policy_compile(kind, document, length, &policy, &err) == 0) {
		if (policy_compile(kind, document, length, &again, &err) < 0)
			abort();
		ask(policy, kind, caller, text, again);
		policy_release(policy);
		policy_release(again);
	} else if (err.code != ERROR_MALFORMED_POLICY_DOCUMENT || !err.message[0]) {
		abort();
	}
	policy_match_arn(text, "arn:aws:s3:::bucket/key");
	free(document);
	free(text);
	return 0;
}
