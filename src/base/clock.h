/*
 * All time comes from here. The wall clock can be moved forward by the operator in test mode, and everything that waits for a time follows; the
 * monotonic clock (timeouts, measurements) cannot. Safe from every thread.
 */
#pragma once

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC, with what clock_advance added. */
int64_t clock_now_ms(void);
/* The same without what clock_advance added: for what others, who do not know of it, have dated (signatures). */
int64_t clock_real_ms(void);
/* Moves the wall clock forward by `ms` (never back: negative values are ignored). */
void clock_advance(int64_t ms);
/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_monotonic_ms(void);
/* "2026-11-21T07:00:00.000Z" into `text` (at least 32 bytes); returns text. */
char *clock_format_iso8601(int64_t ms, char *text);
/* Reads the ISO 8601 forms that AWS takes (date, or date and time with optional fraction, Z or +hh:mm). 0, or -1 if malformed. */
int clock_parse_iso8601(const char *text, int64_t *ms);
