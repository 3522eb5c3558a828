/* GetSessionToken, GetFederationToken: temporary credentials from long-term ones. Run on the thread of the call. */
#include "svc/sts/common.h"

#include "base/banned.h"

/* Those of the account's root last an hour at most. */
static int64_t seconds_of(const struct call *call, struct shape_integer asked)
{
	int64_t seconds = integer_or(asked, STS_TOKEN_SECONDS);
	if (call->principal->type == PRINCIPAL_ROOT && seconds > STS_HOUR)
		seconds = STS_HOUR;
	return seconds;
}

int sts_get_session_token(struct call *call, const struct sts_GetSessionTokenRequest *request,
	struct sts_GetSessionTokenResponse *result, struct error *err)
{
	if (sts_refuse_temporary(call, "GetSessionToken", err) ||
		sts_refuse_mfa(request->serial_number, request->token_code, err))
		return -1;
	return sts_give_credentials(call, call->principal, seconds_of(call, request->duration_seconds),
		&result->credentials, err);
}

int sts_get_federation_token(struct call *call, const struct sts_GetFederationTokenRequest *request,
	struct sts_GetFederationTokenResponse *result, struct error *err)
{
	const struct principal *caller = call->principal;
	struct principal session = {
		.type = PRINCIPAL_FEDERATED_USER,
		.account = caller->account,
		.arn = arena_printf(
			call->arena, "arn:aws:sts::%s:federated-user/%s", caller->account, request->name),
		.id = arena_printf(call->arena, "%s:%s", caller->account, request->name),
		.issuer_arn = caller->arn,
		.issuer_id = caller->id,
	};
	const struct sts_restrictions restrictions = {
		.policy = request->policy, .policy_arns = &request->policy_arns, .tags = &request->tags
	};
	if (sts_refuse_temporary(call, "GetFederationToken", err) ||
		sts_check_name("name", request->name, err) ||
		sts_restrict(call, &restrictions, &session, &result->packed_policy_size, err))
		return -1;
	result->federated_user = arena_alloc(call->arena, sizeof *result->federated_user);
	*result->federated_user =
		(struct sts_FederatedUser){ .federated_user_id = session.id, .arn = session.arn };
	return sts_give_credentials(
		call, &session, seconds_of(call, request->duration_seconds), &result->credentials, err);
}
