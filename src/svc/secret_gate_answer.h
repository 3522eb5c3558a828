/* /_amid/secrets: an account's policy, and what was found in its images and snapshots. */
#pragma once

#include <jansson.h>

#include "aws/call.h"
#include "aws/http.h"

#define SECRET_GATE_PATH "/_amid/secrets"

/*
 * GET of the path: the policy. POST {"policy":..., "unreadable":...}, by the account's root: changes it. GET of the path and "/ID": the findings in an image or a snapshot of the caller's own, as far as they are known; POST:
 * it is scanned first, if it has not been, and waited for. *answer is the caller's to json_decref.
 */
int secret_gate_answer(
	struct call *call, const struct http_request *http, json_t **answer, struct error *err);
