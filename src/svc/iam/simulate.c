/*
 * SimulateCustomPolicy, SimulatePrincipalPolicy: for each action on each resource, what policy_evaluate says of the policies at hand, and which of them say so. Nothing is called. Runs on the thread of the call.
 */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "svc/iam/simulation.h"
#include "base/banned.h"

/* What both operations ask for, whose requests differ in the principal alone. */
struct question {
	struct simulation simulation;
	const struct iam_ActionNameListType *actions;
	const struct iam_ResourceNameListType *resources;
	const char *resource_policy, *resource_owner, *caller_arn;
	const struct iam_ContextEntryListType *context_entries;
	struct shape_integer max_items;
	const char *marker;
	/* made of these */
	struct policy_caller caller;
	const char *resource_account;
	struct policy_context_key *context;
	size_t context_count;
};

static void add_context(struct question *question, const char *name, const char *const *values, size_t count)
{
	*ARENA_APPEND(question->simulation.call->arena, question->context, question->context_count) =
		(struct policy_context_key){ .name = name, .values = values, .value_count = count };
}

static bool has_context(const struct question *question, const char *name)
{
	for (size_t i = 0; i < question->context_count; i++)
		if (strcasecmp(question->context[i].name, name) == 0)
			return true;
	return false;
}

/* What is known of the principal, unless the request says otherwise. */
static void add_known(struct question *question, const char *name, const char *value)
{
	if (!value || has_context(question, name))
		return;
	const char **values = arena_alloc(question->simulation.call->arena, sizeof *values);
	values[0] = value;
	add_context(question, name, values, 1);
}

static void fill_context(struct question *question)
{
	struct call *call = question->simulation.call;
	const struct iam_entity *source = &question->simulation.source;
	for (size_t i = 0; i < question->context_entries->count; i++) {
		const struct iam_ContextEntry *entry = &question->context_entries->items[i];
		if (entry->context_key_name)
			add_context(question, entry->context_key_name, entry->context_key_values.items,
				entry->context_key_values.count);
	}
	if (!source->kind || source->kind == &iam_groups)
		return;
	add_known(question, "aws:PrincipalAccount", call->account);
	add_known(question, "aws:PrincipalArn", iam_arn(call, source));
	if (source->kind == &iam_users) {
		add_known(question, "aws:username", *source->name);
		add_known(question, "aws:userid", source->record->id);
	}
	for (size_t i = 0; i < source->tags->count; i++)
		add_known(question,
			arena_printf(call->arena, "aws:PrincipalTag/%s", source->tags->items[i].key),
			source->tags->items[i].value);
}

static const char *account_of_arn(struct call *call, const char *arn)
{
	size_t count;
	char **parts = text_split(call->arena, arn, ':', &count);
	return count > 4 && strlen(parts[4]) == 12 ? parts[4] : NULL;
}

/* The caller of resource policies: CallerArn, else the principal that is simulated. */
static int fill_caller(struct question *question, struct error *err)
{
	struct call *call = question->simulation.call;
	const struct iam_entity *source = &question->simulation.source;
	bool is_caller = source->kind && source->kind != &iam_groups;
	const char *arn = question->caller_arn;
	if (!arn && is_caller)
		arn = iam_arn(call, source);
	if (question->resource_policy && !arn)
		return error_set(err, ERROR_INVALID, "CallerArn is required with ResourcePolicy.");
	if (question->caller_arn && (!account_of_arn(call, arn) || !strstr(arn, ":user/")))
		return error_set(err, ERROR_INVALID, "CallerArn %.200s is not the ARN of a user.", arn);
	question->caller = (struct policy_caller){ .type = POLICY_CALLER_USER,
		.account = arn ? account_of_arn(call, arn) : call->account,
		.arn = arn ? arn : arena_printf(call->arena, "arn:aws:iam::%s:user/-", call->account),
		.id = is_caller && !question->caller_arn ? source->record->id : "" };
	if (is_caller && !question->caller_arn && source->kind == &iam_roles) {
		question->caller.type = POLICY_CALLER_ROLE_SESSION;
		question->caller.issuer_arn = arn;
		question->caller.arn = arena_printf(call->arena, "arn:aws:sts::%s:assumed-role/%s/simulation",
			call->account, *source->name);
	}
	return 0;
}

static int fill_resource_owner(struct question *question, struct error *err)
{
	struct call *call = question->simulation.call;
	const char *owner = question->resource_owner;
	if (!owner)
		return 0;
	question->resource_account = strlen(owner) == 12 ? owner : account_of_arn(call, owner);
	if (!question->resource_account)
		return error_set(err, ERROR_INVALID, "ResourceOwner %.200s names no account.", owner);
	return 0;
}

