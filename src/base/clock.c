/* The clock: the system's, plus an offset that only grows. */
#include "base/clock.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

static _Atomic int64_t offset_ms;

static int64_t read_clock_ms(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
	return clock_real_ms() + atomic_load(&offset_ms);
}

int64_t clock_real_ms(void)
{
	return read_clock_ms(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
	return read_clock_ms(CLOCK_MONOTONIC);
}

void clock_advance(int64_t ms)
{
	if (ms > 0)
		atomic_fetch_add(&offset_ms, ms);
}

char *clock_format_iso8601(int64_t ms, char *text)
{
	int64_t seconds = ms / 1000, rest = ms % 1000;
	if (rest < 0) {
		rest += 1000;
		seconds--;
	}
	time_t t = (time_t)seconds;
	struct tm tm;
	gmtime_r(&t, &tm);
	size_t used = strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, 32 - used, ".%03dZ", (int)rest);
	return text;
}

/* Reads exactly `digits` digits at *text into *value. */
static int read_digits(const char **text, int digits, int *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return -1;
		*value = *value * 10 + (**text - '0');
	}
	return 0;
}

static int read_char(const char **text, char c)
{
	if (**text != c)
		return -1;
	(*text)++;
	return 0;
}

/* ".123" of any length, milliseconds kept. */
static void read_fraction(const char **text, int *ms)
{
	*ms = 0;
	if (**text != '.')
		return;
	(*text)++;
	for (int weight = 100; isdigit((unsigned char)**text); (*text)++, weight /= 10)
		*ms += weight * (**text - '0');
}

/* "Z", "" or "+hh:mm", in minutes. */
static int read_zone(const char **text, int *minutes)
{
	*minutes = 0;
	if (**text == '\0' || read_char(text, 'Z') == 0)
		return 0;
	int sign = **text == '+' ? 1 : **text == '-' ? -1 : 0;
	int hours, rest;
	if (!sign)
		return -1;
	(*text)++;
	if (read_digits(text, 2, &hours) || (**text == ':' && read_char(text, ':')) ||
		read_digits(text, 2, &rest))
		return -1;
	*minutes = sign * (hours * 60 + rest);
	return 0;
}

int clock_parse_iso8601(const char *text, int64_t *ms)
{
	struct tm tm = { 0 };
	int fraction = 0, zone = 0;
	if (read_digits(&text, 4, &tm.tm_year) || read_char(&text, '-') ||
		read_digits(&text, 2, &tm.tm_mon) || read_char(&text, '-') ||
		read_digits(&text, 2, &tm.tm_mday))
		return -1;
	if (*text == 'T' || *text == ' ') {
		text++;
		if (read_digits(&text, 2, &tm.tm_hour) || read_char(&text, ':') ||
			read_digits(&text, 2, &tm.tm_min))
			return -1;
		if (*text == ':' && (read_char(&text, ':') || read_digits(&text, 2, &tm.tm_sec)))
			return -1;
		read_fraction(&text, &fraction);
		if (read_zone(&text, &zone))
			return -1;
	}
	if (*text || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
		tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ms = ((int64_t)timegm(&tm) - zone * 60) * 1000 + fraction;
	return 0;
}
