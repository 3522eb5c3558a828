/* Text helpers. */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

char *text_hex(const void *data, size_t size, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * size] = '\0';
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_unhex(const char *text, void *data, size_t size)
{
	uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
		if (low < 0)
			return -1;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * size] ? -1 : 0;
}

char *text_base64(struct arena *arena, const void *data, size_t size)
{
	char *out = arena_alloc(arena, (size + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)out, data, (int)size);
	return out;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

uint8_t *text_unbase64(struct arena *arena, const char *text, size_t *size)
{
	uint8_t *out = arena_alloc(arena, strlen(text) / 4 * 3 + 4);
	size_t used = 0;
	unsigned digits = 0, padding = 0;
	uint32_t bits = 0;
	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		int value = *text == '=' ? 0 : base64_digit(*text);
		if (value < 0 || (padding && *text != '='))
			return NULL;
		padding += *text == '=';
		bits = bits << 6 | (uint32_t)value;
		if (++digits % 4 == 0) {
			out[used++] = (uint8_t)(bits >> 16);
			out[used++] = (uint8_t)(bits >> 8);
			out[used++] = (uint8_t)bits;
			bits = 0;
		}
	}
	if (digits % 4 || padding > 2 || padding > digits)
		return NULL;
	*size = used - padding;
	out[*size] = 0;
	return out;
}

bool text_match(const char *pattern, const char *text)
{
	const char *star = NULL, *star_text = NULL;
	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			star_text = text;
			continue;
		}
		const char *literal = *pattern == '\\' && pattern[1] ? pattern + 1 : pattern;
		if ((*pattern == '?' && literal == pattern) || (*literal && *literal == *text)) {
			pattern = literal + 1;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++star_text;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool text_starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int text_parse_int64(const char *text, int64_t *value)
{
	if (!isdigit((unsigned char)*text) &&
		!((*text == '-' || *text == '+') && isdigit((unsigned char)text[1])))
		return -1;
	char *end;
	errno = 0;
	long long parsed = strtoll(text, &end, 10);
	if (errno || *end)
		return -1;
	*value = parsed;
	return 0;
}

void text_random_bytes(void *data, size_t size)
{
	uint8_t *bytes = data;
	while (size) {
		ssize_t got = getrandom(bytes, size, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fprintf(stderr, "level=error event=no-random-bytes\n");
			abort();
		}
		bytes += got;
		size -= (size_t)got;
	}
}

char *text_random_id(struct arena *arena, const char *prefix)
{
	uint8_t bytes[9];
	char hex[2 * sizeof bytes + 1];
	text_random_bytes(bytes, sizeof bytes);
	text_hex(bytes, sizeof bytes, hex);
	return arena_printf(arena, "%s-%.17s", prefix, hex);
}

char *text_uuid(char *out)
{
	uint8_t b[16];
	text_random_bytes(b, sizeof b);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return out;
}

char **text_split(struct arena *arena, const char *text, char separator, size_t *count)
{
	char **pieces = NULL;
	*count = 0;
	for (;;) {
		const char *end = strchrnul(text, separator);
		*ARENA_APPEND(arena, pieces, *count) = arena_strndup(arena, text, (size_t)(end - text));
		if (!*end)
			return pieces;
		text = end + 1;
	}
}