static int check_names(const struct question *question, struct error *err)
{
	for (size_t i = 0; i < question->actions->count; i++) {
		const char *action = question->actions->items[i], *colon = strchr(action, ':');
		if (!colon || colon == action || !colon[1] || strpbrk(action, "*? "))
			return error_set(err, ERROR_INVALID, "Invalid Entity Action Name: %.128s", action);
	}
	for (size_t i = 0; i < question->resources->count; i++) {
		const char *resource = question->resources->items[i];
		if (strcmp(resource, "*") != 0 && !text_starts_with(resource, "arn:"))
			return error_set(err, ERROR_INVALID, "Invalid Entity Arn: %.200s", resource);
	}
	return 0;
}

static int prepare(struct question *question, struct error *err)
{
	struct simulation *simulation = &question->simulation;
	if (check_names(question, err) || fill_caller(question, err) || fill_resource_owner(question, err))
		return -1;
	fill_context(question);
	if (!question->resource_policy)
		return 0;
	return simulation_add(simulation, &simulation->resource, POLICY_RESOURCE, question->resource_policy,
		"ResourcePolicy", "resource", err);
}

static const char *decision_name(enum policy_decision decision)
{
	return decision == POLICY_ALLOWED          ? "allowed"
		: decision == POLICY_EXPLICIT_DENY ? "explicitDeny"
						   : "implicitDeny";
}

static const struct simulated_policy *find_policy(const struct simulated_list *list, const char *id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].id == id) /* the text itself: two policies may be called the same */
			return &list->items[i];
	return NULL;
}

/* What the statement belongs to, if it decides: Allows of the boundary and of the organization only let through what others allow. */
static const struct simulated_policy *source_of(
	const struct simulation *simulation, const struct policy_match *match, enum policy_decision decision)
{
	switch (match->source) {
	case POLICY_SOURCE_IDENTITY:
		return find_policy(&simulation->identity, match->policy);
	case POLICY_SOURCE_RESOURCE:
		return find_policy(&simulation->resource, match->policy);
	case POLICY_SOURCE_BOUNDARY:
		return decision == POLICY_EXPLICIT_DENY ? find_policy(&simulation->boundary, match->policy)
							: NULL;
	default:
		return NULL;
	}
}

static struct iam_Position *show_position(struct call *call, struct policy_position position)
{
	struct iam_Position *shown = arena_alloc(call->arena, sizeof *shown);
	*shown = (struct iam_Position){ some_integer(position.line), some_integer(position.column) };
	return shown;
}

static struct iam_StatementListType show_matches(
	const struct question *question, const struct policy_result *decided)
{
	struct call *call = question->simulation.call;
	struct iam_StatementListType shown = { .set = true };
	for (size_t i = 0; i < decided->match_count && decided->decision != POLICY_IMPLICIT_DENY; i++) {
		const struct policy_match *match = &decided->matches[i];
		const struct simulated_policy *policy =
			source_of(&question->simulation, match, decided->decision);
		struct policy_position start, end;
		if (!policy || policy_locate_statement(policy->policy, match->statement, &start, &end))
			continue;
		*ARENA_APPEND(call->arena, shown.items, shown.count) =
			(struct iam_Statement){ .source_policy_id = policy->id,
				.source_policy_type = policy->type,
				.start_position = show_position(call, start),
				.end_position = show_position(call, end) };
	}
	return shown;
}

/* Whether the organization lets it through, to somebody who may do everything in the account. */
static struct iam_OrganizationsDecisionDetail *judge_organization(
	struct question *question, const struct policy_request *request)
{
	struct simulation *simulation = &question->simulation;
	if (!simulation->organization_count)
		return NULL;
	struct policy_set set = { .organization = simulation->organization,
		.organization_count = simulation->organization_count };
	struct policy_request asked = *request;
	struct policy_result result;
	asked.caller.type = POLICY_CALLER_ROOT;
	asked.resource_account = NULL;
	policy_evaluate(&set, &asked, NULL, &result);
	struct iam_OrganizationsDecisionDetail *detail = arena_alloc(simulation->call->arena, sizeof *detail);
	detail->allowed_by_organizations = some_boolean(result.decision == POLICY_ALLOWED);
	return detail;
}

static struct iam_PermissionsBoundaryDecisionDetail *judge_boundary(
	struct question *question, const struct policy_request *request)
{
	struct call *call = question->simulation.call;
	if (!question->simulation.has_boundary)
		return NULL;
	struct policy_set set = { .identity = simulation_named(call, &question->simulation.boundary) };
	struct policy_result result;
	policy_evaluate(&set, request, NULL, &result);
	struct iam_PermissionsBoundaryDecisionDetail *detail = arena_alloc(call->arena, sizeof *detail);
	detail->allowed_by_permissions_boundary = some_boolean(result.decision == POLICY_ALLOWED);
	return detail;
}

