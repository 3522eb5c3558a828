/* amid audit: shows and checks the audit trail in a data folder; the server may run or not. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "audit/search.h"
#include "audit/verify.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "svc/audit.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid audit tail [--data DIR] [--lines N] [--json]\n"
	"       amid audit verify [--data DIR]\n\n"
	"tail shows the newest records (20), the oldest of them first: a line each, or as they are (--json).\n"
	"verify checks that no record was changed, removed or put in: each line has the digest of the one before. It prints the digest of the last\n"
	"line; noted elsewhere, it shows that nobody has written everything anew. Exit status 1, with the first line at fault, if the trail is not whole.\n\n"
	"Example: amid audit verify --data /srv/amid\n";

static const struct option options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "lines", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

enum { LINES_MAX = 100000 };

struct tail {
	struct arena *arena;
	const char **events; /* newest first */
	size_t count, most;
};

static bool take(void *context, const char *event, size_t size, const struct audit_place *place)
{
	struct tail *tail = context;
	*ARENA_APPEND(tail->arena, tail->events, tail->count) = arena_strndup(tail->arena, event, size);
	return tail->count < tail->most;
}

static const char *text_at(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "-";
}

/* Whoever writes names into records does not get to move the cursor of whoever reads them: JSON's escapes are kept off the terminal. */
static void print_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_line(const char *event)
{
	json_t *root = json_loads(event, 0, NULL), *identity = json_object_get(root, "userIdentity");
	json_t *decided = json_object_get(json_object_get(root, "additionalEventData"), "amid");
	const char *who = json_string_value(json_object_get(identity, "arn"));
	const char *const cells[] = { text_at(root, "eventTime"), text_at(root, "recipientAccountId"),
		who ? who : text_at(identity, "accessKeyId"), text_at(root, "sourceIPAddress"),
		text_at(root, "eventSource"), text_at(root, "eventName"), text_at(root, "errorCode"),
		text_at(decided, "policy") };
	for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
		if (i)
			putchar('\t');
		print_text(cells[i]);
	}
	putchar('\n');
	json_decref(root);
}

static int show_tail(const char *folder, size_t most, bool json, struct arena *arena)
{
	struct tail tail = { .arena = arena, .most = most };
	const struct audit_search search = { .found = take, .context = &tail };
	struct error err;
	if (audit_search(folder, &search, &err))
		return options_fail("audit", 1, err.message);
	for (size_t i = tail.count; i-- > 0;) {
		if (json)
			puts(tail.events[i]);
		else
			print_line(tail.events[i]);
	}
	return 0;
}

static int verify(const char *folder)
{
	struct audit_verdict verdict;
	struct error err;
	char hex[2 * DIGEST_SIZE + 1];
	if (audit_verify(folder, &verdict, &err))
		return options_fail("audit", 1, err.message);
	if (!verdict.whole) {
		printf("fault: %s\n", verdict.fault);
		return 1;
	}
	if (verdict.torn)
		puts("the last line is not complete: it is being written, or the next start cuts it off");
	printf("whole: %" PRIu64 " records in %zu files, last %s\n", verdict.lines, verdict.files,
		text_hex(verdict.last.bytes, DIGEST_SIZE, hex));
	return 0;
}

int command_audit(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *data = options_default_data(arena);
	int64_t lines = 20;
	bool json = false;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		} else if (option == 'd') {
			data = optarg;
		} else if (option == 'j') {
			json = true;
		} else if (option != 'n' || text_parse_int64(optarg, &lines) || lines < 1 ||
			lines > LINES_MAX) {
			return 2;
		}
	}
	if (optind + 1 != argc) {
		fputs(help, stderr);
		return 2;
	}
	const char *folder = arena_printf(arena, "%s/" AUDIT_FOLDER, options_absolute(arena, data));
	if (strcmp(argv[optind], "tail") == 0)
		return show_tail(folder, (size_t)lines, json, arena);
	if (strcmp(argv[optind], "verify") == 0)
		return verify(folder);
	fputs(help, stderr);
	return 2;
}
