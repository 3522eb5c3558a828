/*
 * A door with the three services and a few handlers that show what reached them, for test_door.py. Everything else answers Unsupported. Prints its endpoint, then serves until standard input ends.
 *
 *	door-server iam|any [CERTIFICATE KEY [CONNECTIONS REQUEST-SECONDS]]       "-" for no certificate and key
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/ebs.h"
#include "api/ec2.h"
#include "api/sts.h"
#include "aws/door.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/banned.h"

static int refuse(struct call *call, const void *request, void *result, struct error *err)
{
	return error_set(
		err, ERROR_UNSUPPORTED, "%s has no handler in this server", call->operation->shape->name);
}

static int describe_regions(struct call *call, const void *request, void *result, struct error *err)
{
	const struct ec2_DescribeRegionsRequest *in = request;
	struct ec2_DescribeRegionsResult *out = result;
	out->regions = (struct ec2_RegionList){ arena_alloc_array(call->arena, in->region_names.count + 1,
							sizeof *out->regions.items),
		in->region_names.count + 1, true };
	out->regions.items[0].region_name = call->region;
	out->regions.items[0].endpoint = call->source_ip;
	for (size_t i = 0; i < in->region_names.count; i++)
		out->regions.items[i + 1].region_name = in->region_names.items[i];
	return 0;
}

/* "conflict-N" meets a concurrent change in every run but each Nth; "internal" fails with what nobody may see. */
static int delete_key_pair(struct call *call, const void *request, void *result, struct error *err)
{
	static atomic_int runs;
	const struct ec2_DeleteKeyPairRequest *in = request;
	struct ec2_DeleteKeyPairResult *out = result;
	const char *name = in->key_name ? in->key_name : "";
	if (strcmp(name, "internal") == 0)
		return error_set(err, ERROR_INTERNAL, "inner detail");
	if (out->key_pair_id)
		return error_set(err, ERROR_INVALID, "the result is not clean");
	out->key_pair_id = arena_printf(call->arena, "run-%d", atomic_fetch_add(&runs, 1) + 1);
	out->return_ = some_boolean(true);
	int64_t every;
	if (text_starts_with(name, "conflict-") &&
		text_parse_int64(name + strlen("conflict-"), &every) == 0 && atomic_load(&runs) % every != 0)
		return error_set(err, ERROR_CONFLICT, "changed meanwhile");
	return 0;
}

static int get_caller_identity(struct call *call, const void *request, void *result, struct error *err)
{
	struct sts_GetCallerIdentityResponse *out = result;
	out->account = call->account;
	out->arn = call->principal->arn;
	out->user_id = call->principal->id;
	return 0;
}

static int put_snapshot_block(struct call *call, const void *request, void *result, struct error *err)
{
	const struct ebs_PutSnapshotBlockRequest *in = request;
	struct ebs_PutSnapshotBlockResponse *out = result;
	struct digest digest;
	digest_sha256(in->block_data.data, in->block_data.size, &digest);
	out->checksum = text_base64(call->arena, digest.bytes, DIGEST_SIZE);
	out->checksum_algorithm = "SHA256";
	return 0;
}

static int get_snapshot_block(struct call *call, const void *request, void *result, struct error *err)
{
	const struct ebs_GetSnapshotBlockRequest *in = request;
	struct ebs_GetSnapshotBlockResponse *out = result;
	enum { SIZE = 512 * 1024 };
	uint8_t *data = arena_alloc(call->arena, SIZE);
	memset(data, (int)integer_or(in->block_index, 0), SIZE);
	out->block_data = (struct shape_blob){ data, SIZE };
	out->data_length = some_integer(SIZE);
	out->checksum = arena_strdup(call->arena, in->block_token);
	out->checksum_algorithm = "SHA256";
	return 0;
}

