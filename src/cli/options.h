/* What several commands share: the data folder, where installed parts are, messages. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

/* /var/lib/amid for root, else $XDG_DATA_HOME/amid or ~/.local/share/amid. */
char *options_default_data(struct arena *arena);
/*
 * A part of amid beside the running program: in a build folder, or below the installation's prefix. `built` is relative to the folder of the program, `installed` to PREFIX. ERROR_NOT_FOUND names both places.
 */
int options_find_part(
	const char *built, const char *installed, struct arena *arena, char **path, struct error *err);
/* An absolute form of a path that need not exist. */
char *options_absolute(struct arena *arena, const char *path);
/* "amid COMMAND: MESSAGE" on standard error; returns `status`. */
int options_fail(const char *command, int status, const char *message);
