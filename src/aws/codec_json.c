/*
 * The json protocol (x-amz-json-1.0 and 1.1): everything is a POST to "/", the header X-Amz-Target names the operation behind the service's prefix ("TrentService.Decrypt"), the body is a JSON object both
 * ways. Unknown members are ignored, as AWS does. Errors of the client are 400, but for a body too large (413) and a dry run (412). No state; safe from every thread.
 */
#include <string.h>

#include "aws/check.h"
#include "aws/codec_internal.h"
#include "shape/json.h"
#include "base/banned.h"

bool codec_json_is_target(const struct service *service, const struct http_request *http)
{
	const char *target = http_request_header(http, "X-Amz-Target");
	size_t size = service->target ? strlen(service->target) : 0;
	return size && target && strncmp(target, service->target, size) == 0 && target[size] == '.';
}

static int route(const struct service *service, const struct http_request *http, struct arena *arena,
	struct codec_request *request, struct error *err)
{
	*request = (struct codec_request){ .service = service, .http = http, .arena = arena };
	const char *target = http_request_header(http, "X-Amz-Target");
	if (!target)
		return error_set(err, ERROR_UNKNOWN_OPERATION, "The request has no header X-Amz-Target.");
	if (strcmp(http->method, "POST") != 0 || !codec_json_is_target(service, http))
		return error_set(err, ERROR_UNKNOWN_OPERATION, "There is no operation %.100s here.", target);
	const char *name = target + strlen(service->target) + 1;
	request->operation = codec_find_operation(service, name);
	if (request->operation)
		return 0;
	return error_set(err, ERROR_UNKNOWN_OPERATION,
		codec_is_unimplemented(service, name) ? "The operation %.100s is not implemented."
						      : "There is no operation %.100s.",
		name);
}

static int decode(const struct codec_request *request, void **input, struct error *err)
{
	const struct shape *shape = request->operation->shape->input;
	const struct http_request *http = request->http;
	*input = arena_alloc(request->arena, shape->size);
	if (http->body_size &&
		json_decode(request->arena, shape, http->body, http->body_size, true, *input, err) < 0)
		return -1;
	return check_input(PROTOCOL_JSON, shape, *input, err);
}

static const char *content_type(const struct service *service)
{
	return service->json_version && strcmp(service->json_version, "1.0") == 0
		? "application/x-amz-json-1.0"
		: "application/x-amz-json-1.1";
}

static void encode(const struct codec_request *request, const void *output, const char *request_id,
	struct http_response *response)
{
	const struct shape *shape = request->operation->shape->output;
	response->status = 200;
	response->content_type = content_type(request->service);
	if (shape->member_count) /* an operation that answers nothing has an empty body */
		json_encode(&response->body, shape, output);
}

static void encode_error(const struct service *service, const struct error *err, const char *request_id,
	struct arena *arena, struct http_response *response)
{
	int status = error_http_status(err->code);
	bool of_client = status >= 400 && status < 412;
	response->status = of_client ? 400 : status;
	response->content_type = content_type(service);
	http_response_add_header(response, arena, "x-amzn-ErrorType", error_aws_code(err->code));
	buffer_append_text(&response->body, "{\"__type\":");
	json_encode_text(&response->body, error_aws_code(err->code));
	buffer_append_text(&response->body, ",\"message\":");
	json_encode_text(&response->body, err->message);
	/* that of ValidationException is another protocol's */
	if (error_reason(err->code) && err->code != ERROR_VALIDATION) {
		buffer_append_text(&response->body, ",\"Reason\":");
		json_encode_text(&response->body, error_reason(err->code));
	}
	buffer_append_char(&response->body, '}');
}

const struct codec codec_json = {
	.route = route, .decode = decode, .encode = encode, .encode_error = encode_error
};
