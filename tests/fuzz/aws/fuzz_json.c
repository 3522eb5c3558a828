/* Any bytes as a KMS request: the target's line, then the body. */
#include <stdlib.h>
#include <string.h>

#include "api/kms.h"
#include "aws/codec.h"
#include "shape/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct codec_request request;
	struct error err = { 0 };
	void *input;
	char *target = arena_strndup(arena, (const char *)data, size);
	size_t line = strcspn(target, "\n");
	const struct http_header header = { "X-Amz-Target", target };
	struct http_request http = { .method = "POST",
		.path = "/",
		.query = "",
		.headers = &header,
		.header_count = 1,
		.body = target + line };
	if (line < size && target[line] == '\n') {
		target[line] = '\0';
		http.body = target + line + 1;
		http.body_size = size - line - 1;
	}
	const struct codec *codec = codec_of(PROTOCOL_JSON);
	if (codec->route(&kms_service, &http, arena, &request, &err) == 0 &&
		codec->decode(&request, &input, &err) == 0)
		return 0;
	struct http_response response = { 0 };
	codec->encode_error(&kms_service, &err, "id", arena, &response);
	if (response.status < 400 || !utf8_valid(response.body.data, response.body.size))
		abort();
	buffer_free(&response.body);
	return 0;
}
