/* Any bytes as the form of an EC2 request: what is decoded passed all checks, has a JSON form, and its errors have an XML form. */
#include <stdlib.h>
#include <string.h>

#include "api/ec2.h"
#include "aws/codec.h"
#include "shape/json.h"
#include "shape/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_error(struct arena *arena, const struct error *err)
{
	struct http_response response = { 0 };
	codec_of(PROTOCOL_EC2)->encode_error(&ec2_service, err, "id", arena, &response);
	if (response.status < 400 || !utf8_valid(response.body.data, response.body.size))
		abort();
	buffer_free(&response.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct codec_request request;
	struct buffer json BUFFER_SCOPED = { 0 };
	struct error err = { 0 };
	void *input, *again;
	char *form = arena_strndup(arena, (const char *)data, size);
	const struct http_request http = {
		.method = "POST", .path = "/", .query = "", .body = form, .body_size = size
	};
	const struct codec *codec = codec_of(PROTOCOL_EC2);
	if (codec->route(&ec2_service, &http, arena, &request, &err) < 0 ||
		codec->decode(&request, &input, &err) < 0) {
		answer_error(arena, &err);
		return 0;
	}
	const struct shape *shape = request.operation->shape->input;
	json_encode(&json, shape, input);
	again = arena_alloc(arena, shape->size);
	if (json_decode(arena, shape, json.data, json.size, false, again, &err) < 0)
		abort();
	return 0;
}
