/*
 * The three questions: the door's (authorize_call), a handler's (authorize_check), and anybody's (authorize_evaluate). Each collects what governs the caller, reads the condition keys that those policies ask for, and has
 * src/policy decide. Nothing is remembered here between calls. Runs on the thread of the call.
 */
#include "svc/authorize/authorize.h"

#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "svc/accounts.h"
#include "svc/authorize/internal.h"
#include "base/banned.h"

static void make_caller(const struct principal *principal, struct policy_caller *caller)
{
	static const enum policy_caller_type types[] = { [PRINCIPAL_ROOT] = POLICY_CALLER_ROOT,
		[PRINCIPAL_USER] = POLICY_CALLER_USER,
		[PRINCIPAL_ROLE_SESSION] = POLICY_CALLER_ROLE_SESSION,
		[PRINCIPAL_FEDERATED_USER] = POLICY_CALLER_FEDERATED_USER,
		[PRINCIPAL_SERVICE] = POLICY_CALLER_SERVICE };
	/* whom a policy names by an id is meant with all sessions */
	bool issued =
		principal->type == PRINCIPAL_ROLE_SESSION || principal->type == PRINCIPAL_FEDERATED_USER;
	*caller = (struct policy_caller){
		.type = types[principal->type],
		.account = principal->account,
		.arn = principal->arn,
		.id = issued ? principal->issuer_id : principal->id,
		.issuer_arn = principal->issuer_arn,
		.service = principal->type == PRINCIPAL_SERVICE ? principal->id : NULL,
	};
}

static int decide(const struct asking *asking, const struct governing *governing, const char *action,
	const char *resource, struct policy_request *request, struct policy_result *result, struct error *err)
{
	struct policy_context_key *context;
	*request = (struct policy_request){
		.action = action,
		.resource = resource,
		.resource_account = asking->resource_account,
	};
	make_caller(asking->principal, &request->caller);
	if (keys_context(asking, &governing->keys, &context, &request->context_count, err))
		return -1;
	request->context = context;
	policy_evaluate(&governing->set, request, NULL, result);
	return 0;
}

/* A caller that --auth any has let in without knowing it. */
static bool passes_unknown(const struct call *call)
{
	return call->amid->config->auth_any && call->principal->type == PRINCIPAL_ROOT &&
		strcmp(call->account, ACCOUNT_ANY) == 0;
}

int targets_decide(struct target_list *list, const struct governing *governing, struct refusal *refusal,
	struct error *err)
{
	struct call *call = list->call;
	*refusal = (struct refusal){ 0 };
	for (size_t i = 0; i < list->count; i++) {
		refusal->asking = (struct asking){
			.amid = call->amid,
			.arena = call->arena,
			.principal = call->principal,
			.call = call,
			.list = list,
			.target = &list->items[i],
		};
		if (decide(&refusal->asking, governing, list->items[i].action, list->items[i].arn,
			    &refusal->request, &refusal->result, err))
			return -1;
		decision_note(call, &refusal->request, &refusal->result);
		if (refusal->result.decision != POLICY_ALLOWED)
			return 0;
	}
	refusal->asking.target = NULL;
	return 0;
}

int targets_find(struct call *call, const void *input, struct target_list *list, struct error *err)
{
	const char *operation = call->operation->shape->name;
	const struct table *table = table_of_service(call->service->name);
	const struct table_row *row = table ? table_find(table, operation) : NULL;
	if (!row)
		return error_set(err, ERROR_INTERNAL, "%s of %s is in no table of src/svc/authorize",
			operation, call->service->name);
	*list = (struct target_list){
		.call = call, .operation = call->operation, .service = table->prefix, .input = input
	};
	return targets_collect(list, row, err);
}

/*
 * What sessions of users cannot do, whatever their policies say ("Compare AWS STS credentials" in the IAM User Guide): with credentials of GetFederationToken nothing of IAM, and of STS only to ask who one is; with those of
 * GetSessionToken nothing of IAM unless with a second factor, and of STS AssumeRole besides. Otherwise credentials for an hour could make some that last.
 */
