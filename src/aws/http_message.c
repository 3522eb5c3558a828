/* HTTP messages: header lookup, percent-decoding, forms. No state; safe from every thread. */
#include "aws/http_message.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "shape/utf8.h"
#include "base/banned.h"

const char *http_request_header(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (strcasecmp(request->headers[i].name, name) == 0)
			return request->headers[i].value;
	}
	return NULL;
}

void http_response_add_header(
	struct http_response *response, struct arena *arena, const char *name, const char *value)
{
	char *clean = arena_strdup(arena, value);
	for (char *c = clean; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	}
	struct http_header *header = ARENA_APPEND(arena, response->headers, response->header_count);
	*header = (struct http_header){ name, clean };
}

char *http_percent_decode(struct arena *arena, const char *text, size_t size, bool plus_is_space)
{
	char *out = arena_alloc(arena, size + 1);
	size_t used = 0;
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		if (c == '%') {
			char digits[3] = { i + 1 < size ? text[i + 1] : '\0',
				i + 2 < size ? text[i + 2] : '\0', '\0' };
			if (text_unhex(digits, &c, 1) < 0)
				return NULL;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (!c)
			return NULL;
		out[used++] = c;
	}
	return out;
}

static int parse_parameter(
	struct arena *arena, const char *text, size_t size, struct http_parameters *parameters)
{
	const char *equals = memchr(text, '=', size);
	size_t name_size = equals ? (size_t)(equals - text) : size;
	char *name = http_percent_decode(arena, text, name_size, true);
	char *value = equals ? http_percent_decode(arena, equals + 1, size - name_size - 1, true) : "";
	if (!name || !value || !utf8_valid(name, strlen(name)) || !utf8_valid(value, strlen(value)))
		return -1;
	if (parameters->count == HTTP_PARAMETERS_MAX)
		return -1;
	struct http_parameter *parameter = ARENA_APPEND(arena, parameters->items, parameters->count);
	*parameter = (struct http_parameter){ name, value };
	return 0;
}

int http_parse_parameters(
	struct arena *arena, const char *text, size_t size, struct http_parameters *parameters)
{
	const char *end = text + size;
	while (text < end) {
		const char *next = memchr(text, '&', (size_t)(end - text));
		size_t piece = next ? (size_t)(next - text) : (size_t)(end - text);
		if (piece && parse_parameter(arena, text, piece, parameters) < 0)
			return -1;
		text += piece + 1;
	}
	return 0;
}

const char *http_parameter(const struct http_parameters *parameters, const char *name)
{
	for (size_t i = 0; i < parameters->count; i++) {
		if (strcmp(parameters->items[i].name, name) == 0)
			return parameters->items[i].value;
	}
	return NULL;
}
