/* Cuts off connections that are past their deadline: a slow client must not hold a place for ever. One thread for a whole server, which sleeps while nothing is due. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct http_watchdog;

/* Part of a connection; its fields belong to the watchdog. */
struct http_watch {
	struct http_watch *previous, *next;
	int fd;
	int64_t deadline_ms; /* of clock_monotonic_ms() */
};

#define HTTP_NO_DEADLINE INT64_MAX

int http_watchdog_open(struct http_watchdog **watchdog, struct error *err);
/* No watch may be left. NULL is legal. */
void http_watchdog_close(struct http_watchdog *watchdog);
/* Safe from every thread, as are those below. Once the deadline is past, shutdown(2) is called on fd, so that whoever reads or writes it notices. */
void http_watchdog_add(struct http_watchdog *watchdog, struct http_watch *watch, int fd, int64_t deadline_ms);
void http_watchdog_set(struct http_watchdog *watchdog, struct http_watch *watch, int64_t deadline_ms);
/* Afterwards fd is not touched again. */
void http_watchdog_remove(struct http_watchdog *watchdog, struct http_watch *watch);
