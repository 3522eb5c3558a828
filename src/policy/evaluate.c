/*
 * May this request be? The order is that of the IAM User Guide, "How AWS enforcement code logic evaluates requests to allow or deny access":
 *
 *	1. an explicit Deny of any policy that applies
 *	2. each level of the organization must allow
 *	3. the resource's policy: what it allows the caller itself needs nothing else within an account; what it allows the role or user behind a session is limited by boundary and session policies;
 *	   what it allows the account is for the account's own policies to hand on
 *	4. identity policies, boundary, session policies: all of them must allow. Across accounts, the resource's policy too
 *
 * Runs on any thread; its state is on the stack, and it allocates only to collect what the caller asks for by giving an arena.
 */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "policy/policy_internal.h"
#include "base/banned.h"

/* tolower of ASCII, without a call: every decision hashes the names of all its context keys */
static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

uint32_t key_hash(const char *name, size_t length)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ lower(name[i])) * 16777619u;
	return hash;
}

static void note_missing(const struct evaluation *evaluation, const char *name)
{
	struct policy_result *result = evaluation->result;
	if (!evaluation->arena)
		return;
	for (size_t i = 0; i < result->missing_count; i++)
		if (strcasecmp(result->missing_keys[i], name) == 0)
			return;
	*ARENA_APPEND(evaluation->arena, result->missing_keys, result->missing_count) =
		arena_strdup(evaluation->arena, name);
}

const struct policy_context_key *evaluation_find(const struct scope *scope, uint32_t index)
{
	const struct evaluation *evaluation = scope->evaluation;
	const struct policy_request *request = evaluation->request;
	const struct key *key = &scope->policy->keys[index];
	for (size_t i = 0; i < request->context_count; i++)
		if ((i >= CONTEXT_HASHED || evaluation->hashes[i] == key->hash) &&
			strcasecmp(request->context[i].name, key->name) == 0)
			return &request->context[i];
	note_missing(evaluation, key->name);
	return NULL;
}

static bool match_list(const struct pattern_list *list, const struct scope *scope, const char *text,
	size_t length, bool *unresolved)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (pattern_match(&list->items[i], scope, text, length, unresolved))
			return true;
	return false;
}

/* A NotResource with a variable that has no value: nobody knows what it excepts, so it allows nothing and denies all. */
static bool match_resource(const struct statement *statement, const struct scope *scope)
{
	const struct evaluation *evaluation = scope->evaluation;
	bool unresolved = false;
	if (statement->any_resource)
		return true;
	bool matches = match_list(&statement->resources, scope, evaluation->request->resource,
		evaluation->resource_length, &unresolved);
	if (!statement->resources.negated)
		return matches;
	return !matches && (statement->deny || !unresolved);
}

/* How closely the statement, of an effect that is looked for, is about this request. */
static enum grade match_statement(const struct statement *statement, const struct scope *scope)
{
	const struct evaluation *evaluation = scope->evaluation;
	if (match_list(&statement->actions, scope, evaluation->action, evaluation->action_length, NULL) ==
			statement->actions.negated ||
		!match_resource(statement, scope))
		return GRADE_NONE;
	enum grade grade =
		principal_match(statement, &evaluation->request->caller, evaluation->set->has_boundary);
	bool holds = grade != GRADE_NONE;
	/* the rest is only looked at for the keys that it lacks */
	for (uint32_t i = 0; i < statement->condition_count && (holds || (evaluation->arena && grade)); i++)
		holds &= condition_holds(&statement->conditions[i], scope);
	return holds ? grade : GRADE_NONE;
}