static int check_session(const struct call *call, struct error *err)
{
	const struct principal *caller = call->principal;
	const char *operation = call->operation->shape->name;
	bool federated = caller->type == PRINCIPAL_FEDERATED_USER;
	bool iam = strcmp(call->service->name, "iam") == 0, sts = strcmp(call->service->name, "sts") == 0;
	if (!(iam || sts) || !caller->temporary ||
		(!federated && caller->type != PRINCIPAL_USER && caller->type != PRINCIPAL_ROOT))
		return 0;
	if (iam ? !federated && caller->mfa
		: strcmp(operation, "GetCallerIdentity") == 0 ||
				(!federated && strcmp(operation, "AssumeRole") == 0))
		return 0;
	return error_set(
		err, ERROR_ACCESS_DENIED_QUERY, "Cannot call %s with session credentials", operation);
}

int authorize_call(struct call *call, const void *input, struct error *err)
{
	struct governing governing GOVERNING_SCOPED = { 0 };
	struct target_list list;
	if (passes_unknown(call)) {
		decision_note_unrestricted(call, "anybody");
		return 0;
	}
	if (check_session(call, err))
		return -1;
	if (governing_collect(call->amid, call->principal, call->arena, &governing, err))
		return -1;
	if (governing.unrestricted) {
		decision_note_unrestricted(call, "root");
		return 0;
	}
	struct refusal refusal;
	if (targets_find(call, input, &list, err) || targets_decide(&list, &governing, &refusal, err))
		return -1;
	return refusal.asking.target ? denial_set(&refusal.asking, &refusal.request, &refusal.result, err)
				     : 0;
}

int authorize_is_operator(struct call *call, bool *is_operator, struct error *err)
{
	struct account_record *account;
	*is_operator = call->amid->config->auth_any;
	if (*is_operator || call->principal->type != PRINCIPAL_ROOT)
		return 0;
	if (accounts_find_operator(call->amid, call->arena, &account, err))
		return -1;
	*is_operator = account && strcmp(account->record.id, call->account) == 0;
	return 0;
}

static void add_resource_policies(
	const struct authorize_request *asked, struct governing *governing, struct arena *arena)
{
	governing->set.resource = asked->resource_policies;
	governing->set.resource_decides_alone = asked->resource_decides_alone;
	governing->set.resource_reaches_out = asked->resource_reaches_out;
	governing_add_keys(governing, &asked->resource_policies, arena);
}

int authorize_check(struct call *call, const struct authorize_request *asked, struct error *err)
{
	struct governing governing GOVERNING_SCOPED = { 0 };
	struct asking asking = {
		.amid = call->amid,
		.arena = call->arena,
		.principal = call->principal,
		.call = call,
		.resource_account = asked->resource_account,
		.given = asked->context,
		.given_count = asked->context_count,
	};
	struct policy_request request;
	struct policy_result result;
	if (governing_collect(call->amid, call->principal, call->arena, &governing, err))
		return -1;
	add_resource_policies(asked, &governing, call->arena);
	if (decide(&asking, &governing, asked->action, asked->resource, &request, &result, err))
		return -1;
	decision_note(call, &request, &result);
	return result.decision == POLICY_ALLOWED ? 0 : denial_set(&asking, &request, &result, err);
}

int authorize_evaluate(struct amid *amid, const struct principal *principal, const struct call *call,
	const struct authorize_request *asked, struct arena *arena, struct policy_result *result,
	struct error *err)
{
	struct governing governing GOVERNING_SCOPED = { 0 };
	struct call connection;
	struct asking asking = {
		.amid = amid,
		.arena = arena,
		.principal = principal,
		.resource_account = asked->resource_account,
		.given = asked->context,
		.given_count = asked->context_count,
	};
	struct policy_request request;
	if (call) {
		connection = *call;
		asking.call = &connection;
	}
	if (governing_collect(amid, principal, arena, &governing, err))
		return -1;
	add_resource_policies(asked, &governing, arena);
	if (decide(&asking, &governing, asked->action, asked->resource, &request, result, err))
		return -1;
	/* what matched belongs to policies that are let go of now */
	result->match.policy = arena_strdup(arena, result->match.policy);
	result->match.sid = arena_strdup(arena, result->match.sid);
	return 0;
}