static struct iam_EvaluationResult evaluate(
	struct question *question, const char *action, const char *resource)
{
	struct simulation *simulation = &question->simulation;
	struct call *call = simulation->call;
	const struct policy_set set = { .identity = simulation_named(call, &simulation->identity),
		.resource = simulation_named(call, &simulation->resource),
		.has_boundary = simulation->has_boundary,
		.boundary = simulation_named(call, &simulation->boundary),
		.organization = simulation->organization,
		.organization_count = simulation->organization_count };
	const struct policy_request request = { .action = action,
		.resource = resource,
		.resource_account = question->resource_account,
		.caller = question->caller,
		.context = question->context,
		.context_count = question->context_count };
	struct policy_result decided;
	policy_evaluate(&set, &request, call->arena, &decided);
	struct iam_EvaluationResult shown = { .eval_action_name = action,
		.eval_resource_name = resource,
		.eval_decision = decision_name(decided.decision),
		.matched_statements = show_matches(question, &decided),
		.missing_context_values = { decided.missing_keys, decided.missing_count, true },
		.organizations_decision_detail = judge_organization(question, &request),
		.permissions_boundary_decision_detail = judge_boundary(question, &request) };
	if (question->resources->count)
		*ARENA_APPEND(call->arena, shown.resource_specific_results.items,
			shown.resource_specific_results.count) =
			(struct iam_ResourceSpecificResult){ .eval_resource_name = resource,
				.eval_resource_decision = shown.eval_decision,
				.matched_statements = shown.matched_statements,
				.missing_context_values = shown.missing_context_values,
				.permissions_boundary_decision_detail =
					shown.permissions_boundary_decision_detail };
	shown.resource_specific_results.set = shown.resource_specific_results.count > 0;
	return shown;
}

static int answer(struct question *question, struct iam_SimulatePolicyResponse *result, struct error *err)
{
	struct call *call = question->simulation.call;
	size_t resources = question->resources->count ? question->resources->count : 1;
	struct page page;
	bool full = false;
	if (iam_page_open(call, question->max_items, question->marker, &page, err) || prepare(question, err))
		return -1;
	result->evaluation_results.set = true;
	for (size_t i = 0; i < question->actions->count * resources && !full; i++) {
		const char *resource =
			question->resources->count ? question->resources->items[i % resources] : "*";
		if (iam_page_take(&page, arena_printf(call->arena, "%012zu", i), &full))
			*ARENA_APPEND(call->arena, result->evaluation_results.items,
				result->evaluation_results.count) =
				evaluate(question, question->actions->items[i / resources], resource);
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

/* The requests' members are called the same. */
#define QUESTION_OF(request) \
	{ \
		.simulation = { .call = call }, .actions = &(request)->action_names, \
		.resources = &(request)->resource_arns, .resource_policy = (request)->resource_policy, \
		.resource_owner = (request)->resource_owner, .caller_arn = (request)->caller_arn, \
		.context_entries = &(request)->context_entries, .max_items = (request)->max_items, \
		.marker = (request)->marker \
	}

/* A boundary of the request stands in for the principal's own. */
static int add_boundaries(struct simulation *simulation, const struct iam_SimulationPolicyListType *documents,
	struct error *err)
{
	if (!documents->count)
		return 0;
	if (documents->count > 1)
		return error_set(err, ERROR_INVALID, "There can be only one permissions boundary.");
	simulation->has_boundary = true;
	simulation->boundary = (struct simulated_list){ 0 };
	return simulation_add_input(
		simulation, &simulation->boundary, documents, "PermissionsBoundaryPolicyInputList", err);
}

int iam_simulate_custom_policy(struct call *call, const struct iam_SimulateCustomPolicyRequest *request,
	struct iam_SimulatePolicyResponse *result, struct error *err)
{
	struct question question = QUESTION_OF(request);
	struct simulation *simulation = &question.simulation;
	if (simulation_add_input(
		    simulation, &simulation->identity, &request->policy_input_list, "PolicyInputList", err) ||
		add_boundaries(simulation, &request->permissions_boundary_policy_input_list, err))
		return -1;
	return answer(&question, result, err);
}

int iam_simulate_principal_policy(struct call *call, const struct iam_SimulatePrincipalPolicyRequest *request,
	struct iam_SimulatePolicyResponse *result, struct error *err)
{
	struct question question = QUESTION_OF(request);
	struct simulation *simulation = &question.simulation;
	if (simulation_add_principal(simulation, request->policy_source_arn, err) ||
		simulation_add_input(simulation, &simulation->identity, &request->policy_input_list,
			"PolicyInputList", err) ||
		add_boundaries(simulation, &request->permissions_boundary_policy_input_list, err) ||
		simulation_add_organization(simulation, err))
		return -1;
	return answer(&question, result, err);
}
