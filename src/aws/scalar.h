/* Scalars as text: the values of query parameters, headers, URI labels and XML elements. No state; safe from every thread. */
#pragma once

#include "base/arena.h"
#include "shape/shape.h"

/*
 * Reads `text` into a field of that (scalar) shape. NULL on success; else what was expected: "an integer". Strings are not copied: they point to `text`.
 * Timestamps: ISO 8601, or seconds since the epoch.
 */
const char *scalar_parse(struct arena *arena, const struct shape *shape, const char *text, void *field);
/* The text of a field that is not absent, of a (scalar) shape. Timestamps as `timestamp_format` ("iso8601", "rfc822", "unixTimestamp"). */
const char *scalar_format(
	struct arena *arena, const struct shape *shape, const char *timestamp_format, const void *field);
