/* amid fsck: checks a data folder that no server uses. */
#include <getopt.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "svc/check.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid fsck [--data DIR]\n\n"
	"Checks everything in a data folder: every block against its digest, every tree, every volume's layers, the metadata, and that they agree.\n"
	"The server must be stopped. Changes nothing but what opening after a crash would. Prints a line for each fault; exit status 1 if there are any.\n\n"
	"Example: amid fsck --data /srv/amid\n";

static const struct option options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void print_fault(void *context, const char *line)
{
	fprintf(context, "fault: %s\n", line);
}

int command_fsck(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *data = options_default_data(arena);
	struct error err;
	uint64_t faults;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (option != 'd')
			return 2;
		data = optarg;
	}
	if (check_data(options_absolute(arena, data), print_fault, stdout, &faults, &err))
		return options_fail("fsck", 1, err.message);
	if (faults)
		printf("%llu faults\n", (unsigned long long)faults);
	else
		puts("clean");
	return faults ? 1 : 0;
}
