/*
 * What asking for permission costs a call: authorize_call over real metadata, for root and for a user of twenty policies (each of four statements, some with conditions), of a call without resources and of a launch.
 * Prints a line for each: name, microseconds. With AMID_BENCH_NO_CACHE in the environment places in organizations are read anew each time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/ec2.h"
#include "api/records.h"
#include "aws/codec.h"
#include "svc/authorize/authorize.h"
#include "svc/iam_policies.h"
#include "svc/network.h"
#include "svc/organization.h"
#include "svc/organization_cache.h"

enum { POLICIES = 20, CALLS = 20000 };

#define ACCOUNT "111111111111"
#define MANAGEMENT "222222222222"
#define REGION "us-east-1"
#define IMAGE "ami-0123456789abcdef0"

static void check(int result, const struct error *err)
{
	if (!result)
		return;
	fprintf(stderr, "bench-authorize: %s\n", err->message);
	exit(1);
}

static void put(struct meta *meta, const struct record_kind *kind, const void *record)
{
	struct arena *arena = arena_create();
	struct error err;
	struct meta_batch *batch = meta_batch_create(meta, arena);
	meta_batch_put(batch, kind, record);
	check(meta_commit(meta, batch, &err), &err);
	arena_destroy(arena);
}

/* Nineteen policies of other services and one that allows EC2: all are looked at. */
static const char *make_document(struct arena *arena, int index)
{
	const char *service = index == POLICIES - 1 ? "ec2" : "s3";
	return arena_printf(arena,
		"{\"Version\":\"2012-10-17\",\"Statement\":["
		"{\"Effect\":\"Allow\",\"Action\":\"%s:*\",\"Resource\":\"*\"},"
		"{\"Effect\":\"Allow\",\"Action\":[\"%s:Get%d*\",\"%s:List*\"],\"Resource\":\"arn:aws:%s:*:*:thing%d/*\"},"
		"{\"Effect\":\"Deny\",\"Action\":\"%s:Delete*\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:ResourceTag/keep\":\"%d\"}}},"
		"{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{\"NotIpAddress\":{\"aws:SourceIp\":[\"127.0.0.0/8\",\"10.%d.0.0/16\"]}}}]}",
		service, service, index, service, service, index, service, index, index);
}

static void put_user(struct meta *meta, struct arena *arena)
{
	struct record_inline_policy items[POLICIES];
	for (int i = 0; i < POLICIES; i++)
		items[i] = (struct record_inline_policy){ .name = arena_printf(arena, "policy-%d", i),
			.document = make_document(arena, i) };
	const struct iam_user_record user = {
		.record = { .account = ACCOUNT, .region = "", .id = "AIDABENCH" },
		.name = "bench",
		.key = "bench",
		.path = "/",
		.inline_policies = { .items = items, .count = POLICIES, .set = true },
	};
	put(meta, &record_iam_user, &user);
}

static void put_image(struct meta *meta)
{
	struct record_image_block_device device = {
		.device = "/dev/sda1", .size_gib = some_integer(8), .volume_type = "gp3"
	};
	const struct image_record image = {
		.record = { .account = ACCOUNT, .region = REGION, .id = IMAGE },
		.name = "image",
		.state = "available",
		.root_device_name = "/dev/sda1",
		.root_device_type = "ebs",
		.block_devices = { .items = &device, .count = 1, .set = true },
	};
	put(meta, &record_image, &image);
}

