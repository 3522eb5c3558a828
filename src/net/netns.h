/*
 * Network namespaces with names in /run/netns, as `ip netns` makes them, so that an operator's tools see them. The calling thread's own namespace never changes: whatever must happen inside of
 * a namespace runs on a thread that lives only for that.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Makes the namespace if it is missing and opens it: *fd is the caller's and keeps it alive. *made: it was missing. */
int netns_open(const char *name, int *fd, bool *made, struct error *err);
/* Opens it, or ERROR_NOT_FOUND. */
int netns_find(const char *name, int *fd, struct error *err);
/* Whether `fd` is still what `name` stands for (somebody may have removed or replaced it). */
bool netns_is_current(const char *name, int fd);
/* Removes the name; the namespace ends with its last user. Fine if missing. */
int netns_remove(const char *name, struct error *err);
/* Calls `visit` with every name that begins with `prefix` until it returns other than 0, which is then returned. */
int netns_visit(const char *prefix, int (*visit)(void *context, const char *name, struct error *err),
	void *context, struct error *err);

/* Runs `work` inside the namespace, on a thread of its own, and returns what it returned. Processes that it starts are inside, too. */
int netns_run(int fd, int (*work)(void *context, struct error *err), void *context, struct error *err);
