/* amid du: what images and snapshots take in the store. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid du [--endpoint URL] [--json] [IMAGE | SNAPSHOT ...]\n\n"
	"Shows what images and snapshots take on the disk, in bytes; without ids, all of the account in the region in use (AWS_REGION).\n\n"
	"  full    all blocks that it is made of\n"
	"  alone   of these, what deleting it would give back (an image: with its snapshots)\n"
	"  shared  the rest: others have them too\n"
	"  added   what is not the same in its parent, the snapshot that its volume was made from\n\n"
	"A figure that is not known is a -: after a crash all are counted anew; added needs a parent that exists.\n\n"
	"Example: amid du ami-0123456789abcdef0\n";

static const char *figure(json_t *resource, const char *name, struct arena *arena)
{
	json_t *value = json_object_get(resource, name);
	if (!json_is_integer(value))
		return "-";
	return arena_printf(arena, "%lld", (long long)json_integer_value(value));
}

static void print_table(json_t *answer, struct arena *arena)
{
	json_t *resource;
	size_t i;
	printf("%-22s %16s %16s %16s %16s  %s\n", "id", "full", "alone", "shared", "added", "name");
	json_array_foreach(json_object_get(answer, "resources"), i, resource)
		printf("%-22s %16s %16s %16s %16s  %s\n", json_string_value(json_object_get(resource, "id")),
			figure(resource, "full_bytes", arena), figure(resource, "alone_bytes", arena),
			figure(resource, "shared_bytes", arena), figure(resource, "added_bytes", arena),
			json_string_value(json_object_get(resource, "name")));
}

static int fetch(const char *endpoint, char **ids, int count, json_t **answer, struct error *err)
{
	json_t *list = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(list, json_string(ids[i]));
	json_t *request = json_pack("{s:o}", "ids", list);
	char *body = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!body)
		return error_set(err, ERROR_INVALID, "the ids are not text");
	struct client_rest rest = { .service = "ec2",
		.method = "POST",
		.path = "/_amid/du",
		.body = body,
		.body_size = strlen(body) };
	int result = client_ask(endpoint, &rest, answer, err);
	free(body);
	return result;
}

int command_du(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *endpoint = NULL;
	bool raw = false;
	const struct options_place places[] = { { "endpoint", .text = &endpoint }, { "json", .flag = &raw },
		{ 0 } };
	int result;
	struct error err;
	json_t *answer;
	if (!options_read(argc, argv, help, places, &result))
		return result;
	if (fetch(endpoint, argv + optind, argc - optind, &answer, &err))
		return options_fail("du", 1, err.message);
	if (raw)
		result = client_print(answer);
	else
		print_table(answer, arena);
	json_decref(answer);
	return result;
}
