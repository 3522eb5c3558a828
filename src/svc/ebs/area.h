/*
 * Areas: memory that programs on this machine share with the server, so that blocks of an upload need not pass through a socket. A client connects to a Unix socket that only the server's own user may connect to (mode 0600), sends the
 * descriptor of a memfd, and is told a token that names the area in requests (put_area.h); the area is there until the connection ends. A connection grants nothing: the requests are signed and
 * authorized as all others are.
 *
 * On the socket: the client sends one byte, 'A', with one descriptor (SCM_RIGHTS); the server answers the token, 32 hexadecimal digits, and a line feed, or "-" and why not. The memfd must be sealed against shrinking
 * (F_SEAL_SHRINK), so that reading it cannot fault; what is in it may change at any time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { AREA_SIZE_MAX = 256 * 1024 * 1024, AREAS_MAX = 16, AREA_TOKEN_SIZE = 33 };

struct areas;
struct area;

/* Listens at `path`, replacing what an earlier run left there; starts the thread that serves it. */
int areas_open(const char *path, struct areas **areas, struct error *err);
/* Removes the socket. Every area must have been released. NULL is legal. */
void areas_close(struct areas *areas);
const char *areas_path(const struct areas *areas);

/* The area of a token, to be released; NULL: there is none, or no longer. These are safe from every thread. */
struct area *area_take(struct areas *areas, const char *token);
void area_release(struct areas *areas, struct area *area);
/* Read-only, mapped until the release, even if the client has gone meanwhile. */
const uint8_t *area_data(const struct area *area);
size_t area_size(const struct area *area); /* bytes */
