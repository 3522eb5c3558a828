/* Why somebody may not launch an image here: `amid explain`, POST /_amid/explain. */
#pragma once

#include <jansson.h>

#include "aws/call.h"
#include "aws/http.h"

/*
 * Body: {"image":"ami-...","principal":"arn:...","region":"us-east-1","instance_type":"t3.nano"}; region and instance type may be left out: those of the request's signature, and any. The principal is a user, a role, a session of one, or an account's root.
 * *result (the caller's reference): {"image","principal","region","allowed":false,"gates":[{"gate":"launch permission","result":"failed","detail":"..."}],"mend":"launch permission"}: every gate in order, with passed, failed or
 * "not reached"; mend is the one that failed, null if none did.
 *
 * The question is asked as of now, from where the caller is. For the operator, and for those of the principal's account who may iam:SimulatePrincipalPolicy on it. Others' images that are not shared with that account are shown to the
 * operator only; to all others they are not there.
 */
int explain_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err);

struct ec2_RunInstancesRequest;

/* The gates of a launch that the caller was refused, as above: {"gates":[...],"mend":"IAM policies"}, for the encoded message. The caller's reference; NULL: there is no such image, or it could not be found out. */
json_t *explain_refused_launch(struct call *call, const struct ec2_RunInstancesRequest *request);
