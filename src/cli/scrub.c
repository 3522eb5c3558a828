/* amid scrub: how far a running server is in verifying its data, and what is damaged; or a pass now. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid scrub [--endpoint URL] [--now [--rate MIB]] [--json]\n\n"
	"A running server reads all that it stores again and again, in the background, and compares it with its digests. This shows how far it is, and what is damaged: which\n"
	"snapshots and volumes, at which offsets, and the images with their devices. Exit status 1 if anything is.\n\n"
	"  --now       verify everything now, from the beginning, and wait for the end\n"
	"  --rate MIB  ... at most so many MiB a second (default: as fast as it can be)\n"
	"  --json      print what the server answers\n\n"
	"Example: amid scrub --now --rate 100\n";

static const struct option options[] = {
	{ "endpoint", required_argument, NULL, 'e' },
	{ "now", no_argument, NULL, 'n' },
	{ "rate", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct request {
	const char *endpoint;
	bool now, raw;
	int64_t rate;
};

static int ask(struct client_connection *connection, const char *method, const char *path, const char *body,
	json_t **answer, struct error *err)
{
	struct client_rest rest = { .service = "ec2",
		.method = method,
		.path = path,
		.body = body,
		.body_size = body ? strlen(body) : 0 };
	return client_call_rest(connection, &rest, CLIENT_ONCE, answer, err);
}

/* The last answer, once no pass that was asked for is under way. */
static int ask_all(struct client_connection *connection, const struct request *request, json_t **answer,
	struct error *err)
{
	char body[64];
	snprintf(body, sizeof body, "{\"rate_mib\":%" PRId64 "}", request->rate);
	if (!request->now)
		return ask(connection, "GET", "/_amid/scrub", NULL, answer, err);
	if (ask(connection, "POST", "/_amid/scrub", body, answer, err))
		return -1;
	while (!json_is_true(json_object_get(*answer, "idle"))) {
		json_decref(*answer);
		/* the server answers when there is news, or after some seconds */
		if (ask(connection, "GET", "/_amid/scrub/wait", NULL, answer, err))
			return -1;
	}
	return 0;
}

static int fetch(const struct request *request, json_t **answer, struct error *err)
{
	struct client *client;
	struct client_connection *connection = NULL;
	if (client_open(request->endpoint, &client, err))
		return -1;
	int result = client_connect(client, &connection, err);
	if (result == 0)
		result = ask_all(connection, request, answer, err);
	client_disconnect(connection);
	client_close(client);
	return result;
}

static long long figure(json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static const char *text(json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "";
}

static void print_damage(json_t *affected)
{
	json_t *range, *image;
	size_t i, j;
	json_array_foreach(affected, i, range)
	{
		printf("  damaged: %s", text(range, "id"));
		if (json_object_get(range, "size"))
			printf(" offset %lld, %lld bytes", figure(range, "offset"), figure(range, "size"));
		else
			printf(" wholly");
		json_array_foreach(json_object_get(range, "images"), j, image)
			printf("%s %s %s", j ? "," : "; image", text(image, "image"), text(image, "device"));
		putchar('\n');
	}
}

/* How many damaged objects there are. */
static long long print_region(json_t *region)
{
	char when[32];
	long long damaged = figure(region, "damaged");
	printf("%s: ", text(region, "region"));
	if (!figure(region, "pass"))
		printf("not verified yet");
	else if (json_is_true(json_object_get(region, "running")))
		printf("pass %lld is under way since %s", figure(region, "pass"),
			clock_format_iso8601(figure(region, "begun_ms"), when));
	else
		printf("pass %lld ended %s", figure(region, "pass"),
			clock_format_iso8601(figure(region, "ended_ms"), when));
	printf(", %lld bytes verified, %lld objects damaged\n", figure(region, "bytes"), damaged);
	print_damage(json_object_get(region, "affected"));
	return damaged;
}

static int read_options(int argc, char **argv, struct request *request)
{
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (option) {
		case 'e':
			request->endpoint = optarg;
			break;
		case 'n':
			request->now = true;
			break;
		case 'j':
			request->raw = true;
			break;
		case 'r':
			if (text_parse_int64(optarg, &request->rate) == 0 && request->rate > 0)
				break;
			fprintf(stderr, "amid scrub: --rate cannot be %s; see amid scrub --help\n", optarg);
			return 3;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return 3;
		}
	if (!request->rate || request->now)
		return 0;
	fputs("amid scrub: --rate goes with --now; the rate in the background is amid serve's --scrub-rate\n",
		stderr);
	return 3;
}

int command_scrub(int argc, char **argv)
{
	struct request request = { 0 };
	struct error err;
	json_t *answer, *region;
	size_t i;
	long long damaged = 0;
	int end = read_options(argc, argv, &request);
	if (end)
		return end - 1;
	if (fetch(&request, &answer, &err))
		return options_fail("scrub", 1, err.message);
	json_array_foreach(json_object_get(answer, "regions"), i, region) damaged +=
		request.raw ? figure(region, "damaged") : print_region(region);
	if (request.raw) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(answer);
	return damaged ? 1 : 0;
}
