/* amid status: what a running server holds. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid status [--endpoint URL] [--json | --field NAME]\n\n"
	"Shows what a running server holds: a line for each region. --json prints what the server answers; --field prints one figure of the region in use\n"
	"(AWS_REGION): store_bytes, store_objects, store_available, images, snapshots, volumes, instances, damaged;\n"
	"and what was done to the store since the start: compacted_bytes, packs_removed, compressed_blocks, compression_saved_bytes, warmed_blocks.\n\n"
	"Example: AWS_ENDPOINT_URL=http://127.0.0.1:4566 amid status\n";

static long long figure(json_t *region, const char *name)
{
	return (long long)json_integer_value(json_object_get(region, name));
}

/* What was done to the stores in the background. */
static void print_upkeep(json_t *status)
{
	json_t *region;
	size_t i;
	printf("\n%-16s %16s %14s %18s %12s %14s\n", "since the start", "compacted bytes", "packs removed",
		"compressed blocks", "bytes saved", "warmed blocks");
	json_array_foreach(json_object_get(status, "regions"), i, region)
	{
		printf("%-16s %16lld %14lld %18lld %12lld %14lld\n",
			json_string_value(json_object_get(region, "region")),
			figure(region, "compacted_bytes"), figure(region, "packs_removed"),
			figure(region, "compressed_blocks"), figure(region, "compression_saved_bytes"),
			figure(region, "warmed_blocks"));
	}
}

static void print_table(json_t *status)
{
	json_t *region;
	size_t i;
	printf("%-16s %7s %10s %8s %10s %16s %12s %18s %8s\n", "region", "images", "snapshots", "volumes",
		"instances", "store bytes", "objects", "available bytes", "damaged");
	json_array_foreach(json_object_get(status, "regions"), i, region)
		printf("%-16s %7lld %10lld %8lld %10lld %16lld %12lld %18lld %8lld\n",
			json_string_value(json_object_get(region, "region")), figure(region, "images"),
			figure(region, "snapshots"), figure(region, "volumes"), figure(region, "instances"),
			figure(region, "store_bytes"), figure(region, "store_objects"),
			figure(region, "store_available"), figure(region, "damaged"));
	print_upkeep(status);
}

/* The region that a client would use: AWS_REGION, else the server's first. */
static int print_field(json_t *status, const char *name, struct error *err)
{
	const char *wanted = getenv("AWS_REGION");
	json_t *region, *regions = json_object_get(status, "regions");
	size_t i;
	json_array_foreach(regions, i, region)
	{
		if (wanted && *wanted &&
			strcmp(wanted, json_string_value(json_object_get(region, "region"))) != 0)
			continue;
		if (!json_is_integer(json_object_get(region, name)))
			return error_set(err, ERROR_INVALID, "there is no field %s", name);
		printf("%lld\n", figure(region, name));
		return 0;
	}
	return error_set(err, ERROR_INVALID, "the server has no region %s", wanted ? wanted : "at all");
}

int command_status(int argc, char **argv)
{
	const char *endpoint = NULL, *field = NULL;
	bool raw = false;
	const struct options_place places[] = { { "endpoint", .text = &endpoint }, { "json", .flag = &raw },
		{ "field", .text = &field }, { 0 } };
	int result;
	struct error err;
	json_t *status;
	if (!options_read(argc, argv, help, places, &result))
		return result;
	const struct client_rest rest = { .service = "ec2", .method = "GET", .path = "/_amid/status" };
	if (client_ask(endpoint, &rest, &status, &err))
		return options_fail("status", 1, err.message);
	if (raw)
		result = client_print(status);
	else if (field)
		result = print_field(status, field, &err) ? options_fail("status", 1, err.message) : 0;
	else
		print_table(status);
	json_decref(status);
	return result;
}
