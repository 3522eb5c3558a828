/* Numbers, dates, booleans and addresses of conditions: read once from policies, each time from requests. No state. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/policy_internal.h"
#include "base/banned.h"

static const char *skip_digits(const char *text)
{
	while (isdigit((unsigned char)*text))
		text++;
	return text;
}

/* [+-] digits [. digits] [e [+-] digits], and nothing else; strtod alone would take "nan" and "0x1p3". */
static bool is_number(const char *text, bool *whole)
{
	*whole = true;
	if (*text == '-' || *text == '+')
		text++;
	const char *end = skip_digits(text);
	bool digits = end > text;
	if (*end == '.') {
		*whole = false;
		text = end + 1;
		end = skip_digits(text);
		digits |= end > text;
	}
	if (digits && (*end == 'e' || *end == 'E')) {
		*whole = false;
		text = end + 1;
		if (*text == '-' || *text == '+')
			text++;
		end = skip_digits(text);
		digits = end > text;
	}
	return digits && *end == '\0';
}

int value_parse_number(const char *text, struct number *number)
{
	bool whole;
	if (!is_number(text, &whole))
		return -1;
	number->real = strtod(text, NULL);
	number->whole = whole && text_parse_int64(*text == '+' ? text + 1 : text, &number->integer) == 0;
	return 0;
}

int value_compare_numbers(const struct number *a, const struct number *b)
{
	if (a->whole && b->whole)
		return (a->integer > b->integer) - (a->integer < b->integer);
	return (a->real > b->real) - (a->real < b->real);
}

int value_parse_date(const char *text, int64_t *ms)
{
	char padded[16];
	if (*text && *skip_digits(text) == '\0') { /* a year alone cannot be told from a time: it is a time */
		int64_t seconds;
		if (text_parse_int64(text, &seconds) < 0 || seconds > INT64_MAX / 1000)
			return -1;
		*ms = seconds * 1000;
		return 0;
	}
	if (strlen(text) == strlen("2026-11")) {
		snprintf(padded, sizeof padded, "%s-01", text);
		text = padded;
	}
	return clock_parse_iso8601(text, ms);
}

int value_parse_bool(const char *text, bool *value)
{
	*value = strcasecmp(text, "true") == 0;
	return *value || strcasecmp(text, "false") == 0 ? 0 : -1;
}

static void unmap_ipv4(struct address *address)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (address->family != AF_INET6 || address->prefix < 96 ||
		memcmp(address->bytes, mapped, sizeof mapped) != 0)
		return;
	memmove(address->bytes, address->bytes + 12, 4);
	address->family = AF_INET;
	address->prefix -= 96;
}

int value_parse_address(const char *text, struct address *address)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	if (length >= sizeof host)
		return -1;
	memcpy(host, text, length);
	host[length] = '\0';
	memset(address, 0, sizeof *address);
	address->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	address->prefix = address->family == AF_INET6 ? 128 : 32;
	if (inet_pton(address->family, host, address->bytes) != 1)
		return -1;
	if (slash) {
		int64_t prefix;
		if (!isdigit((unsigned char)slash[1]) || text_parse_int64(slash + 1, &prefix) < 0 ||
			prefix > address->prefix)
			return -1;
		address->prefix = (unsigned)prefix;
	}
	unmap_ipv4(address);
	return 0;
}

bool value_address_within(const struct address *address, const struct address *range)
{
	unsigned bytes = range->prefix / 8, bits = range->prefix % 8;
	if (address->family != range->family || address->prefix < range->prefix ||
		memcmp(address->bytes, range->bytes, bytes) != 0)
		return false;
	unsigned mask = bits ? 0xffU << (8 - bits) & 0xff : 0;
	return !bits || ((address->bytes[bytes] ^ range->bytes[bytes]) & mask) == 0;
}
