/* What images and snapshots take in the store: POST /_amid/du, for `amid du`. */
#pragma once

#include <jansson.h>

#include "aws/call.h"
#include "aws/http.h"

/*
 * Body: {"ids":["ami-...","snap-..."]}, or without ids (or empty): all images and snapshots of the caller's account in the region of its signature. *result (the caller's reference) is {"resources":[{...}]}, each with
 * id, name, full_bytes, alone_bytes, shared_bytes, added_bytes; those that are not known are null: all while the store counts its references, added without a parent.
 */
int du_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err);
