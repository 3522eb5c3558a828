/* UTF-8 as RFC 3629 defines it. */
#include "shape/utf8.h"
#include "base/banned.h"

size_t utf8_character(const char *text, size_t size, uint32_t *code)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (!size)
		return 0;
	uint8_t first = (uint8_t)text[0];
	size_t length = first < 0x80 ? 1
		: first < 0xc0       ? 0
		: first < 0xe0       ? 2
		: first < 0xf0       ? 3
		: first < 0xf8       ? 4
				     : 0;
	if (!length || length > size)
		return 0;
	uint32_t value = length == 1 ? first : first & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	if (code)
		*code = value;
	return length;
}

bool utf8_valid(const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		size_t length = utf8_character(text + at, size - at, NULL);
		if (!length)
			return false;
		at += length;
	}
	return true;
}

size_t utf8_encode(uint32_t code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = length - 1; i; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)((0xf00u >> length & 0xf0) | code);
	return length;
}