static void measure(struct amid *amid, const char *name, const struct principal *principal,
	const char *operation, const void *input)
{
	struct timespec begun, ended;
	struct error err;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (int i = 0; i < CALLS; i++) {
		struct arena *arena = arena_create(); /* each request has its own */
		struct call call = { .amid = amid,
			.arena = arena,
			.service = &ec2_service,
			.operation = codec_find_operation(&ec2_service, operation),
			.account = ACCOUNT,
			.region = REGION,
			.principal = principal,
			.source_ip = "127.0.0.1" };
		check(authorize_call(&call, input, &err), &err);
		arena_destroy(arena);
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	double ns = (double)(ended.tv_sec - begun.tv_sec) * 1e9 + (double)(ended.tv_nsec - begun.tv_nsec);
	printf("%s\t%.2f\n", name, ns / CALLS / 1000);
}

static void note_change(void *context, const struct meta_change *change)
{
	struct amid *amid = context;
	iam_policies_note(amid->iam_policies, change);
	organization_cache_note_change(amid->organizations, change);
}

/* The account comes into an organization, below two units, with a policy of its own at each level. */
static void put_organization(struct meta *meta)
{
	static const char *both[] = { ORGANIZATION_FULL_ACCESS, "p-bench" };
	const struct record_string_list policies = { .items = both, .count = 2, .set = true };
	const struct organization_record organization = { .record = { MANAGEMENT, "", "o-bench" },
		.root = "r-bench",
		.feature_set = "ALL",
		.policies_enabled = some_boolean(true),
		.root_policies = policies };
	const struct organization_unit_record top = { .record = { MANAGEMENT, "", "ou-top" },
		.organization = "o-bench",
		.name = "top",
		.policies = policies },
					      below = { .record = { MANAGEMENT, "", "ou-below" },
						      .organization = "o-bench",
						      .name = "below",
						      .parent = "ou-top",
						      .policies = policies };
	const struct organization_policy_record policy = {
		.record = { MANAGEMENT, "", "p-bench" },
		.organization = "o-bench",
		.name = "bench",
		.document =
			"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"s3:*\",\"Resource\":\"*\"}]}"
	};
	struct arena *arena = arena_create();
	struct account_record *account;
	struct error err;
	check(meta_get(meta, &record_account, "", "", ACCOUNT, arena, &account, &err), &err);
	account->organization = "o-bench";
	account->unit = "ou-below";
	account->policies = policies;
	put(meta, &record_organization, &organization);
	put(meta, &record_organization_unit, &top);
	put(meta, &record_organization_unit, &below);
	put(meta, &record_organization_policy, &policy);
	put(meta, &record_account, account);
	arena_destroy(arena);
}

static void run(struct amid *amid)
{
	static const struct principal root = { .type = PRINCIPAL_ROOT,
		.account = ACCOUNT,
		.arn = "arn:aws:iam::" ACCOUNT ":root",
		.id = ACCOUNT };
	static const struct principal user = { .type = PRINCIPAL_USER,
		.account = ACCOUNT,
		.arn = "arn:aws:iam::" ACCOUNT ":user/bench",
		.id = "AIDABENCH",
		.user_name = "bench" };
	const struct ec2_DescribeRegionsRequest describe = { 0 };
	const struct ec2_RunInstancesRequest launch = {
		.image_id = IMAGE, .min_count = some_integer(1), .max_count = some_integer(1)
	};
	measure(amid, "DescribeRegions, root", &root, "DescribeRegions", &describe);
	measure(amid, "DescribeRegions, user of 20 policies", &user, "DescribeRegions", &describe);
	measure(amid, "RunInstances (7 resources), root", &root, "RunInstances", &launch);
	measure(amid, "RunInstances (7 resources), user of 20 policies", &user, "RunInstances", &launch);
	put_organization(amid->meta);
	measure(amid, "DescribeRegions, root, below 4 levels of an organization", &root, "DescribeRegions",
		&describe);
	measure(amid, "DescribeRegions, user, below 4 levels of an organization", &user, "DescribeRegions",
		&describe);
}

int main(void)
{
	static const char *const regions[] = { REGION, NULL };
	char folder[] = "/tmp/amid-bench-XXXXXX";
	struct error err;
	struct arena *arena = arena_create();
	const struct amid_config config = { .regions = regions };
	struct amid_region region = { .name = REGION };
	struct amid amid = { .config = &config, .regions = &region, .region_count = 1 };
	if (!mkdtemp(folder))
		return 1;
	check(meta_open(arena_printf(arena, "%s/meta.db", folder), &amid.meta, &err), &err);
	amid.iam_policies = iam_policies_open();
	if (!getenv("AMID_BENCH_NO_CACHE"))
		amid.organizations = organization_cache_create();
	meta_set_listener(amid.meta, note_change, &amid);
	const struct account_record account = { .record = { .account = "", .region = "", .id = ACCOUNT },
		.name = "bench" };
	put(amid.meta, &record_account, &account);
	check(network_ensure_default(&amid, ACCOUNT, REGION, &err), &err);
	put_user(amid.meta, arena);
	put_image(amid.meta);
	run(&amid);
	meta_close(amid.meta);
	iam_policies_close(amid.iam_policies);
	organization_cache_destroy(amid.organizations);
	static const char *const files[] = { "meta.db", "meta.db-wal", "meta.db-shm", "meta.db-lock" };
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlink(arena_printf(arena, "%s/%s", folder, files[i]));
	rmdir(folder);
	arena_destroy(arena);
	return 0;
}
