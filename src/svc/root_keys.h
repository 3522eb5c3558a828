/* Access keys of the roots of accounts, for their operator: `amid account key`. */
#pragma once

#include <jansson.h>

#include "aws/call.h"
#include "aws/http.h"

/*
 * POST /_amid/accounts/key, of the operator, which the caller has checked. {"account":"111122223333"}: another key for that account's root, which has two at most; answers {"id","name","access_key_id","secret_access_key"}, the
 * secret this once. With "revoke":"AKIA...": that key of it is no more from the next call on; answers {"id","name","revoked"}. *result is the caller's reference.
 */
int root_keys_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err);
/* The ids of the keys of an account's root: an array, the caller's reference. */
int root_keys_list(struct call *call, const char *account, json_t **result, struct error *err);
