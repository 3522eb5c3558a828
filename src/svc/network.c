/*
 * The default network of an account in a region.
 *
 * Ids are the first 17 hexadecimal digits of SHA-256("KIND\nACCOUNT\nREGION"), so nothing has to be looked up to know them, and two threads (or two
 * nodes) that make the network at the same moment make the same one: the slower of them finds its batch refused and reads what the other
 * wrote. All records are put in one batch, so that whoever sees the VPC sees the rest. Runs on the thread of the caller.
 */
#include "api/records.h"
#include "base/digest.h"
#include "base/text.h"
#include "svc/network.h"
#include "base/banned.h"

enum {
	ZONES = 3,
	ID_DIGITS = 17,
};

static const char *const subnet_cidrs[ZONES] = { "172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20" };

static char *derive_id(
	struct arena *arena, const char *prefix, const char *account, const char *region, const char *what)
{
	struct digest digest;
	char hex[2 * DIGEST_SIZE + 1];
	char *seed = arena_printf(arena, "default %s\n%s\n%s", what, account, region);

	digest_sha256(seed, strlen(seed), &digest);
	text_hex(digest.bytes, DIGEST_SIZE, hex);
	return arena_printf(arena, "%s-%.*s", prefix, ID_DIGITS, hex);
}

char *network_default_vpc_id(const char *account, const char *region, struct arena *arena)
{
	return derive_id(arena, "vpc", account, region, "vpc");
}

char *network_default_subnet_id(
	const char *account, const char *region, unsigned zone_index, struct arena *arena)
{
	return derive_id(arena, "subnet", account, region, arena_printf(arena, "subnet %u", zone_index));
}

char *network_default_group_id(const char *account, const char *region, struct arena *arena)
{
	return derive_id(arena, "sg", account, region, "group");
}

/* What one attempt works with. */
struct attempt {
	struct meta *meta;
	struct meta_batch *batch;
	struct arena *arena;
	const char *account, *region;
	unsigned missing;
};

static struct record named(const struct attempt *attempt, const char *id)
{
	return (struct record){ .account = attempt->account, .region = attempt->region, .id = id };
}

/* Puts the record into the batch unless it is stored. */
static int put_if_missing(struct attempt *attempt, const struct record_kind *kind,
	const struct record *record, struct error *err)
{
	struct record *stored = NULL;

	if (meta_get(attempt->meta, kind, record->account, record->region, record->id, attempt->arena,
		    &stored, err))
		return -1;
	if (!stored) {
		meta_batch_put(attempt->batch, kind, record);
		attempt->missing++;
	}
	return 0;
}

static int put_vpc(struct attempt *attempt, const char *vpc_id, struct error *err)
{
	struct vpc_record vpc = {
		.record = named(attempt, vpc_id),
		.cidr = "172.31.0.0/16",
		.is_default = some_boolean(true),
		.state = "available",
	};

	return put_if_missing(attempt, &record_vpc, &vpc.record, err);
}

static int put_subnet(struct attempt *attempt, const char *vpc_id, unsigned zone_index, struct error *err)
{
	struct subnet_record subnet = {
		.record = named(attempt,
			network_default_subnet_id(
				attempt->account, attempt->region, zone_index, attempt->arena)),
		.vpc = vpc_id,
		.zone = arena_printf(attempt->arena, "%s%c", attempt->region, (char)('a' + zone_index)),
		.cidr = subnet_cidrs[zone_index],
		.is_default = some_boolean(true),
		.map_public = some_boolean(true),
	};

	return put_if_missing(attempt, &record_subnet, &subnet.record, err);
}

static int put_group(struct attempt *attempt, const char *vpc_id, struct error *err)
{
	const char *account = attempt->account, *region = attempt->region;
	char *id = network_default_group_id(account, region, attempt->arena);
	struct record_security_rule rules[] = {
		{
			.id = derive_id(attempt->arena, "sgr", account, region, "ingress rule"),
			.egress = some_boolean(false),
			.protocol = "-1",
			.group = id,
			.group_owner = account,
		},
		{
			.id = derive_id(attempt->arena, "sgr", account, region, "egress rule"),
			.egress = some_boolean(true),
			.protocol = "-1",
			.cidr = "0.0.0.0/0",
		},
	};
	struct security_group_record group = {
		.record = named(attempt, id),
		.name = "default",
		.description = "default VPC security group",
		.vpc = vpc_id,
		.rules = { .items = rules, .count = sizeof rules / sizeof rules[0], .set = true },
	};

	return put_if_missing(attempt, &record_security_group, &group.record, err);
}

static int attempt_default(struct attempt *attempt, struct error *err)
{
	char *vpc_id = network_default_vpc_id(attempt->account, attempt->region, attempt->arena);

	if (put_vpc(attempt, vpc_id, err) != 0)
		return -1;
	if (attempt->missing == 0)
		return 0; /* the common case: one read */
	for (unsigned i = 0; i < ZONES; i++)
		if (put_subnet(attempt, vpc_id, i, err) != 0)
			return -1;
	if (put_group(attempt, vpc_id, err) != 0)
		return -1;
	return meta_commit(attempt->meta, attempt->batch, err);
}

int network_ensure_default(struct amid *amid, const char *account, const char *region, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct error failure;
	int result = -1;

	/* The second attempt is for the thread that was overtaken; a third could only be needed if the account were forgotten in between. */
	for (unsigned i = 0; i < 3 && result != 0; i++) {
		struct attempt attempt = {
			.meta = amid->meta,
			.batch = meta_batch_create(amid->meta, arena),
			.arena = arena,
			.account = account,
			.region = region,
		};
		result = attempt_default(&attempt, &failure);
		if (result != 0 && failure.code != ERROR_DUPLICATE && failure.code != ERROR_CONFLICT)
			break;
	}
	if (result != 0)
		return error_set(err, failure.code, "default network of account %s in %s: %s", account,
			region, failure.message);
	return 0;
}
