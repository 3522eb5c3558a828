/* amid serve: runs the server until SIGTERM or SIGINT. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/space.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "svc/peers.h"
#include "svc/root_key.h"
#include "svc/server.h"
#include "base/banned.h"

enum { HOURS_MAX = 10 * 366 * 24, COMPRESS_AFTER_MS = 3600 * 1000 };

static const char help[] =
	"Usage: amid serve [OPTION...]\n\n"
	"Runs the server in the foreground. SIGTERM stops it; instances run on and are taken up again at the next start.\n\n"
	"  --data DIR          where everything is kept (default /var/lib/amid, or ~/.local/share/amid without root)\n"
	"  --listen ADDR:PORT  where the API is served (default 127.0.0.1:4566)\n"
	"  --audit-keep DAYS   how long the audit trail is kept; 0: for ever (default 90)\n"
	"  --auth iam|any      iam: signatures are checked; any: all credentials pass as account 123456789012 (default iam)\n"
	"  --compute qemu|dry  qemu: real machines; dry: the same states without machines, for tests of API clients (default qemu)\n"
	"  --io-limits on|off  on: disks are held to the IOPS and throughput that their volumes' types promise (default on)\n"
	"  --region A,B,...    regions served, the first is the default one (default us-east-1)\n"
	"  --reserve SIZE      what stores and guests leave free on the disk: bytes (20G) or percent (5%) (default 2%, at most 1 GiB)\n"
	"  --compress-after H  blocks of snapshots that no volume stands on are compressed when they were not read for so many hours,\n"
	"                      but what boots of an image have read; 0: never (default 1)\n"
	"  --peer REGION=URL   a region of another amid, to copy from; may be repeated. The other one must have the same key\n"
	"  --peer-key FILE     32 bytes, 0600: key of the peers that follow (the first one: also of those before it), and of what they ask here\n"
	"  --root-key FILE     32 bytes that everything secret in DATA is sealed under (default DATA/root-key, made at the first start)\n"
	"  --root-key-passphrase-file FILE  the root key is made of the passphrase in the first line of FILE instead\n"
	"  --root-key-pkcs11 URI            ... or kept under an AES key that stays on a PKCS#11 token (RFC 7512):\n"
	"                      pkcs11:token=TOKEN;object=KEY?module-path=/PATH/MODULE.so&pin-source=file:/PATH, a file (0600) with the PIN. The key is made with\n"
	"                      pkcs11-tool --module MODULE --token-label TOKEN --login --keygen --key-type AES:32 --label KEY --sensitive\n"
	"                      (amid rekey changes the root key of a data folder)\n"
	"  --tls-cert FILE --tls-key FILE   PEM files: serve HTTPS\n"
	"  --scrub-rate MIB    how fast stored data is verified in the background, MiB a second; 0: not at all (default 8)\n"
	"  --verbose           log more\n\n"
	"Example: amid serve --data /srv/amid --region us-east-1,eu-west-1\n";

static const struct option options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "listen", required_argument, NULL, 'l' },
	{ "audit-keep", required_argument, NULL, 'A' },
	{ "auth", required_argument, NULL, 'a' },
	{ "compute", required_argument, NULL, 'c' },
	{ "io-limits", required_argument, NULL, 'i' },
	{ "region", required_argument, NULL, 'r' },
	{ "reserve", required_argument, NULL, 'R' },
	{ "compress-after", required_argument, NULL, 'z' },
	{ "tls-cert", required_argument, NULL, 'C' },
	{ "tls-key", required_argument, NULL, 'K' },
	{ "root-key", required_argument, NULL, 'k' },
	{ "root-key-passphrase-file", required_argument, NULL, 'p' },
	{ "peer", required_argument, NULL, 'P' },
	{ "peer-key", required_argument, NULL, 'Q' },
	{ "root-key-pkcs11", required_argument, NULL, 't' },
	{ "scrub-rate", required_argument, NULL, 's' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

enum { SCRUB_RATE_MAX = 100000, AUDIT_KEEP_MAX = 36600 };

static int wrong_use(const char *option, const char *value)
{
	fprintf(stderr, "amid serve: %s cannot be %s; see amid serve --help\n", option, value);
	return 2;
}

static bool is_region_name(const char *name)
{
	size_t size = strlen(name);
	return size >= 3 && size <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size &&
		*name != '-';
}

static int read_hours(const char *text, int64_t *ms)
{
	int64_t hours;
	if (text_parse_int64(text, &hours) || hours < 0 || hours > HOURS_MAX)
		return 1 + wrong_use("--compress-after", text);
	*ms = hours * 3600 * 1000;
	return 0;
}

/* --peer and --peer-key, in the order given. */
struct peer_options {
	struct amid_peer_config items[PEERS_MAX];
	size_t count;
	const char *first_key, *key;
};

/* Fills the next item. What the URL is like is for the server to say. */
static int read_peer(struct peer_options *peers, char *text)
{
	char *equals = strchr(text, '=');
	if (equals)
		*equals = '\0';
	if (peers->count == PEERS_MAX || !equals || !is_region_name(text))
		return 1 + wrong_use("--peer", text);
	peers->items[peers->count++] =
		(struct amid_peer_config){ .region = text, .url = equals + 1, .key = peers->key };
	return 0;
}

/* A key alone lets others ask. */
static int read_peer_key(struct peer_options *peers, const char *path)
{
	if (peers->count == PEERS_MAX)
		return 1 + wrong_use("--peer-key", path);
	peers->key = path;
	if (!peers->first_key)
		peers->first_key = path;
	peers->items[peers->count++] = (struct amid_peer_config){ .key = path };
	return 0;
}