/* The closest match of an effect in a list; *match is set if there is one. */
static enum grade search(struct evaluation *evaluation, const struct policy_list *list, bool deny,
	enum policy_source source, struct policy_match *match)
{
	enum grade best = GRADE_NONE;
	for (size_t i = 0; i < list->count; i++) {
		const struct scope scope = { evaluation, list->items[i].policy };
		for (uint32_t j = 0; j < scope.policy->statement_count; j++) {
			const struct statement *statement = &scope.policy->statements[j];
			enum grade grade =
				statement->deny == deny ? match_statement(statement, &scope) : GRADE_NONE;
			if (grade <= best)
				continue;
			best = grade;
			*match = (struct policy_match){ source, list->items[i].name, j, statement->sid };
			if (grade == GRADE_SELF || deny)
				return grade;
		}
	}
	return best;
}

static void conclude(
	struct evaluation *evaluation, enum policy_decision decision, const struct policy_match *match)
{
	evaluation->result->decision = decision;
	evaluation->result->match = *match;
}

static void lack(struct evaluation *evaluation, enum policy_source source)
{
	conclude(evaluation, POLICY_IMPLICIT_DENY, &(struct policy_match){ .source = source });
}

static bool is_denied(struct evaluation *evaluation)
{
	const struct policy_set *set = evaluation->set;
	struct policy_match match;
	bool denied = false;
	for (size_t i = 0; i < set->organization_count && !denied; i++)
		denied = search(evaluation, &set->organization[i], true, POLICY_SOURCE_ORGANIZATION, &match);
	denied = denied || search(evaluation, &set->resource, true, POLICY_SOURCE_RESOURCE, &match) ||
		search(evaluation, &set->identity, true, POLICY_SOURCE_IDENTITY, &match) ||
		(set->has_boundary &&
			search(evaluation, &set->boundary, true, POLICY_SOURCE_BOUNDARY, &match)) ||
		(set->has_session && search(evaluation, &set->session, true, POLICY_SOURCE_SESSION, &match));
	if (denied)
		conclude(evaluation, POLICY_EXPLICIT_DENY, &match);
	return denied;
}

static bool organization_allows(struct evaluation *evaluation)
{
	const struct policy_set *set = evaluation->set;
	struct policy_match match;
	for (size_t i = 0; i < set->organization_count; i++)
		if (!search(evaluation, &set->organization[i], false, POLICY_SOURCE_ORGANIZATION, &match)) {
			lack(evaluation, POLICY_SOURCE_ORGANIZATION);
			return false;
		}
	return true;
}

/* The account's root, and sessions that it has federated, need no identity policy. */
static bool is_root(const struct policy_caller *caller)
{
	if (caller->type == POLICY_CALLER_ROOT)
		return true;
	size_t length = caller->type == POLICY_CALLER_FEDERATED_USER && caller->issuer_arn
		? strlen(caller->issuer_arn)
		: 0;
	return length > 5 && strcmp(caller->issuer_arn + length - 5, ":root") == 0;
}

static bool identity_allows(struct evaluation *evaluation, struct policy_match *match)
{
	if (is_root(&evaluation->request->caller)) {
		*match = (struct policy_match){ .source = POLICY_SOURCE_ROOT };
		return true;
	}
	if (search(evaluation, &evaluation->set->identity, false, POLICY_SOURCE_IDENTITY, match))
		return true;
	lack(evaluation, POLICY_SOURCE_IDENTITY);
	return false;
}

/* Boundary and session policies. A federated user without session policies may do nothing but what resources allow it by name. */
static bool limits_allow(struct evaluation *evaluation)
{
	const struct policy_set *set = evaluation->set;
	bool federated = evaluation->request->caller.type == POLICY_CALLER_FEDERATED_USER;
	struct policy_match match;
	if (set->has_boundary && !search(evaluation, &set->boundary, false, POLICY_SOURCE_BOUNDARY, &match)) {
		lack(evaluation, POLICY_SOURCE_BOUNDARY);
		return false;
	}
	if (set->has_session ? !search(evaluation, &set->session, false, POLICY_SOURCE_SESSION, &match)
			     : federated) {
		lack(evaluation, POLICY_SOURCE_SESSION);
		return false;
	}
	return true;
}

