/* amid show: a snapshot or an image, with what is known of it beyond AWS's fields. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid show [--endpoint URL] [--json] SNAPSHOT|IMAGE\n\n"
	"Shows a snapshot or an image of any region: state, size, blocks that are not zeros, root digest (of an image: of each device), parents, how consistent\n"
	"it is. Equal root digests mean equal disks, in whatever region. --json prints what the server answers.\n\n"
	"Example: AWS_ENDPOINT_URL=http://127.0.0.1:4566 amid show snap-0123456789abcdef0\n";

static void print_texts(const char *name, json_t *list)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item) printf("%-16s %s\n", name, json_string_value(item));
}

/* A line for each member; what is in a list of objects (an image's devices) follows behind an empty line each. */
static void print_object(json_t *object)
{
	const char *name;
	json_t *value, *item;
	size_t i;
	json_object_foreach(object, name, value)
	{
		if (json_is_string(value))
			printf("%-16s %s\n", name, json_string_value(value));
		else if (json_is_integer(value))
			printf("%-16s %lld\n", name, (long long)json_integer_value(value));
		else if (json_is_array(value) && json_is_string(json_array_get(value, 0)))
			print_texts(name, value);
	}
	json_array_foreach(json_object_get(object, "devices"), i, item)
	{
		putchar('\n');
		print_object(item);
	}
}

static int fetch(const char *endpoint, const char *id, json_t **shown, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct client_rest rest = {
		.service = "ec2", .method = "GET", .path = arena_printf(arena, "/_amid/show/%s", id)
	};
	if (id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return error_set(err, ERROR_INVALID, "%s is no ID of a snapshot or an image", id);
	return client_ask(endpoint, &rest, shown, err);
}

int command_show(int argc, char **argv)
{
	const char *endpoint = NULL;
	bool raw = false;
	const struct options_place places[] = { { "endpoint", .text = &endpoint }, { "json", .flag = &raw },
		{ 0 } };
	int result;
	struct error err;
	json_t *shown;
	if (!options_read(argc, argv, help, places, &result))
		return result;
	if (optind + 1 != argc)
		return options_fail("show", 2, "name one snapshot or image");
	if (fetch(endpoint, argv[optind], &shown, &err))
		return options_fail("show", 1, err.message);
	if (raw)
		result = client_print(shown);
	else
		print_object(shown);
	json_decref(shown);
	return result;
}
