/* `amid explain launch`: who may ask, for whom, and the answer. The gates themselves are in gates.c. No state; runs on the thread of the call. */
#include "svc/authorize/explain.h"

#include <string.h>

#include "api/ec2.h"
#include "aws/codec.h"
#include "svc/authorize/explain_principal.h"
#include "svc/authorize/gates.h"
#include "svc/authorize/internal.h"
#include "svc/ec2/common.h"
#include "svc/sharing.h"
#include "base/text.h"
#include "base/banned.h"

static int check_asker(struct explanation *about, struct error *err)
{
	struct call *call = about->asked_by;
	const struct authorize_request asked = {
		.action = "iam:SimulatePrincipalPolicy",
		.resource =
			about->principal->issuer_arn ? about->principal->issuer_arn : about->principal->arn,
	};
	if (authorize_is_operator(call, &about->is_operator, err))
		return -1;
	if (about->is_operator)
		return 0;
	if (strcmp(about->principal->account, call->account) != 0)
		return error_set(err, ERROR_ACCESS_DENIED,
			"%.100s is of another account: only the operator may ask for it.", asked.resource);
	return authorize_check(call, &asked, err);
}

static int explain(struct explanation *about, json_t **result, struct error *err)
{
	const char *mend;
	if (check_asker(about, err))
		return -1;
	json_t *list = gates_pass(about, &mend, err);
	if (!list)
		return -1;
	*result = json_pack("{s:s, s:s, s:s, s:b, s:o, s:s?}", "image", about->image_id, "principal",
		about->principal->arn, "region", about->launch.region, "allowed", mend == NULL, "gates", list,
		"mend", mend);
	return 0;
}

/* What the launch would be: the principal's call, from where the question comes. */
static int prepare(struct explanation *about, const char *image, const char *arn, const char *region,
	const char *instance_type, struct error *err)
{
	struct call *call = about->asked_by;
	if (!image || !arn || ec2_check_id(image, "ami", ERROR_AMI_ID_MALFORMED, err))
		return image && arn
			? -1
			: error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				  "The body must be {\"image\":\"ami-...\",\"principal\":\"arn:...\"}.");
	if (region && !amid_find_region(call->amid, region))
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "The region %.64s is not served here.", region);
	if (explain_find_principal(call->amid, arn, call->arena, &about->principal, err))
		return -1;
	about->image_id = image;
	about->launch = *call;
	about->launch.account = about->principal->account;
	about->launch.principal = about->principal;
	about->launch.region = region ? region : call->region;
	about->launch.service = &ec2_service;
	about->launch.operation = codec_find_operation(&ec2_service, "RunInstances");
	struct sharing *view;
	if (sharing_open(call->amid, about->launch.account, about->launch.region, call->arena, &view, err))
		return -1;
	about->view = view;
	about->request = (struct ec2_RunInstancesRequest){ .image_id = image,
		.instance_type = instance_type,
		.min_count = some_integer(1),
		.max_count = some_integer(1) };
	return 0;
}

int explain_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err)
{
	struct explanation about = { .asked_by = call };
	json_error_t malformed;
	json_t *body = json_loadb(http->body, http->body_size, 0, &malformed);
	const char *texts[4], *const names[] = { "image", "principal", "region", "instance_type" };
	for (size_t i = 0; i < 4; i++)
		texts[i] = arena_strdup(call->arena, json_string_value(json_object_get(body, names[i])));
	json_decref(body);
	return prepare(&about, texts[0], texts[1], texts[2], texts[3], err) || explain(&about, result, err)
		? -1
		: 0;
}
