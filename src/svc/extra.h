/*
 * What amid answers below /_amid/, beside the AWS APIs:
 *	GET  /_amid/health   {"status":"ok"}: for everybody
 *	GET  /_amid/status   regions with the bytes and objects of their stores, and what runs
 *	POST /_amid/reset    forgets everything of the caller's account; only with --auth any
 */
#pragma once

#include "aws/door.h"

/* door_extra; `context` is the struct amid. */
int extra_answer(void *context, struct call *call, const struct http_request *http, struct http_response *response, struct error *err);
