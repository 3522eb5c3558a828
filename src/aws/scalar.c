/* Scalars as text. */
#include "aws/scalar.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "shape/utf8.h"
#include "base/banned.h"

static const char *parse_integer(const char *text, struct shape_integer *integer)
{
	if (text_parse_int64(text, &integer->value) < 0)
		return "an integer";
	integer->set = true;
	return NULL;
}

static const char *parse_double(const char *text, struct shape_double *number)
{
	char *end;
	/* strtod alone would take white space, hexadecimal and "nan" */
	if (!*text || text[strspn(text, "+-.0123456789eE")])
		return "a number";
	number->value = strtod(text, &end);
	if (*end || !isfinite(number->value))
		return "a number";
	number->set = true;
	return NULL;
}

static const char *parse_boolean(const char *text, struct shape_boolean *boolean)
{
	if (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0)
		*boolean = some_boolean(true);
	else if (strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)
		*boolean = some_boolean(false);
	else
		return "true or false";
	return NULL;
}

static const char *parse_timestamp(const char *text, struct shape_timestamp *timestamp)
{
	struct shape_double seconds = { 0 };
	if (clock_parse_iso8601(text, &timestamp->ms) < 0) {
		if (parse_double(text, &seconds) || fabs(seconds.value) > 1e12)
			return "a timestamp";
		timestamp->ms = llround(seconds.value * 1000);
	}
	timestamp->set = true;
	return NULL;
}

const char *scalar_parse(struct arena *arena, const struct shape *shape, const char *text, void *field)
{
	struct shape_blob *blob = field;
	switch (shape->kind) {
	case SHAPE_STRING:
		if (!utf8_valid(text, strlen(text)))
			return "text in UTF-8";
		*(const char **)field = text;
		return NULL;
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		return parse_integer(text, field);
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return parse_double(text, field);
	case SHAPE_BOOLEAN:
		return parse_boolean(text, field);
	case SHAPE_TIMESTAMP:
		return parse_timestamp(text, field);
	case SHAPE_BLOB:
		blob->data = text_unbase64(arena, text, &blob->size);
		return blob->data ? NULL : "Base64";
	default:
		return "a plain value";
	}
}

/* The shortest form that reads back as the same number. */
static const char *format_double(struct arena *arena, double value)
{
	char *text = arena_printf(arena, "%.15g", value);
	return strtod(text, NULL) == value ? text : arena_printf(arena, "%.17g", value);
}

static const char *format_timestamp(struct arena *arena, const char *format, int64_t ms)
{
	if (strcmp(format, "unixTimestamp") == 0)
		return ms % 1000 ? format_double(arena, (double)ms / 1000)
				 : arena_printf(arena, "%" PRId64, ms / 1000);
	char *text = arena_alloc(arena, 40);
	if (strcmp(format, "rfc822") != 0)
		return clock_format_iso8601(ms, text);
	time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
	struct tm parts;
	gmtime_r(&seconds, &parts);
	strftime(text, 40, "%a, %d %b %Y %H:%M:%S GMT", &parts);
	return text;
}

const char *scalar_format(
	struct arena *arena, const struct shape *shape, const char *timestamp_format, const void *field)
{
	const struct shape_blob *blob = field;
	switch (shape->kind) {
	case SHAPE_STRING:
		return *(const char *const *)field;
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		return arena_printf(arena, "%" PRId64, ((const struct shape_integer *)field)->value);
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return format_double(arena, ((const struct shape_double *)field)->value);
	case SHAPE_BOOLEAN:
		return ((const struct shape_boolean *)field)->value ? "true" : "false";
	case SHAPE_TIMESTAMP:
		return format_timestamp(arena, timestamp_format, ((const struct shape_timestamp *)field)->ms);
	case SHAPE_BLOB:
		return text_base64(arena, blob->data, blob->size);
	default:
		return "";
	}
}