/* The generated service, with the handlers of this file in place of its own. */
static const struct service *with_handlers(const struct service *service, struct arena *arena)
{
	static const struct {
		const char *name;
		int (*handler)(struct call *, const void *, void *, struct error *);
	} handlers[] = {
		{ "DescribeRegions", describe_regions },
		{ "DeleteKeyPair", delete_key_pair },
		{ "GetCallerIdentity", get_caller_identity },
		{ "PutSnapshotBlock", put_snapshot_block },
		{ "GetSnapshotBlock", get_snapshot_block },
	};
	struct service *copy = arena_memdup(arena, service, sizeof *service);
	struct operation *operations =
		arena_memdup(arena, service->operations, service->operation_count * sizeof *operations);
	for (unsigned i = 0; i < service->operation_count; i++) {
		operations[i].handler = refuse;
		for (size_t k = 0; k < sizeof handlers / sizeof *handlers; k++)
			if (strcmp(handlers[k].name, operations[i].shape->name) == 0)
				operations[i].handler = handlers[k].handler;
	}
	copy->operations = operations;
	return copy;
}

static bool is_same(const char *given, const char *expected)
{
	return given && expected ? strcmp(given, expected) == 0 : given == expected;
}

static int lookup(void *context, const char *access_key_id, const char *session_token, struct arena *arena,
	struct door_identity *identity, struct error *err)
{
	static const struct door_identity root = { .secret = "test/secret+KEY",
		.principal = { .type = PRINCIPAL_ROOT,
			.account = "111122223333",
			.arn = "arn:aws:iam::111122223333:root",
			.id = "111122223333" } };
	static const struct door_identity temporary = { .secret = "other-secret",
		.principal = { .type = PRINCIPAL_ROLE_SESSION,
			.account = "111122223333",
			.arn = "arn:aws:sts::111122223333:assumed-role/r/s",
			.id = "AROATEST:s" } };
	const char *expected = NULL;
	if (strcmp(access_key_id, "AKIATESTTESTTEST") == 0)
		*identity = root;
	else if (strcmp(access_key_id, "ASIATESTTESTTEST") == 0) {
		*identity = temporary;
		expected = "the/session+token==";
	} else if (strcmp(access_key_id, "AKIABROKENBROKEN") == 0)
		return error_set(err, ERROR_UNAVAILABLE, "the accounts cannot be read");
	else
		return error_set(err, ERROR_NOT_FOUND, "no such key");
	if (!is_same(session_token, expected))
		return error_set(err, ERROR_NOT_FOUND, "not with that token");
	return 0;
}

/* The door is tested here, not policies: whoever is let in may do everything. */
static int allow(struct call *call, const void *input, struct error *err)
{
	return 0;
}

static int extra(void *context, struct call *call, const struct http_request *http,
	struct http_response *response, struct error *err)
{
	if (strcmp(http->path, "/_amid/whoami") != 0)
		return error_set(err, ERROR_NOT_FOUND, "there is nothing here");
	response->status = 200;
	response->content_type = "text/plain";
	buffer_printf(&response->body, "%s %s", call->account ? call->account : "nobody", call->region);
	return 0;
}

int main(int count, char **arguments)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	static const char *const regions[] = { "us-east-1", "eu-west-1", NULL };
	const struct service *const services[] = { with_handlers(&ec2_service, arena),
		with_handlers(&ebs_service, arena), with_handlers(&sts_service, arena), NULL };
	struct door_config config = {
		.listen = "127.0.0.1:0",
		.auth_any = count > 1 && strcmp(arguments[1], "any") == 0,
		.regions = regions,
		.services = services,
		.lookup = lookup,
		.authorize = allow,
		.extra = extra,
	};
	if (count > 3 && strcmp(arguments[2], "-") != 0) {
		config.tls_certificate = arguments[2];
		config.tls_key = arguments[3];
	}
	if (count > 5) {
		config.limits.connections = (unsigned)strtoul(arguments[4], NULL, 10);
		config.limits.request_seconds = (unsigned)strtoul(arguments[5], NULL, 10);
	}
	struct door *door;
	struct error err;
	if (door_open(&config, &door, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	printf("%s\n", door_endpoint(door));
	fflush(stdout);
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0) {
	}
	door_close(door);
	return 0;
}
