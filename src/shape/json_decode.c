/*
 * Reading JSON (RFC 8259) straight into a struct by its shape: one pass, no tree in between, everything in the caller's arena.
 *
 * A member that is `null` counts as absent. Of a member given twice the last one wins. Text is checked to be UTF-8 without NUL. Nesting is limited to DEPTH_MAX, the
 * whole to SIZE_MAX_BYTES; what an element of a list costs in memory is bounded by the tables. No state; safe from every thread.
 */
#include "shape/json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "shape/utf8.h"
#include "shape/value.h"
#include "base/banned.h"

enum { DEPTH_MAX = 64, SIZE_MAX_BYTES = 16 * 1024 * 1024, NUMBER_SIZE = 64 };

struct reader {
	struct arena *arena;
	const char *start, *at, *end;
	const char *member; /* being read, for messages; NULL: outside all */
	unsigned depth;
	bool lenient;
	struct error *err;
};

static int fault(struct reader *reader, const char *what)
{
	size_t offset = (size_t)(reader->at - reader->start);
	if (reader->member)
		return error_set(reader->err, ERROR_SERIALIZATION, "Member '%.100s': %s (at byte %zu)", reader->member, what,
			offset);
	return error_set(reader->err, ERROR_SERIALIZATION, "The document is not valid JSON: %s (at byte %zu)", what, offset);
}

