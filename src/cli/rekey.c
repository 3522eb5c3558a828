/* amid rekey: another root key for a data folder that no server uses. */
#include <getopt.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "svc/rekey.h"
#include "svc/root_key.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid rekey [--data DIR] [OLD ROOT KEY] NEW ROOT KEY\n\n"
	"Puts the master key of a data folder, under which all its secrets are sealed, under another root key: a file, a passphrase, or a key that stays on a PKCS#11 token. The server must be\n"
	"stopped. It is one commit: when it is cut short, the folder opens with the old root key, otherwise with the new one only. The new key has to exist; a file is made with\n"
	"`head -c 32 /dev/urandom > FILE` and mode 0600, a token's key as amid serve --help says. An old file is left where it is; the master key does not change, so copies of the\n"
	"folder from before still open with the old root key.\n\n"
	"  --data DIR                           the data folder (default /var/lib/amid, or ~/.local/share/amid without root)\n"
	"  --root-key FILE                      the root key so far, as amid serve is given it (default DATA/root-key)\n"
	"  --root-key-passphrase-file FILE\n"
	"  --root-key-pkcs11 URI\n"
	"  --new-root-key FILE                  the root key from now on: one of these\n"
	"  --new-root-key-passphrase-file FILE\n"
	"  --new-root-key-pkcs11 URI\n\n"
	"Example: amid rekey --data /srv/amid --new-root-key-pkcs11 'pkcs11:token=hsm;object=amid?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/amid/pin'\n";

static const struct option options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "root-key", required_argument, NULL, 'k' },
	{ "root-key-passphrase-file", required_argument, NULL, 'p' },
	{ "root-key-pkcs11", required_argument, NULL, 't' },
	{ "new-root-key", required_argument, NULL, 'K' },
	{ "new-root-key-passphrase-file", required_argument, NULL, 'P' },
	{ "new-root-key-pkcs11", required_argument, NULL, 'T' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* 0, or an exit status + 1 to end with. */
static int read_option(int option, struct secrets_config *from, struct secrets_config *to)
{
	switch (option) {
	case 'd':
		from->data = optarg;
		return 0;
	case 'k':
		from->root_key = optarg;
		return 0;
	case 'p':
		from->passphrase = optarg;
		return 0;
	case 't':
		from->pkcs11 = optarg;
		return 0;
	case 'K':
		to->root_key = optarg;
		return 0;
	case 'P':
		to->passphrase = optarg;
		return 0;
	case 'T':
		to->pkcs11 = optarg;
		return 0;
	case 'h':
		fputs(help, stdout);
		return 1;
	default:
		return 3;
	}
}

int command_rekey(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct secrets_config from = { .data = options_default_data(arena) }, to = { 0 };
	struct error err;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		int end = read_option(option, &from, &to);
		if (end)
			return end - 1;
	}
	if (optind < argc) {
		fprintf(stderr, "amid rekey: there is no argument %s; see amid rekey --help\n", argv[optind]);
		return 2;
	}
	if (!to.root_key && !to.passphrase && !to.pkcs11)
		return options_fail("rekey", 2, "which root key from now on? see amid rekey --help");
	if (root_key_check(&from, &err) || root_key_check(&to, &err))
		return options_fail("rekey", 2, err.message);
	from.data = to.data = options_absolute(arena, from.data);
	if (rekey_data(&from, &to, &err))
		return options_fail("rekey", 1, err.message);
	printf("the root key of %s is %s; %s does not open it any more\n", from.data,
		root_key_name(&to, arena), root_key_name(&from, arena));
	return 0;
}
