/* JSON of shapes: the bodies of records and of the rest-json protocol. Unknown members are ignored when `lenient`, refused otherwise. */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "shape/shape.h"

/* Appends the JSON of *value, which has the C form of `shape` (a structure). Absent members are left out. Timestamps: seconds since the epoch with milliseconds, blobs: Base64. Members that are not in the body (headers, URI) are left out. */
void json_encode(struct buffer *out, const struct shape *shape, const void *value);
/* Fills *value (zeroed, of the shape's C form) from a JSON object. ERROR_SERIALIZATION names the member at fault. Depth and size are limited. */
int json_decode(struct arena *arena, const struct shape *shape, const char *text, size_t size, bool lenient,
	void *value, struct error *err);
/* Appends a JSON string literal, quotes included. */
void json_encode_text(struct buffer *out, const char *text);
