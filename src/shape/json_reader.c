/*
 * The grammar of JSON (RFC 8259), strictly: no trailing commas, no comments, no control characters in text, nothing but UTF-8. One thread per reader.
 */
#include "shape/json_reader.h"

#include <ctype.h>
#include <string.h>

#include "base/error.h"
#include "shape/utf8.h"
#include "base/banned.h"

int json_fault(struct json_reader *reader, const char *what)
{
	size_t offset = (size_t)(reader->at - reader->start);
	if (reader->member)
		return error_set(reader->err, ERROR_SERIALIZATION, "Member '%.100s': %s (at byte %zu)",
			reader->member, what, offset);
	return error_set(reader->err, ERROR_SERIALIZATION, "The document is not valid JSON: %s (at byte %zu)",
		what, offset);
}

/* What comes next behind white space; 0 at the end. */
char json_peek(struct json_reader *reader)
{
	while (reader->at < reader->end &&
		(*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
		reader->at++;
	return reader->at < reader->end ? *reader->at : '\0';
}

bool json_take(struct json_reader *reader, char c)
{
	if (json_peek(reader) != c || reader->at == reader->end)
		return false;
	reader->at++;
	return true;
}

bool json_take_word(struct json_reader *reader, const char *word)
{
	size_t size = strlen(word);
	json_peek(reader);
	if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0)
		return false;
	reader->at += size;
	return true;
}

/* Text. */

static int read_hex4(struct json_reader *reader, uint32_t *code)
{
	*code = 0;
	if (reader->end - reader->at < 4)
		return json_fault(reader, "unfinished \\u");
	for (int i = 0; i < 4; i++, reader->at++) {
		int c = tolower((unsigned char)*reader->at);
		if (!isxdigit(c))
			return json_fault(reader, "malformed \\u");
		*code = *code << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return 0;
}

static int read_unicode_escape(struct json_reader *reader, char *out, size_t *size)
{
	uint32_t code, low;
	if (read_hex4(reader, &code) < 0)
		return -1;
	if (code >= 0xd800 && code < 0xdc00) {
		if (reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u')
			return json_fault(reader, "half of a surrogate pair");
		reader->at += 2;
		if (read_hex4(reader, &low) < 0)
			return -1;
		if (low < 0xdc00 || low > 0xdfff)
			return json_fault(reader, "half of a surrogate pair");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xdc00 && code < 0xe000) {
		return json_fault(reader, "half of a surrogate pair");
	}
	if (!code)
		return json_fault(reader, "text with a NUL character");
	*size += utf8_encode(code, out + *size);
	return 0;
}

/* Behind a backslash. */
static int read_escape(struct json_reader *reader, char *out, size_t *size)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (reader->at == reader->end)
		return json_fault(reader, "unfinished text");
	char c = *reader->at++;
	if (c == 'u')
		return read_unicode_escape(reader, out, size);
	const char *found = c ? strchr(from, c) : NULL;
	if (!found)
		return json_fault(reader, "unknown escape");
	out[(*size)++] = to[found - from];
	return 0;
}

/* The size of the text between the quotes that begin at reader->at, as written; -1 if it does not end. */
static ptrdiff_t raw_text_size(const struct json_reader *reader)
{
	for (const char *at = reader->at; at < reader->end; at++) {
		if (*at == '"')
			return at - reader->at;
		if (*at == '\\')
			at++;
	}
	return -1;
}

int json_read_text(struct json_reader *reader, const char **text)
{
	if (!json_take(reader, '"'))
		return json_fault(reader, "expected a string");
	ptrdiff_t raw = raw_text_size(reader);
	if (raw < 0)
		return json_fault(reader, "unfinished text");
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
			return json_fault(reader, length ? "control character in text" : "text is not UTF-8");
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
int json_read_number(struct json_reader *reader, char text[JSON_NUMBER_SIZE], bool *whole)
{
	size_t size = 0;
	json_peek(reader);
	while (reader->at + size < reader->end && size < JSON_NUMBER_SIZE - 1 && reader->at[size] &&
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
		return json_fault(reader,
			size == JSON_NUMBER_SIZE - 1 ? "number with too many digits" : "expected a number");
	reader->at += size;
	return 0;
}

/* Values nobody asked for are checked all the same. */

static int skip_object(struct json_reader *reader)
{
	const char *key;
	if (json_take(reader, '}'))
		return 0;
	do {
		json_peek(reader);
		if (json_read_text(reader, &key) < 0)
			return -1;
		if (!json_take(reader, ':'))
			return json_fault(reader, "expected ':'");
		if (json_skip_value(reader) < 0)
			return -1;
	} while (json_take(reader, ','));
	return json_take(reader, '}') ? 0 : json_fault(reader, "expected ',' or '}'");
}

static int skip_array(struct json_reader *reader)
{
	if (json_take(reader, ']'))
		return 0;
	do {
		if (json_skip_value(reader) < 0)
			return -1;
	} while (json_take(reader, ','));
	return json_take(reader, ']') ? 0 : json_fault(reader, "expected ',' or ']'");
}

int json_skip_value(struct json_reader *reader)
{
	const char *text;
	char number[JSON_NUMBER_SIZE];
	bool whole;
	int result;
	if (json_peek(reader) == '"')
		return json_read_text(reader, &text);
	if (json_take_word(reader, "null") || json_take_word(reader, "true") ||
		json_take_word(reader, "false"))
		return 0;
	if (json_peek(reader) != '{' && json_peek(reader) != '[')
		return json_read_number(reader, number, &whole);
	if (++reader->depth > JSON_DEPTH_MAX)
		return json_fault(reader, "nested too deeply");
	result = json_take(reader, '{') ? skip_object(reader) : (reader->at++, skip_array(reader));
	reader->depth--;
	return result;
}
