/*
 * Reading JSON straight into a struct by its shape: one pass, no tree in between, everything in the caller's arena. The grammar is json_reader.c's.
 *
 * A member that is `null` counts as absent. Of a member given twice the last one wins. No state; safe from every thread.
 */
#include "shape/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "shape/json_reader.h"
#include "shape/value.h"
#include "base/banned.h"

enum { SIZE_MAX_BYTES = 16 * 1024 * 1024 };

static int read_integer(struct json_reader *reader, struct shape_integer *integer)
{
	char text[JSON_NUMBER_SIZE];
	bool whole;
	if (json_read_number(reader, text, &whole) < 0)
		return -1;
	if (!whole || text_parse_int64(text, &integer->value) < 0)
		return json_fault(reader, "expected an integer of 64 bits");
	integer->set = true;
	return 0;
}

static int read_double(struct json_reader *reader, double *value)
{
	char text[JSON_NUMBER_SIZE];
	bool whole;
	if (json_read_number(reader, text, &whole) < 0)
		return -1;
	*value = strtod(text, NULL);
	return isfinite(*value) ? 0 : json_fault(reader, "number out of range");
}

/* Seconds since the epoch, or ISO 8601 text. */
static int read_timestamp(struct json_reader *reader, struct shape_timestamp *timestamp)
{
	if (json_peek(reader) == '"') {
		const char *text;
		if (json_read_text(reader, &text) < 0)
			return -1;
		if (clock_parse_iso8601(text, &timestamp->ms) < 0)
			return json_fault(reader, "expected a timestamp");
	} else {
		double seconds;
		if (read_double(reader, &seconds) < 0)
			return -1;
		if (fabs(seconds) > 1e12)
			return json_fault(reader, "timestamp out of range");
		timestamp->ms = llround(seconds * 1000);
	}
	timestamp->set = true;
	return 0;
}

static int read_boolean(struct json_reader *reader, struct shape_boolean *boolean)
{
	bool value = json_take_word(reader, "true");
	if (!value && !json_take_word(reader, "false"))
		return json_fault(reader, "expected true or false");
	*boolean = some_boolean(value);
	return 0;
}

static int read_blob(struct json_reader *reader, struct shape_blob *blob)
{
	const char *text;
	if (json_read_text(reader, &text) < 0)
		return -1;
	blob->data = text_unbase64(reader->arena, text, &blob->size);
	return blob->data ? 0 : json_fault(reader, "expected Base64");
}

/* Values by their shape. */

static int read_structure(struct json_reader *reader, const struct shape *shape, void *value);
static int read_list(struct json_reader *reader, const struct shape *shape, struct shape_list *list);
static int read_map(struct json_reader *reader, const struct shape *shape, struct shape_list *map);

static int read_pointer(struct json_reader *reader, const struct shape *shape, void **pointer)
{
	*pointer = arena_alloc(reader->arena, shape->size);
	return read_structure(reader, shape, *pointer);
}

/* `value` is a field, zeroed. */
static int read_value(struct json_reader *reader, const struct shape *shape, void *value)
{
	struct shape_double *number = value;
	if (json_take_word(reader, "null"))
		return 0;
	switch (shape->kind) {
	case SHAPE_STRING:
		return json_read_text(reader, value);
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		return read_integer(reader, value);
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		number->set = true;
		return read_double(reader, &number->value);
	case SHAPE_BOOLEAN:
		return read_boolean(reader, value);
	case SHAPE_TIMESTAMP:
		return read_timestamp(reader, value);
	case SHAPE_BLOB:
		return read_blob(reader, value);
	case SHAPE_STRUCTURE:
		return read_pointer(reader, shape, value);
	case SHAPE_LIST:
		return read_list(reader, shape, value);
	case SHAPE_MAP:
		return read_map(reader, shape, value);
	}
	return json_fault(reader, "unknown kind of shape");
}

static int enter(struct json_reader *reader, char bracket, const char *what)
{
	if (!json_take(reader, bracket))
		return json_fault(reader, what);
	return ++reader->depth > JSON_DEPTH_MAX ? json_fault(reader, "nested too deeply") : 0;
}

