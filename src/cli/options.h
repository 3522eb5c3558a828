/* What several commands share: the data folder, where installed parts are, messages. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

/* An option: "--NAME TEXT", which sets *text, or "--NAME", which sets *flag. A list of them ends with a NULL name. */
struct options_place {
	const char *name;
	const char **text;
	bool *flag;
};
enum { OPTIONS_MAX = 15 };

/*
 * Reads a command's options; --help is one of every command. true: *status is 0, optind (getopt.h) the first argument that is none. false: the command ends with *status: 0 after --help, 2 after an option that there is not, which it has said.
 */
bool options_read(int argc, char **argv, const char *help, const struct options_place *places, int *status);

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