/* What comes next behind white space; 0 at the end. */
static char peek(struct reader *reader)
{
	while (reader->at < reader->end &&
		(*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
		reader->at++;
	return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char c)
{
	if (peek(reader) != c || reader->at == reader->end)
		return false;
	reader->at++;
	return true;
}

static bool take_word(struct reader *reader, const char *word)
{
	size_t size = strlen(word);
	peek(reader);
	if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0)
		return false;
	reader->at += size;
	return true;
}

/* Text. */

static int read_hex4(struct reader *reader, uint32_t *code)
{
	*code = 0;
	if (reader->end - reader->at < 4)
		return fault(reader, "unfinished \\u");
	for (int i = 0; i < 4; i++, reader->at++) {
		int c = tolower((unsigned char)*reader->at);
		if (!isxdigit(c))
			return fault(reader, "malformed \\u");
		*code = *code << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return 0;
}

static int read_unicode_escape(struct reader *reader, char *out, size_t *size)
{
	uint32_t code, low;
	if (read_hex4(reader, &code) < 0)
		return -1;
	if (code >= 0xd800 && code < 0xdc00) {
		if (reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u')
			return fault(reader, "half of a surrogate pair");
		reader->at += 2;
		if (read_hex4(reader, &low) < 0)
			return -1;
		if (low < 0xdc00 || low > 0xdfff)
			return fault(reader, "half of a surrogate pair");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xdc00 && code < 0xe000) {
		return fault(reader, "half of a surrogate pair");
	}
	if (!code)
		return fault(reader, "text with a NUL character");
	*size += utf8_encode(code, out + *size);
	return 0;
}

/* Behind a backslash. */
static int read_escape(struct reader *reader, char *out, size_t *size)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (reader->at == reader->end)
		return fault(reader, "unfinished text");
	char c = *reader->at++;
	if (c == 'u')
		return read_unicode_escape(reader, out, size);
	const char *found = c ? strchr(from, c) : NULL;
	if (!found)
		return fault(reader, "unknown escape");
	out[(*size)++] = to[found - from];
	return 0;
}

/* The size of the text between the quotes that begin at reader->at, as written; -1 if it does not end. */
static ptrdiff_t raw_text_size(const struct reader *reader)
{
	for (const char *at = reader->at; at < reader->end; at++) {
		if (*at == '"')
			return at - reader->at;
		if (*at == '\\')
			at++;
	}
	return -1;
}

static int read_text(struct reader *reader, const char **text)
{
	if (!take(reader, '"'))
		return fault(reader, "expected a string");
	ptrdiff_t raw = raw_text_size(reader);
	if (raw < 0)
		return fault(reader, "unfinished text");
	/* no escape is longer decoded than it is written */
	char *out = arena_alloc(reader->arena, (size_t)raw + 1);
	const char *end = reader->at + raw;
	size_t size = 0;
	while (reader->at < end) {
		if (*reader->at == '\\') {
			reader->at++;
			if (read_escape(reader, out, &size) < 0)
				return -1;
			continue;
		}
		size_t length = utf8_character(reader->at, (size_t)(end - reader->at), NULL);
		if (!length || (unsigned char)*reader->at < 0x20)
			return fault(reader, length ? "control character in text" : "text is not UTF-8");
		memcpy(out + size, reader->at, length);
		size += length;
		reader->at += length;
	}
	reader->at++;
	*text = out;
	return 0;
}

/* Numbers: checked against JSON's own grammar, then read by the C library. */

static bool digits(const char **at)
{
	const char *start = *at;
	while (isdigit((unsigned char)**at))
		(*at)++;
	return *at > start;
}

/* Copies the number that comes next into text; *whole: it has neither fraction nor exponent. */
static int read_number(struct reader *reader, char text[NUMBER_SIZE], bool *whole)
{
	size_t size = 0;
	peek(reader);
	while (reader->at + size < reader->end && size < NUMBER_SIZE - 1 && reader->at[size] &&
		strchr("+-.eE0123456789", reader->at[size]))
		size++;
	memcpy(text, reader->at, size);
	text[size] = '\0';
	const char *at = text + (text[0] == '-');
	bool zero = *at == '0';
	const char *first = at;
	bool valid = digits(&at) && !(zero && at - first > 1);
	*whole = valid && !*at;
	if (valid && *at == '.') {
		at++;
		valid = digits(&at);
	}
	if (valid && (*at == 'e' || *at == 'E')) {
		at++;
		at += *at == '+' || *at == '-';
		valid = digits(&at);
	}
	if (!valid || *at)
		return fault(reader, size == NUMBER_SIZE - 1 ? "number with too many digits" : "expected a number");
	reader->at += size;
	return 0;
}

static int read_integer(struct reader *reader, struct shape_integer *integer)
{
	char text[NUMBER_SIZE];
	bool whole;
	if (read_number(reader, text, &whole) < 0)
		return -1;
	if (!whole || text_parse_int64(text, &integer->value) < 0)
		return fault(reader, "expected an integer of 64 bits");
	integer->set = true;
	return 0;
}

static int read_double(struct reader *reader, double *value)
{
	char text[NUMBER_SIZE];
	bool whole;
	if (read_number(reader, text, &whole) < 0)
		return -1;
	*value = strtod(text, NULL);
	return isfinite(*value) ? 0 : fault(reader, "number out of range");
}

/* Seconds since the epoch, or ISO 8601 text. */
static int read_timestamp(struct reader *reader, struct shape_timestamp *timestamp)
{
	if (peek(reader) == '"') {
		const char *text;
		if (read_text(reader, &text) < 0)
			return -1;
		if (clock_parse_iso8601(text, &timestamp->ms) < 0)
			return fault(reader, "expected a timestamp");
	} else {
		double seconds;
		if (read_double(reader, &seconds) < 0)
			return -1;
		if (fabs(seconds) > 1e12)
			return fault(reader, "timestamp out of range");
		timestamp->ms = llround(seconds * 1000);
	}
	timestamp->set = true;
	return 0;
}

static int read_boolean(struct reader *reader, struct shape_boolean *boolean)
{
	bool value = take_word(reader, "true");
	if (!value && !take_word(reader, "false"))
		return fault(reader, "expected true or false");
	*boolean = some_boolean(value);
	return 0;
}

static int read_blob(struct reader *reader, struct shape_blob *blob)
{
	const char *text;
	if (read_text(reader, &text) < 0)
		return -1;
	blob->data = text_unbase64(reader->arena, text, &blob->size);
	return blob->data ? 0 : fault(reader, "expected Base64");
}

/* Values nobody asked for are checked all the same. */

static int skip_value(struct reader *reader);

static int skip_object(struct reader *reader)
{
	const char *key;
	if (take(reader, '}'))
		return 0;
	do {
		peek(reader);
		if (read_text(reader, &key) < 0)
			return -1;
		if (!take(reader, ':'))
			return fault(reader, "expected ':'");
		if (skip_value(reader) < 0)
			return -1;
	} while (take(reader, ','));
	return take(reader, '}') ? 0 : fault(reader, "expected ',' or '}'");
}

static int skip_array(struct reader *reader)
{
	if (take(reader, ']'))
		return 0;
	do {
		if (skip_value(reader) < 0)
			return -1;
	} while (take(reader, ','));
	return take(reader, ']') ? 0 : fault(reader, "expected ',' or ']'");
}

static int skip_value(struct reader *reader)
{
	const char *text;
	char number[NUMBER_SIZE];
	bool whole;
	int result;
	if (peek(reader) == '"')
		return read_text(reader, &text);
	if (take_word(reader, "null") || take_word(reader, "true") || take_word(reader, "false"))
		return 0;
	if (peek(reader) != '{' && peek(reader) != '[')
		return read_number(reader, number, &whole);
	if (++reader->depth > DEPTH_MAX)
		return fault(reader, "nested too deeply");
	result = take(reader, '{') ? skip_object(reader) : (reader->at++, skip_array(reader));
	reader->depth--;
	return result;
}

/* Values by their shape. */

static int read_structure(struct reader *reader, const struct shape *shape, void *value);
static int read_list(struct reader *reader, const struct shape *shape, struct shape_list *list);
static int read_map(struct reader *reader, const struct shape *shape, struct shape_list *map);

static int read_pointer(struct reader *reader, const struct shape *shape, void **pointer)
{
	*pointer = arena_alloc(reader->arena, shape->size);
	return read_structure(reader, shape, *pointer);
}

/* `value` is a field, zeroed. */
static int read_value(struct reader *reader, const struct shape *shape, void *value)
{
	struct shape_double *number = value;
	if (take_word(reader, "null"))
		return 0;
	switch (shape->kind) {
	case SHAPE_STRING:
		return read_text(reader, value);
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
	return fault(reader, "unknown kind of shape");
}

static int enter(struct reader *reader, char bracket, const char *what)
{
	if (!take(reader, bracket))
		return fault(reader, what);
	return ++reader->depth > DEPTH_MAX ? fault(reader, "nested too deeply") : 0;
}

static int read_list(struct reader *reader, const struct shape *shape, struct shape_list *list)
{
	if (enter(reader, '[', "expected a list") < 0)
		return -1;
	list->set = true;
	if (!take(reader, ']')) {
		do {
			list->items = arena_grow_array(reader->arena, list->items, list->count, shape->size);
			char *item = (char *)list->items + list->count++ * shape->size;
			int result = shape->element->kind == SHAPE_STRUCTURE
				? read_structure(reader, shape->element, item) : read_value(reader, shape->element, item);
			if (result < 0)
				return -1;
		} while (take(reader, ','));
		if (!take(reader, ']'))
			return fault(reader, "expected ',' or ']'");
	}
	reader->depth--;
	return 0;
}

static int read_map(struct reader *reader, const struct shape *shape, struct shape_list *map)
{
	if (enter(reader, '{', "expected an object") < 0)
		return -1;
	map->set = true;
	if (!take(reader, '}')) {
		do {
			map->items = arena_grow_array(reader->arena, map->items, map->count, shape->size);
			char *entry = (char *)map->items + map->count++ * shape->size;
			peek(reader);
			if (read_text(reader, (const char **)entry) < 0)
				return -1;
			if (!take(reader, ':'))
				return fault(reader, "expected ':'");
			if (read_value(reader, shape->element, entry + shape->value_offset) < 0)
				return -1;
		} while (take(reader, ','));
		if (!take(reader, '}'))
			return fault(reader, "expected ',' or '}'");
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

static int read_member(struct reader *reader, const struct shape *shape, void *value, unsigned *guess)
{
	const char *key, *outer = reader->member;
	peek(reader);
	if (read_text(reader, &key) < 0)
		return -1;
	if (!take(reader, ':'))
		return fault(reader, "expected ':'");
	const struct shape_member *member = find_member(shape, key, guess);
	reader->member = member ? member->wire_name : key;
	if (!member && !reader->lenient)
		return fault(reader, "unknown member");
	int result;
	if (member) {
		void *field = (char *)value + member->offset;
		memset(field, 0, shape_field_size(member->shape)); /* given twice: the last one wins */
		result = read_value(reader, member->shape, field);
	} else {
		result = skip_value(reader);
	}
	if (result == 0)
		reader->member = outer;
	return result;
}

static int read_structure(struct reader *reader, const struct shape *shape, void *value)
{
	unsigned guess = 0;
	if (enter(reader, '{', "expected an object") < 0)
		return -1;
	if (!take(reader, '}')) {
		do {
			if (read_member(reader, shape, value, &guess) < 0)
				return -1;
		} while (take(reader, ','));
		if (!take(reader, '}'))
			return fault(reader, "expected ',' or '}'");
	}
	reader->depth--;
	return 0;
}

int json_decode(struct arena *arena, const struct shape *shape, const char *text, size_t size, bool lenient, void *value,
	struct error *err)
{
	struct reader reader = { .arena = arena, .start = text, .at = text, .end = text + size, .lenient = lenient,
		.err = err };
	if (size > SIZE_MAX_BYTES)
		return error_set(err, ERROR_SERIALIZATION, "The document is larger than %d bytes", SIZE_MAX_BYTES);
	if (read_structure(&reader, shape, value) < 0)
		return -1;
	peek(&reader);
	return reader.at == reader.end ? 0 : fault(&reader, "more text behind the object");
}