static int read_list(struct json_reader *reader, const struct shape *shape, struct shape_list *list)
{
	if (enter(reader, '[', "expected a list") < 0)
		return -1;
	list->set = true;
	if (!json_take(reader, ']')) {
		do {
			list->items = arena_grow_array(reader->arena, list->items, list->count, shape->size);
			char *item = (char *)list->items + list->count++ * shape->size;
			int result = shape->element->kind == SHAPE_STRUCTURE
				? read_structure(reader, shape->element, item)
				: read_value(reader, shape->element, item);
			if (result < 0)
				return -1;
		} while (json_take(reader, ','));
		if (!json_take(reader, ']'))
			return json_fault(reader, "expected ',' or ']'");
	}
	reader->depth--;
	return 0;
}

static int read_map(struct json_reader *reader, const struct shape *shape, struct shape_list *map)
{
	if (enter(reader, '{', "expected an object") < 0)
		return -1;
	map->set = true;
	if (!json_take(reader, '}')) {
		do {
			map->items = arena_grow_array(reader->arena, map->items, map->count, shape->size);
			char *entry = (char *)map->items + map->count++ * shape->size;
			json_peek(reader);
			if (json_read_text(reader, (const char **)entry) < 0)
				return -1;
			if (!json_take(reader, ':'))
				return json_fault(reader, "expected ':'");
			if (read_value(reader, shape->element, entry + shape->value_offset) < 0)
				return -1;
		} while (json_take(reader, ','));
		if (!json_take(reader, '}'))
			return json_fault(reader, "expected ',' or '}'");
	}
	reader->depth--;
	return 0;
}

/* The member of that JSON name. `guess` is where it is found at once if members come in the order of the table, as json_encode writes them. */
static const struct shape_member *find_member(const struct shape *shape, const char *key, unsigned *guess)
{
	for (unsigned i = 0; i < shape->member_count; i++) {
		unsigned at = (*guess + i) % shape->member_count;
		const struct shape_member *member = &shape->members[at];
		if (member->location == LOCATION_BODY && strcmp(member->wire_name, key) == 0) {
			*guess = at + 1;
			return member;
		}
	}
	return NULL;
}

static int read_member(struct json_reader *reader, const struct shape *shape, void *value, unsigned *guess)
{
	const char *key = NULL, *outer = reader->member;
	json_peek(reader);
	if (json_read_text(reader, &key) < 0)
		return -1;
	if (!json_take(reader, ':'))
		return json_fault(reader, "expected ':'");
	const struct shape_member *member = find_member(shape, key, guess);
	reader->member = member ? member->wire_name : key;
	if (!member && !reader->lenient)
		return json_fault(reader, "unknown member");
	int result;
	if (member) {
		void *field = (char *)value + member->offset;
		memset(field, 0, shape_field_size(member->shape)); /* given twice: the last one wins */
		result = read_value(reader, member->shape, field);
	} else {
		result = json_skip_value(reader);
	}
	if (result == 0)
		reader->member = outer;
	return result;
}

static int read_structure(struct json_reader *reader, const struct shape *shape, void *value)
{
	unsigned guess = 0;
	if (enter(reader, '{', "expected an object") < 0)
		return -1;
	if (!json_take(reader, '}')) {
		do {
			if (read_member(reader, shape, value, &guess) < 0)
				return -1;
		} while (json_take(reader, ','));
		if (!json_take(reader, '}'))
			return json_fault(reader, "expected ',' or '}'");
	}
	reader->depth--;
	return 0;
}

int json_decode(struct arena *arena, const struct shape *shape, const char *text, size_t size, bool lenient,
	void *value, struct error *err)
{
	struct json_reader reader = {
		.arena = arena, .start = text, .at = text, .end = text + size, .lenient = lenient, .err = err
	};
	if (size > SIZE_MAX_BYTES)
		return error_set(
			err, ERROR_SERIALIZATION, "The document is larger than %d bytes", SIZE_MAX_BYTES);
	if (read_structure(&reader, shape, value) < 0)
		return -1;
	json_peek(&reader);
	return reader.at == reader.end ? 0 : json_fault(&reader, "more text behind the object");
}
