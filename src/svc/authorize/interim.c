/*
 * authorize_check by the resource's own policy alone, until the caller's policies are collected here: stricter than IAM, since what a resource's policy hands over to an account stays denied. Runs on the thread of the call.
 */
#include "svc/authorize/authorize.h"

#include "base/banned.h"

static struct policy_caller caller_of(const struct principal *principal)
{
	static const enum policy_caller_type types[] = {
		[PRINCIPAL_ROOT] = POLICY_CALLER_ROOT,
		[PRINCIPAL_USER] = POLICY_CALLER_USER,
		[PRINCIPAL_ROLE_SESSION] = POLICY_CALLER_ROLE_SESSION,
		[PRINCIPAL_FEDERATED_USER] = POLICY_CALLER_FEDERATED_USER,
		[PRINCIPAL_SERVICE] = POLICY_CALLER_SERVICE,
	};
	bool role = principal->type == PRINCIPAL_ROLE_SESSION;
	return (struct policy_caller){ .type = types[principal->type],
		.account = principal->account,
		.arn = principal->arn,
		.id = role ? principal->issuer_id : principal->id,
		.issuer_arn = principal->issuer_arn };
}

int authorize_check(struct call *call, const struct authorize_request *request, struct error *err)
{
	const struct policy_set set = { .resource = request->resource_policies,
		.resource_decides_alone = request->resource_decides_alone };
	const struct policy_request asked = { .action = request->action,
		.resource = request->resource,
		.resource_account = request->resource_account,
		.caller = caller_of(call->principal),
		.context = request->context,
		.context_count = request->context_count };
	struct policy_result result;
	policy_evaluate(&set, &asked, NULL, &result);
	if (result.decision == POLICY_ALLOWED)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED_QUERY,
		"User: %.150s is not authorized to perform: %s on resource: %.150s", call->principal->arn,
		request->action, request->resource);
}
