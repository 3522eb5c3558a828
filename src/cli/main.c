/* The program `amid`: picks a command. Each command is a file of this folder. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "base/banned.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{ "serve", command_serve, "run the server" },
	{ "quickstart", command_quickstart, "build and register a Quick Start image (tiny, debian-12)" },
	{ "account", command_account, "make accounts, list them, give their roots other keys" },
	{ "import", command_import, "register a disk file as an image" },
	{ "status", command_status, "show what a server holds" },
	{ "show", command_show, "show a snapshot or an image: root digest, blocks, parents" },
	{ "du", command_du, "show what images and snapshots take" },
	{ "explain", command_explain, "why somebody may not launch an image" },
	{ "scrub", command_scrub, "verify a running server's data; tell what is damaged" },
	{ "audit", command_audit, "show and check the audit trail in a data folder" },
	{ "secrets", command_secrets, "find keys and credentials in what is shared" },
	{ "rekey", command_rekey, "give a data folder that no server uses another root key" },
	{ "fsck", command_fsck, "check a data folder that no server uses" },
};

static void print_help(FILE *out)
{
	fputs("amid - machine images (AMIs) on your own hardware\n\n"
	      "Usage: amid COMMAND [OPTION...]\n\n"
	      "Commands:\n",
		out);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`amid COMMAND --help` tells more. A first session:\n\n"
	      "  amid serve &\n"
	      "  amid quickstart tiny\n"
	      "  export AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_REGION=us-east-1\n"
	      "  export AWS_SHARED_CREDENTIALS_FILE=/var/lib/amid/root-credentials\n"
	      "  aws ec2 describe-images --owners amazon\n",
		out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("amid " AMID_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "amid: there is no command %s; see amid --help\n", argv[1]);
	return 2;
}
