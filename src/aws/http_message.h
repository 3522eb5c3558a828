/* An HTTP request and its answer as plain data: what the door receives from the HTTP library, signatures are checked over, and codecs read and write. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"

struct http_header {
	const char *name;
	const char *value;
};

struct http_request {
	const char *method; /* "GET", upper case */
	const char *path;   /* as received: still percent-encoded, begins with '/', ends before '?' */
	const char *
		query; /* as received: what is behind '?', still percent-encoded; "" when there is none, never NULL */
	const struct http_header *headers;
	size_t header_count;
	const void *body; /* the whole body, no longer chunked; NUL-terminated behind body_size; never NULL */
	size_t body_size;
};

/* The codecs fill status, content_type, extra headers and body; the door adds x-amzn-RequestId, Date and the like. Free with buffer_free(&response->body). */
struct http_response {
	int status;
	const char *content_type;    /* NULL: no body */
	struct http_header *headers; /* in the arena of the call */
	size_t header_count;
	struct buffer body;
};

/* The value of the first header of that name, whatever its case; NULL: none. */
const char *http_request_header(const struct http_request *request, const char *name);
/* The name is not copied. Control characters in the value become spaces, so that it cannot begin a header of its own. */
void http_response_add_header(
	struct http_response *response, struct arena *arena, const char *name, const char *value);

/*
 * Percent-decoding. `plus_is_space` as in forms. NULL if a % is not followed by two hexadecimal digits or a NUL byte comes out: decoded text is a C string without
 * surprises. The result lies in the arena.
 */
char *http_percent_decode(struct arena *arena, const char *text, size_t size, bool plus_is_space);

/* A decoded query string or form ("A=1&B=2"), in the order received. */
struct http_parameter {
	const char *name;
	const char *value;
};
struct http_parameters {
	struct http_parameter *items;
	size_t count;
};
enum { HTTP_PARAMETERS_MAX = 20000 };
/* Appends what text[0..size) holds. 0, or -1 if it is malformed, not UTF-8, or there are more than HTTP_PARAMETERS_MAX. */
int http_parse_parameters(
	struct arena *arena, const char *text, size_t size, struct http_parameters *parameters);
/* The value of the first parameter of that name; NULL: none. */
const char *http_parameter(const struct http_parameters *parameters, const char *name);
