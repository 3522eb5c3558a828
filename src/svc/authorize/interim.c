/* TEMPORARY. */
#include "svc/authorize/authorize.h"

#include <string.h>
#include "base/banned.h"

static void caller_of(const struct principal *p, struct policy_caller *c)
{
	static const enum policy_caller_type types[] = { [PRINCIPAL_ROOT] = POLICY_CALLER_ROOT,
		[PRINCIPAL_USER] = POLICY_CALLER_USER,
		[PRINCIPAL_ROLE_SESSION] = POLICY_CALLER_ROLE_SESSION,
		[PRINCIPAL_FEDERATED_USER] = POLICY_CALLER_FEDERATED_USER };
	*c = (struct policy_caller){ .type = types[p->type], .account = p->account, .arn = p->arn, .id = p->id, .issuer_arn = p->issuer_arn };
}

int authorize_evaluate(struct amid *amid, const struct principal *principal, const struct call *call,
	const struct authorize_request *request, struct arena *arena, struct policy_result *result,
	struct error *err)
{
	struct policy_set set = { .resource = request->resource_policies, .resource_decides_alone = request->resource_decides_alone };
	struct policy_request asked = { .action = request->action, .resource = request->resource, .resource_account = request->resource_account, .context = request->context, .context_count = request->context_count };
	(void)amid; (void)call; (void)err;
	caller_of(principal, &asked.caller);
	policy_evaluate(&set, &asked, arena, result);
	return 0;
}

int authorize_check(struct call *call, const struct authorize_request *request, struct error *err)
{
	struct policy_result result;
	authorize_evaluate(call->amid, call->principal, call, request, call->arena, &result, err);
	if (result.decision == POLICY_ALLOWED)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED, "User: %s is not authorized to perform: %s on resource: %s", call->principal->arn, request->action, request->resource);
}