/* What is left when nothing denies and the organization agrees. */
static void weigh_allows(struct evaluation *evaluation)
{
	const struct policy_set *set = evaluation->set;
	const struct policy_request *request = evaluation->request;
	const struct policy_caller *caller = &request->caller;
	struct policy_match match = { 0 };
	enum grade grade = search(evaluation, &set->resource, false, POLICY_SOURCE_RESOURCE, &match);
	bool has_account = principal_has_account(caller);
	bool same_account = has_account &&
		(!request->resource_account || strcmp(request->resource_account, caller->account) == 0);
	bool named_suffices = same_account || set->resource_reaches_out;
	bool enough = !has_account || (named_suffices && grade == GRADE_SELF);
	if (enough && grade != GRADE_NONE) {
		conclude(evaluation, POLICY_ALLOWED, &match);
		return;
	}
	if (grade == GRADE_NONE && (!same_account || set->resource_decides_alone)) {
		lack(evaluation, POLICY_SOURCE_RESOURCE);
		return;
	}
	if (named_suffices && grade == GRADE_ISSUER) {
		if (limits_allow(evaluation))
			conclude(evaluation, POLICY_ALLOWED, &match);
		return;
	}
	if (identity_allows(evaluation, &match) && limits_allow(evaluation))
		conclude(evaluation, POLICY_ALLOWED, &match);
}

static void collect_list(
	struct evaluation *evaluation, const struct policy_list *list, bool deny, enum policy_source source)
{
	struct policy_result *result = evaluation->result;
	for (size_t i = 0; i < list->count; i++) {
		const struct scope scope = { evaluation, list->items[i].policy };
		for (uint32_t j = 0; j < scope.policy->statement_count; j++) {
			const struct statement *statement = &scope.policy->statements[j];
			if (statement->deny == deny && match_statement(statement, &scope))
				*ARENA_APPEND(evaluation->arena, result->matches, result->match_count) =
					(struct policy_match){ source, list->items[i].name, j,
						statement->sid };
		}
	}
}

static void collect_matches(struct evaluation *evaluation)
{
	const struct policy_set *set = evaluation->set;
	bool deny = evaluation->result->decision == POLICY_EXPLICIT_DENY;
	for (size_t i = 0; i < set->organization_count; i++)
		collect_list(evaluation, &set->organization[i], deny, POLICY_SOURCE_ORGANIZATION);
	collect_list(evaluation, &set->resource, deny, POLICY_SOURCE_RESOURCE);
	collect_list(evaluation, &set->identity, deny, POLICY_SOURCE_IDENTITY);
	if (set->has_boundary)
		collect_list(evaluation, &set->boundary, deny, POLICY_SOURCE_BOUNDARY);
	if (set->has_session)
		collect_list(evaluation, &set->session, deny, POLICY_SOURCE_SESSION);
}

void policy_evaluate(const struct policy_set *set, const struct policy_request *request, struct arena *arena,
	struct policy_result *result)
{
	struct evaluation evaluation = { .set = set, .request = request, .result = result, .arena = arena };
	*result = (struct policy_result){ .decision = POLICY_IMPLICIT_DENY };
	evaluation.action_length = strlen(request->action);
	evaluation.resource_length = strlen(request->resource);
	if (evaluation.action_length >= ACTION_SIZE) /* no service has such an action, so nobody may do it */
		return;
	for (size_t i = 0; i < evaluation.action_length; i++)
		evaluation.action[i] = (char)lower(request->action[i]);
	for (size_t i = 0; i < request->context_count && i < CONTEXT_HASHED; i++)
		evaluation.hashes[i] = key_hash(request->context[i].name, strlen(request->context[i].name));
	if (!is_denied(&evaluation) && organization_allows(&evaluation))
		weigh_allows(&evaluation);
	if (arena)
		collect_matches(&evaluation);
}
