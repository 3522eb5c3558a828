/* What several commands share. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"

bool options_read(int argc, char **argv, const char *help, const struct options_place *places, int *status)
{
	struct option options[OPTIONS_MAX + 2] = { 0 }; /* help, and a zeroed one at the end */
	options[0] = (struct option){ "help", no_argument, NULL, 0 };
	for (int i = 0; i < OPTIONS_MAX && places[i].name; i++)
		options[i + 1] = (struct option){ places[i].name,
			places[i].text ? required_argument : no_argument, NULL, i + 1 };
	*status = 0;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == '?') {
			*status = 2;
			return false;
		}
		if (option == 0) {
			fputs(help, stdout);
			return false;
		}
		const struct options_place *place = &places[option - 1];
		if (place->text)
			*place->text = optarg;
		else
			*place->flag = true;
	}
	return true;
}

char *options_default_data(struct arena *arena)
{
	const char *home = getenv("XDG_DATA_HOME");
	if (geteuid() == 0)
		return arena_strdup(arena, "/var/lib/amid");
	if (home && *home)
		return arena_printf(arena, "%s/amid", home);
	home = getenv("HOME");
	return arena_printf(arena, "%s/.local/share/amid", home && *home ? home : ".");
}

int options_find_part(
	const char *built, const char *installed, struct arena *arena, char **path, struct error *err)
{
	char program[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
	if (size < 0)
		return error_set_errno(err, errno, "cannot read /proc/self/exe");
	program[size] = '\0';
	const char *folder = dirname(program);
	char *first = arena_printf(arena, "%s/%s", folder, built);
	char *second = arena_printf(arena, "%s/../%s", folder, installed);
	*path = access(first, R_OK) == 0 ? first : second;
	if (access(*path, R_OK))
		return error_set(err, ERROR_NOT_FOUND,
			"neither %s nor %s is there: is amid built or installed whole?", first, second);
	return 0;
}

char *options_absolute(struct arena *arena, const char *path)
{
	char folder[PATH_MAX];
	if (*path == '/' || !getcwd(folder, sizeof folder))
		return arena_strdup(arena, path);
	return arena_printf(arena, "%s/%s", folder, path);
}

int options_fail(const char *command, int status, const char *message)
{
	fprintf(stderr, "amid %s: %s\n", command, message);
	return status;
}
