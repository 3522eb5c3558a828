/* Makes a struct http_request of text as it would come over the wire, for tests and fuzzing: lines end with \n, an empty one before the body. */
#pragma once

#include <string.h>

#include "aws/http_message.h"
#include "base/text.h"

/* -1: not of that form. Everything lies in the arena. */
static inline int raw_request(
	struct arena *arena, const char *text, size_t size, struct http_request *request)
{
	char *line = arena_strndup(arena, text, size), *end = line + size;
	char *body = strstr(line, "\n\n");
	struct http_header *headers = NULL;
	*request = (struct http_request){ .query = "", .body = body ? body + 2 : "" };
	request->body_size = body ? (size_t)(end - (body + 2)) : 0;
	if (body)
		body[1] = '\0';
	for (char *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		char *separator = strchr(line, request->method ? ':' : ' ');
		if (!separator)
			return -1;
		*separator++ = '\0';
		if (request->method) {
			separator += strspn(separator, " ");
			*ARENA_APPEND(arena, headers, request->header_count) =
				(struct http_header){ line, separator };
			continue;
		}
		request->method = line;
		request->path = separator;
		separator = strchr(separator, '?');
		if (separator) {
			*separator = '\0';
			request->query = separator + 1;
		}
	}
	request->headers = headers;
	return request->method && request->path[0] == '/' ? 0 : -1;
}
