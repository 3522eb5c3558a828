/* Any bytes as an EBS request: a line with method and target, header lines, an empty line, the body. */
#include <stdlib.h>
#include <string.h>

#include "api/ebs.h"
#include "aws/codec.h"
#include "base/text.h"
#include "shape/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts `text` at the first `separator` and gives what is behind it; "" if there is none. */
static char *cut(char *text, const char *separator)
{
	char *end = strstr(text, separator);
	if (!end)
		return text + strlen(text);
	*end = '\0';
	return end + strlen(separator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct http_header *headers = NULL;
	struct http_request http = { 0 };
	struct codec_request request;
	struct error err = { 0 };
	void *input;
	char *text = arena_strndup(arena, (const char *)data, size);
	char *body = cut(text, "\n\n"), *lines = cut(text, "\n"), *target = cut(text, " ");
	http.method = text;
	http.query = cut(target, "?");
	http.path = target;
	http.body = body;
	http.body_size = size - (size_t)(body - text);
	while (*lines) {
		char *next = cut(lines, "\n"), *value = cut(lines, ": ");
		*ARENA_APPEND(arena, headers, http.header_count) = (struct http_header){ lines, value };
		lines = next;
	}
	http.headers = headers;
	const struct codec *codec = codec_of(PROTOCOL_REST_JSON);
	if (codec->route(&ebs_service, &http, arena, &request, &err) == 0 &&
		codec->decode(&request, &input, &err) == 0)
		return 0;
	struct http_response response = { 0 };
	codec->encode_error(&ebs_service, &err, "id", arena, &response);
	if (response.status < 400 || !utf8_valid(response.body.data, response.body.size))
		abort();
	buffer_free(&response.body);
	return 0;
}
