/*
 * amid quickstart: builds a Quick Start image with the scripts of images/ and registers it, through the public APIs like any other image, for the platform's account (owner alias "amazon"), public.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid quickstart tiny|debian-12 [OPTION...]\n\n"
	"Builds a Quick Start image and registers it with a running server, owned by the platform (--owners amazon) and public.\n"
	"Prints the image's id alone on the last line of standard output.\n\n"
	"  tiny        Debian's cloud kernel, busybox, dropbear, guest agent: boots in seconds (built in under 30 s)\n"
	"  debian-12   Debian 12 with cloud-init, OpenSSH, guest agent (built in about 2 minutes; needs root)\n\n"
	"  --data DIR       the server's data folder, for the platform's credentials (default as of amid serve)\n"
	"  --endpoint URL   the server (default $AWS_ENDPOINT_URL, or http://127.0.0.1:4566)\n\n"
	"Example: amid quickstart tiny --data /srv/amid\n";

static const struct option options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "endpoint", required_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct quickstart {
	const char *image; /* "tiny" */
	const char *data;
	const char *endpoint;
	struct arena *arena;
};

/* Runs a script with its output on our standard error, where its progress can be seen. */
static int run_script(const char *script, const char *disk, const char *cache, struct error *err)
{
	pid_t child = fork();
	if (child == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl(script, script, disk, cache, (char *)NULL);
		fprintf(stderr, "cannot run %s\n", script);
		_exit(127);
	}
	int status = -1;
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		WEXITSTATUS(status) != 0)
		return error_set(err, ERROR_INTERNAL, "%s failed", script);
	return 0;
}

static int build_disk(struct quickstart *quickstart, char **disk, struct error *err)
{
	struct arena *arena = quickstart->arena;
	char *name = arena_printf(arena, "build-%s.sh", quickstart->image), *script;
	char *cache = arena_printf(arena, "%s/quickstart", quickstart->data);
	if (options_find_part(arena_printf(arena, "../images/%s", name),
		    arena_printf(arena, "share/amid/images/%s", name), arena, &script, err) ||
		file_make_folder(cache, 0755, err))
		return -1;
	*disk = arena_printf(arena, "%s/%s.raw", cache, quickstart->image);
	return run_script(script, *disk, cache, err);
}

/* The import command, as the platform's account. */
static int import_disk(struct quickstart *quickstart, char *disk)
{
	char stamp[32], name[96], description[96];
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof stamp, "%Y%m%d.%H%M%S", &tm);
	snprintf(name, sizeof name, "amid-%s-%s", quickstart->image, stamp);
	snprintf(description, sizeof description, "amid Quick Start image %s", quickstart->image);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	setenv("AWS_SHARED_CREDENTIALS_FILE",
		arena_printf(quickstart->arena, "%s/platform-credentials", quickstart->data), 1);
	if (quickstart->endpoint)
		setenv("AWS_ENDPOINT_URL", quickstart->endpoint, 1);
	char command[] = "import", name_option[] = "--name", description_option[] = "--description",
	     public_option[] = "--public";
	char *arguments[] = { command, disk, name_option, name, description_option, description,
		public_option, NULL };
	optind = 0; /* getopt starts anew */
	return command_import(7, arguments);
}

int command_quickstart(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct quickstart quickstart = { .data = options_default_data(arena), .arena = arena };
	struct error err;
	char *disk;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (option != 'd' && option != 'e')
			return 2;
		*(option == 'd' ? &quickstart.data : &quickstart.endpoint) = optarg;
	}
	if (optind + 1 != argc ||
		(strcmp(argv[optind], "tiny") != 0 && strcmp(argv[optind], "debian-12") != 0))
		return options_fail(
			"quickstart", 2, "name one image, tiny or debian-12; see amid quickstart --help");
	quickstart.image = argv[optind];
	quickstart.data = options_absolute(arena, quickstart.data);
	if (build_disk(&quickstart, &disk, &err))
		return options_fail("quickstart", 1, err.message);
	int status = import_disk(&quickstart, disk);
	unlink(disk);
	return status;
}
