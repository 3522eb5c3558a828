/* See space.h. No state. */
#include "base/space.h"

#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/text.h"
#include "base/banned.h"

enum { PERMILLE_MAX = 900 };

static int parse_percent(const char *text, unsigned *permille)
{
	unsigned value = 0, digits = 0;
	for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
		value = value * 10 + (unsigned)(*text - '0');
	value *= 10;
	if (digits && *text == '.' && text[1] >= '0' && text[1] <= '9') {
		value += (unsigned)(text[1] - '0');
		text += 2;
	}
	*permille = value;
	return digits && strcmp(text, "%") == 0 && value && value <= PERMILLE_MAX ? 0 : -1;
}

static int parse_bytes(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	char number[24];
	size_t length = strspn(text, "0123456789");
	int64_t value;
	unsigned shift = 0;
	if (!length || length >= sizeof number)
		return -1;
	memcpy(number, text, length);
	number[length] = '\0';
	if (text[length]) {
		const char *unit = strchr(units, text[length]);
		if (!unit || text[length + 1])
			return -1;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (text_parse_int64(number, &value) || value > INT64_MAX >> shift)
		return -1;
	*bytes = (uint64_t)value << shift;
	return 0;
}

int space_parse_reserve(const char *text, struct space_reserve *reserve, struct error *err)
{
	*reserve = (struct space_reserve){ .bytes = UINT64_MAX };
	if (parse_percent(text, &reserve->permille) == 0)
		return 0;
	*reserve = (struct space_reserve){ 0 };
	if (parse_bytes(text, &reserve->bytes) == 0)
		return 0;
	return error_set(err, ERROR_INVALID, "\"%s\" is no reserve: bytes (20G), or percent (5%%)", text);
}

uint64_t space_available(const char *path, const struct space_reserve *reserve)
{
	uint64_t total, free_bytes, kept = reserve->bytes;
	if (disk_space(path, &total, &free_bytes))
		return 0;
	if (reserve->permille) {
		uint64_t part = total / 1000 * reserve->permille;
		kept = part < kept ? part : kept;
	}
	return free_bytes > kept ? free_bytes - kept : 0;
}
