/* STS: who is calling. The door has found it out; this hands it on. Runs on the thread of the call. */
#include "api/sts.h"
#include "aws/call.h"
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