static int finish_peers(struct peer_options *peers, struct amid_config *config)
{
	for (size_t i = 0; i < peers->count; i++)
		if (!peers->items[i].key && !(peers->items[i].key = peers->first_key))
			return -1;
	config->peers = peers->items;
	config->peer_count = peers->count;
	return 0;
}

/* 0, or an exit status + 1 to end with. */
static int read_option(
	int option, struct amid_config *config, const char **regions, struct peer_options *peers)
{
	int64_t rate;
	switch (option) {
	case 'd':
		config->data = optarg;
		return 0;
	case 'l':
		config->listen = optarg;
		return 0;
	case 'a':
		config->auth_any = strcmp(optarg, "any") == 0;
		return config->auth_any || strcmp(optarg, "iam") == 0 ? 0 : 1 + wrong_use("--auth", optarg);
	case 'A':
		if (text_parse_int64(optarg, &rate) || rate < 0 || rate > AUDIT_KEEP_MAX)
			return 1 + wrong_use("--audit-keep", optarg);
		config->audit_keep_days = (unsigned)rate;
		return 0;
	case 'c':
		config->compute = strcmp(optarg, "dry") == 0 ? &compute_driver_dry : &compute_driver_qemu;
		return strcmp(optarg, config->compute->name) == 0 ? 0 : 1 + wrong_use("--compute", optarg);
	case 'i':
		config->io_unlimited = strcmp(optarg, "off") == 0;
		return config->io_unlimited || strcmp(optarg, "on") == 0
			? 0
			: 1 + wrong_use("--io-limits", optarg);
	case 'r':
		*regions = optarg;
		return 0;
	case 'R':
		config->reserve = optarg;
		return space_parse_reserve(optarg, &(struct space_reserve){ 0 }, NULL)
			? 1 + wrong_use("--reserve", optarg)
			: 0;
	case 'z':
		return read_hours(optarg, &config->compress_after_ms);
	case 'C':
		config->tls_certificate = optarg;
		return 0;
	case 'K':
		config->tls_key = optarg;
		return 0;
	case 'k':
		config->root_key = optarg;
		return 0;
	case 'p':
		config->root_key_passphrase = optarg;
		return 0;
	case 't':
		config->root_key_pkcs11 = optarg;
		return 0;
	case 's':
		if (text_parse_int64(optarg, &rate) || rate < 0 || rate > SCRUB_RATE_MAX)
			return 1 + wrong_use("--scrub-rate", optarg);
		config->scrub_rate_mib = (unsigned)rate;
		return 0;
	case 'P':
		return read_peer(peers, optarg);
	case 'Q':
		return read_peer_key(peers, optarg);
	case 'v':
		log_set_level(LOG_DEBUG);
		return 0;
	case 'h':
		fputs(help, stdout);
		return 1;
	default:
		return 3;
	}
}

/* Every guest takes some descriptors, and the default soft limit is low; the hard limit is what the operator allows. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int wait_for_signal(const sigset_t *signals)
{
	int received = 0;
	while (sigwait(signals, &received))
		;
	return received;
}

static int run(const struct amid_config *config)
{
	sigset_t signals;
	struct server *server;
	struct error err;
	/* blocked before any thread starts, so that only sigwait below sees them */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	if (server_open(config, &server, &err))
		return options_fail("serve", 1, err.message);
	printf("endpoint %s\n", server_endpoint(server));
	if (server_is_first_start(server))
		printf("root credentials %s/root-credentials\n", config->data);
	fflush(stdout);
	log_info("stopping", "signal=%d", wait_for_signal(&signals));
	server_close(server);
	return 0;
}

int command_serve(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *regions = "us-east-1";
	struct amid_config config = { .data = options_default_data(arena),
		.listen = "127.0.0.1:4566",
		.compute = &compute_driver_qemu,
		.audit_keep_days = 90,
		.compress_after_ms = COMPRESS_AFTER_MS,
		.scrub_rate_mib = 8 };
	struct peer_options peers = { .count = 0 };
	struct error err;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		int end = read_option(option, &config, &regions, &peers);
		if (end)
			return end - 1;
	}
	if (optind < argc)
		return wrong_use("an argument", argv[optind]);
	if (!config.tls_certificate != !config.tls_key)
		return options_fail("serve", 2, "--tls-cert and --tls-key go together");
	struct secrets_config root = { config.data, config.root_key, config.root_key_passphrase,
		config.root_key_pkcs11 };
	if (root_key_check(&root, &err))
		return options_fail("serve", 2, err.message);
	if (finish_peers(&peers, &config))
		return options_fail("serve", 2, "--peer needs a --peer-key");
	size_t count;
	config.regions = (const char *const *)text_split(arena, regions, ',', &count);
	for (size_t i = 0; i < count; i++)
		if (!is_region_name(config.regions[i]))
			return wrong_use("a region's name", config.regions[i]);
	char **list = arena_alloc_array(arena, count + 1, sizeof *list);
	for (size_t i = 0; i < count; i++)
		list[i] = arena_strdup(arena, config.regions[i]);
	config.regions = (const char *const *)list;
	config.data = options_absolute(arena, config.data);
	char *plugin, *gate_program;
	if (options_find_part("amid-volume.so", "lib/amid/amid-volume.so", arena, &plugin, &err) ||
		options_find_part("amid-gate", "lib/amid/amid-gate", arena, &gate_program, &err))
		return options_fail("serve", 1, err.message);
	config.plugin = plugin;
	config.gate_program = gate_program;
	return run(&config);
}
