/* Answers of any content (read from JSON): the XML is UTF-8 that XML 1.0 can hold, and its elements nest. */
#include <stdlib.h>
#include <string.h>

#include "api/ec2.h"
#include "aws/codec.h"
#include "shape/json.h"
#include "shape/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_characters(const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		uint32_t code;
		size_t length = utf8_character(text + at, size - at, &code);
		if (!length || (code < 0x20 && code != '\n' && code != '\t') || code == 0xfffe ||
			code == 0xffff)
			abort();
		at += length;
	}
}

/* Every tag but the declaration opens or closes an element; depth is all that is followed. */
static void check_nesting(const char *text)
{
	long depth = 0;
	text = strstr(text, "?>") + 2;
	while ((text = strchr(text, '<'))) {
		depth += text[1] == '/' ? -1 : 1;
		text = strchr(text, '>');
		if (!text || depth < 0)
			abort();
	}
	if (depth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const struct operation *operation = codec_find_operation(&ec2_service, "DescribeInstances");
	const struct codec_request request = {
		.service = &ec2_service, .operation = operation, .arena = arena
	};
	struct ec2_DescribeInstancesResult result = { 0 };
	struct http_response response = { 0 };
	struct error err;
	if (json_decode(arena, operation->shape->output, (const char *)data, size, true, &result, &err) < 0)
		return 0;
	codec_of(PROTOCOL_EC2)->encode(&request, &result, "id", &response);
	check_characters(response.body.data, response.body.size);
	check_nesting(response.body.data);
	buffer_free(&response.body);
	return 0;
}
