/* STS: who is calling, whose a key is, what a denial said. The door has found out the caller; this hands it on. Runs on the thread of the call. */
#include "api/records.h"
#include "api/sts.h"
#include "aws/call.h"
#include "svc/authorize/message.h"
#include "svc/session.h"
#include "base/banned.h"

int sts_get_caller_identity(struct call *call, const struct sts_GetCallerIdentityRequest *request,
	struct sts_GetCallerIdentityResponse *result, struct error *err)
{
	(void)request;
	(void)err;
	result->user_id = call->principal->id;
	result->account = call->account;
	result->arn = call->principal->arn;
	return 0;
}

/* Temporary keys name their account themselves. */
int sts_get_access_key_info(struct call *call, const struct sts_GetAccessKeyInfoRequest *request,
	struct sts_GetAccessKeyInfoResponse *result, struct error *err)
{
	struct access_key_record *key;
	char account[13];
	if (session_account_of_key(request->access_key_id, account)) {
		result->account = arena_strdup(call->arena, account);
		return 0;
	}
	if (meta_get_any(call->amid->meta, &record_access_key, NULL, request->access_key_id, call->arena,
		    &key, err))
		return -1;
	if (!key)
		return error_set(err, ERROR_VALIDATION_QUERY, "Invalid type for accessKeyId: %.128s",
			request->access_key_id);
	result->account = key->record.account;
	return 0;
}

int sts_decode_authorization_message(struct call *call,
	const struct sts_DecodeAuthorizationMessageRequest *request,
	struct sts_DecodeAuthorizationMessageResponse *result, struct error *err)
{
	result->decoded_message =
		authorize_message_open(call->amid, call->account, request->encoded_message, call->arena);
	if (!result->decoded_message)
		return error_set(err, ERROR_INVALID_AUTHORIZATION_MESSAGE,
			"Failed to decode the message: it was not made here for account %s, or it was altered.",
			call->account);
	return 0;
}
