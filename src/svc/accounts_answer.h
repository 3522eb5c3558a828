/* The accounts of this amid, for `amid account`: GET and POST /_amid/accounts, POST /_amid/accounts/key. */
#pragma once

#include <jansson.h>

#include "aws/call.h"
#include "aws/http.h"

/*
 * For the root of the operator's account (the one made at the first start) only: ERROR_ACCESS_DENIED.
 * GET: {"accounts":[{"id","name","email","alias","organization","created_ms","suspended","operator","root_keys":["AKIA..."]}]}, by id; what an account does not have is null.
 * POST {"name":"...","email":"...","organization":true}, all but the name optional: makes an account with a root key and default networks in all regions; with `organization`, in the operator's organization. Answers
 * {"id","name","access_key_id","secret_access_key"}: the secret is told this once. *result is the caller's reference.
 * ACCOUNTS_KEY_PATH: svc/root_keys.h.
 */
#define ACCOUNTS_KEY_PATH "/_amid/accounts/key"
int accounts_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err);
