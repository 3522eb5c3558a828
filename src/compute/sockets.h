/* Unix sockets by path. */
#pragma once

#include "base/error.h"

/* Connects, without waiting; the descriptor (non-blocking) is the caller's. ERROR_NOT_FOUND if nobody listens there. */
int socket_connect(const char *path, int *fd, struct error *err);
/* Listens at `path`, in place of what was there, mode 0600. The descriptor is non-blocking. */
int socket_listen(const char *path, int *fd, struct error *err);
