/*
 * Codecs: one driver per AWS protocol. Each walks the shape tables, so none knows any operation.
 *
 *	const struct codec *codec = codec_of(service->protocol);
 *	struct codec_request request;
 *	codec->route(service, http, arena, &request, err)      which operation is asked for
 *	codec->decode(&request, &input, err)                   the request's C struct, all parameter checks made
 *	... authorize, DryRun, run the handler with a zeroed output of operation->shape->output->size ...
 *	codec->encode(&request, output, request_id, &response)
 * or, at any step, codec->encode_error(service, err, request_id, arena, &response)
 *
 * Functions hold no state and are safe from every thread. Whatever they return lies in the arena, or points into `http`, which must outlive it.
 */
#pragma once

#include <stdbool.h>

#include "aws/call.h"
#include "aws/http_message.h"
#include "base/arena.h"
#include "base/error.h"

/* A request on its way to its C struct. */
struct codec_request {
	const struct service *service;
	const struct operation *operation;
	const struct http_request *http;
	struct arena *arena;
	struct http_parameters parameters; /* ec2, query: query string and form; rest-json: query string */
	const char **labels; /* rest-json: values of the {labels} of the URI, in order, decoded */
	size_t label_count;
};

struct codec {
	/*
	 * Finds the operation. Errors: ERROR_MALFORMED_QUERY; ERROR_INVALID_ACTION (no such operation), ERROR_UNSUPPORTED_OPERATION (AWS has it, amid does not); rest-json and json
	 * ERROR_UNKNOWN_OPERATION for both.
	 */
	int (*route)(const struct service *service, const struct http_request *http, struct arena *arena,
		struct codec_request *request, struct error *err);
	/*
	 * Makes the input struct (*input, never NULL on success) and checks every parameter by the tables: see check.h. ec2: empty parameters count as absent, unknown ones are
	 * refused.
	 */
	int (*decode)(const struct codec_request *request, void **input, struct error *err);
	/* Writes the answer of a success. *response is zeroed. Cannot fail: a member that is absent is left out. */
	void (*encode)(const struct codec_request *request, const void *output, const char *request_id,
		struct http_response *response);
	/* Writes the answer of a failure: status, code and message of *err in the protocol's form. *response is zeroed. */
	void (*encode_error)(const struct service *service, const struct error *err, const char *request_id,
		struct arena *arena, struct http_response *response);
};

/* The driver of a protocol; static storage. */
const struct codec *codec_of(enum protocol protocol);
/* By exact name among the operations of a service; NULL: not implemented. */
const struct operation *codec_find_operation(const struct service *service, const char *name);
/* Whether AWS has an operation of that name in this service and amid does not. */
bool codec_is_unimplemented(const struct service *service, const char *name);
/* Whether the request's X-Amz-Target is of this service, which speaks json. */
bool codec_json_is_target(const struct service *service, const struct http_request *http);
/* Whether the operation has a DryRun parameter and it is true in this (decoded) input. */
bool codec_wants_dry_run(const struct operation *operation, const void *input);
