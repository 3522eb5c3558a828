/*
 * Writing JSON: one walk over the struct by its shape, straight into the buffer. What is written is always valid JSON in valid UTF-8: bytes that are none become U+FFFD.
 * No state; safe from every thread.
 */
#include "shape/json.h"

#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <string.h>

#include "shape/utf8.h"
#include "shape/value.h"
#include "base/banned.h"

static void write_escaped(struct buffer *out, unsigned char c)
{
	static const char short_forms[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	if (c == '"' || c == '\\')
		buffer_printf(out, "\\%c", c);
	else if (c < sizeof short_forms && short_forms[c])
		buffer_printf(out, "\\%c", short_forms[c]);
	else
		buffer_printf(out, "\\u%04x", c);
}

void json_encode_text(struct buffer *out, const char *text)
{
	size_t size = strlen(text), plain = 0, at = 0;
	buffer_append_char(out, '"');
	while (at < size) {
		unsigned char c = (unsigned char)text[at];
		size_t length = utf8_character(text + at, size - at, NULL);
		if (length && c >= 0x20 && c != '"' && c != '\\') {
			at += length;
			continue;
		}
		buffer_append(out, text + plain, at - plain);
		if (length)
			write_escaped(out, c);
		else
			buffer_append_text(out, "\xef\xbf\xbd");
		plain = ++at;
	}
	buffer_append(out, text + plain, at - plain);
	buffer_append_char(out, '"');
}

static void write_blob(struct buffer *out, const struct shape_blob *blob)
{
	/* in pieces of a multiple of three bytes, so that only the last one is padded */
	enum { PIECE = 3072 };
	char text[PIECE / 3 * 4 + 1];
	buffer_append_char(out, '"');
	for (size_t at = 0; at < blob->size; at += PIECE) {
		size_t size = blob->size - at < PIECE ? blob->size - at : PIECE;
		int length = EVP_EncodeBlock((unsigned char *)text, blob->data + at, (int)size);
		buffer_append(out, text, (size_t)length);
	}
	buffer_append_char(out, '"');
}

static void write_timestamp(struct buffer *out, int64_t ms)
{
	int64_t seconds = ms / 1000, rest = ms % 1000;
	const char *sign = ms < 0 ? "-" : "";
	buffer_printf(out, "%s%" PRIu64, sign, (uint64_t)(seconds < 0 ? -seconds : seconds));
	if (rest)
		buffer_printf(out, ".%03d", (int)(rest < 0 ? -rest : rest));
}

static void write_double(struct buffer *out, double value)
{
	if (isfinite(value))
		buffer_printf(out, "%.17g", value);
	else
		buffer_append_text(out, "null"); /* JSON has no word for it */
}

static void write_structure(struct buffer *out, const struct shape *shape, const void *value);

static void write_list(struct buffer *out, const struct shape *shape, const struct shape_list *list);
static void write_map(struct buffer *out, const struct shape *shape, const struct shape_list *map);

/* `value` is a field: of a structure, or the value of a map's entry. It is not absent. */
static void write_value(struct buffer *out, const struct shape *shape, const void *value)
{
	switch (shape->kind) {
	case SHAPE_STRING:
		json_encode_text(out, *(const char *const *)value);
		break;
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		buffer_printf(out, "%" PRId64, ((const struct shape_integer *)value)->value);
		break;
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		write_double(out, ((const struct shape_double *)value)->value);
		break;
	case SHAPE_BOOLEAN:
		buffer_append_text(out, ((const struct shape_boolean *)value)->value ? "true" : "false");
		break;
	case SHAPE_TIMESTAMP:
		write_timestamp(out, ((const struct shape_timestamp *)value)->ms);
		break;
	case SHAPE_BLOB:
		write_blob(out, value);
		break;
	case SHAPE_STRUCTURE:
		write_structure(out, shape, *(const void *const *)value);
		break;
	case SHAPE_LIST:
		write_list(out, shape, value);
		break;
	case SHAPE_MAP:
		write_map(out, shape, value);
		break;
	}
}

static void write_list(struct buffer *out, const struct shape *shape, const struct shape_list *list)
{
	buffer_append_char(out, '[');
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		if (i)
			buffer_append_char(out, ',');
		if (shape->element->kind == SHAPE_STRUCTURE) /* lies in the list by value */
			write_structure(out, shape->element, item);
		else if (shape_value_is_absent(shape->element, item))
			buffer_append_text(out, "null");
		else
			write_value(out, shape->element, item);
	}
	buffer_append_char(out, ']');
}

static void write_map(struct buffer *out, const struct shape *shape, const struct shape_list *map)
{
	bool first = true;
	buffer_append_char(out, '{');
	for (size_t i = 0; i < map->count; i++) {
		const char *entry = (const char *)map->items + i * shape->size;
		const char *key = *(const char *const *)entry;
		if (!key || shape_value_is_absent(shape->element, entry + shape->value_offset))
			continue;
		if (!first)
			buffer_append_char(out, ',');
		first = false;
		json_encode_text(out, key);
		buffer_append_char(out, ':');
		write_value(out, shape->element, entry + shape->value_offset);
	}
	buffer_append_char(out, '}');
}

static void write_structure(struct buffer *out, const struct shape *shape, const void *value)
{
	bool first = true;
	buffer_append_char(out, '{');
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		const void *field = (const char *)value + member->offset;
		if (member->location != LOCATION_BODY || shape_value_is_absent(member->shape, field))
			continue;
		if (!first)
			buffer_append_char(out, ',');
		first = false;
		json_encode_text(out, member->wire_name);
		buffer_append_char(out, ':');
		write_value(out, member->shape, field);
	}
	buffer_append_char(out, '}');
}

void json_encode(struct buffer *out, const struct shape *shape, const void *value)
{
	write_structure(out, shape, value);
}
