/*
 * What an instance finds in the metadata service. The tree is a flat list of leaves, built for each request from the instance's record; listings are derived from it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/imds/internal.h"
#include "base/banned.h"

struct builder {
	struct amid *amid;
	const struct instance_record *instance;
	struct arena *arena;
	struct imds_tree *tree;
	const char *host_name;
};

/* Absent values have no leaf. */
static void add(struct builder *builder, const char *path, const char *text)
{
	if (text)
		*ARENA_APPEND(builder->arena, builder->tree->leaves, builder->tree->count) =
			(struct imds_leaf){ .path = path, .data = text, .size = strlen(text) };
}

static const char *host_name(struct builder *builder)
{
	const struct instance_record *instance = builder->instance;
	if (!instance->private_address)
		return NULL;
	char *dashed = arena_strdup(builder->arena, instance->private_address);
	for (char *p = dashed; *p; p++)
		if (*p == '.')
			*p = '-';
	bool first = strcmp(instance->record.region, "us-east-1") == 0;
	return arena_printf(builder->arena, "ip-%s.%s%s", dashed, first ? "ec2" : instance->record.region,
		first ? ".internal" : ".compute.internal");
}

static int add_group_names(struct builder *builder, const char *prefix, struct error *err)
{
	struct buffer names BUFFER_SCOPED = { 0 };
	struct buffer ids BUFFER_SCOPED = { 0 };
	const struct instance_record *instance = builder->instance;
	for (size_t i = 0; i < instance->groups.count; i++) {
		struct security_group_record *group;
		if (meta_get(builder->amid->meta, &record_security_group, instance->record.account,
			    instance->record.region, instance->groups.items[i], builder->arena, &group, err))
			return -1;
		buffer_printf(&names, "%s%s", i ? "\n" : "", group ? group->name : instance->groups.items[i]);
		buffer_printf(&ids, "%s%s", i ? "\n" : "", instance->groups.items[i]);
	}
	add(builder, "meta-data/security-groups", arena_strdup(builder->arena, buffer_text(&names)));
	add(builder, arena_printf(builder->arena, "%s/security-groups", prefix),
		arena_strdup(builder->arena, buffer_text(&names)));
	add(builder, arena_printf(builder->arena, "%s/security-group-ids", prefix),
		arena_strdup(builder->arena, buffer_text(&ids)));
	return 0;
}

static int add_interface(struct builder *builder, struct error *err)
{
	const struct instance_record *instance = builder->instance;
	struct arena *arena = builder->arena;
	struct subnet_record *subnet;
	struct vpc_record *vpc;
	const char *account = instance->record.account, *region = instance->record.region;
	if (meta_get(builder->amid->meta, &record_subnet, account, region, instance->subnet, arena, &subnet,
		    err) ||
		meta_get(builder->amid->meta, &record_vpc, account, region, instance->vpc, arena, &vpc, err))
		return -1;
	char *prefix = arena_printf(arena, "meta-data/network/interfaces/macs/%s", instance->mac);
	const struct {
		const char *name, *text;
	} leaves[] = {
		{ "device-number", "0" },
		{ "interface-id", instance->interface },
		{ "local-hostname", builder->host_name },
		{ "local-ipv4s", instance->private_address },
		{ "mac", instance->mac },
		{ "network-card", "0" },
		{ "owner-id", account },
		{ "public-hostname", instance->public_address },
		{ "public-ipv4s", instance->public_address },
		{ "subnet-id", instance->subnet },
		{ "subnet-ipv4-cidr-block", subnet ? subnet->cidr : NULL },
		{ "vpc-id", instance->vpc },
		{ "vpc-ipv4-cidr-block", vpc ? vpc->cidr : NULL },
		{ "vpc-ipv4-cidr-blocks", vpc ? vpc->cidr : NULL },
	};
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
		add(builder, arena_printf(arena, "%s/%s", prefix, leaves[i].name), leaves[i].text);
	return add_group_names(builder, prefix, err);
}

static int add_devices(struct builder *builder, struct error *err)
{
	const struct instance_record *instance = builder->instance;
	struct meta_query query = { .index = "instance", .value = instance->record.id };
	struct meta_rows rows;
	unsigned ebs = 0;
	if (meta_list(builder->amid->meta, &record_volume, &query, builder->arena, &rows, err))
		return -1;
	add(builder, "meta-data/block-device-mapping/ami", instance->root_device_name);
	for (size_t i = 0; i < rows.count; i++) {
		const struct volume_record *volume = rows.items[i];
		if (!text_equal(volume->attachment->device, instance->root_device_name))
			add(builder,
				arena_printf(builder->arena, "meta-data/block-device-mapping/ebs%u", ++ebs),
				volume->attachment->device);
	}
	add(builder, "meta-data/block-device-mapping/root", instance->root_device_name);
	return 0;
}

static void add_identity(struct builder *builder)
{
	const struct instance_record *instance = builder->instance;
	char time[32];
	json_t *document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "accountId",
		instance->record.account, "architecture", instance->architecture, "availabilityZone",
		instance->zone, "imageId", instance->image, "instanceId", instance->record.id, "instanceType",
		instance->instance_type, "pendingTime", clock_format_iso8601(instance->launched.ms, time),
		"region", instance->record.region, "version", "2017-09-30");
	json_object_set_new(document, "privateIp",
		instance->private_address ? json_string(instance->private_address) : json_null());
	char *text = json_dumps(document, JSON_INDENT(2));
	add(builder, "dynamic/instance-identity/document", arena_strdup(builder->arena, text ? text : "{}"));
	free(text);
	json_decref(document);
}

static void add_key(struct builder *builder)
{
	const struct instance_record *instance = builder->instance;
	if (!instance->public_key)
		return;
	bool ended = text_match("*\n", instance->public_key);
	add(builder, "meta-data/public-keys/0/openssh-key",
		ended ? instance->public_key : arena_printf(builder->arena, "%s\n", instance->public_key));
}

static void add_tags(struct builder *builder)
{
	const struct instance_record *instance = builder->instance;
	if (!instance->metadata || !text_equal(instance->metadata->tags, "enabled"))
		return;
	for (size_t i = 0; i < instance->tags.count; i++)
		add(builder,
			arena_printf(
				builder->arena, "meta-data/tags/instance/%s", instance->tags.items[i].key),
			instance->tags.items[i].value);
}

/* The role's leaf is there for listings: what it holds is made when it is asked for (role.c). */
static int add_role(struct builder *builder, struct error *err)
{
	const struct instance_record *instance = builder->instance;
	const struct instance_profile_record *profile;
	struct iam_role_record *role;
	if (!instance->profile)
		return 0;
	if (imds_role_find(builder->amid, instance, builder->arena, &role, &profile, err))
		return -1;
	add(builder, "meta-data/iam/info", imds_role_info(instance, profile, builder->arena));
	if (role)
		add(builder, arena_printf(builder->arena, IMDS_CREDENTIALS "%s", role->name), "");
	return 0;
}

static void add_user_data(struct builder *builder)
{
	size_t size;
	if (!builder->instance->user_data)
		return;
	const uint8_t *data = text_unbase64(builder->arena, builder->instance->user_data, &size);
	if (data && size)
		*ARENA_APPEND(builder->arena, builder->tree->leaves, builder->tree->count) =
			(struct imds_leaf){ .path = "user-data", .data = (const char *)data, .size = size };
}

static void add_facts(struct builder *builder)
{
	const struct instance_record *instance = builder->instance;
	const struct {
		const char *path, *text;
	} leaves[] = {
		{ "meta-data/ami-id", instance->image },
		{ "meta-data/ami-launch-index",
			arena_printf(
				builder->arena, "%lld", (long long)integer_or(instance->launch_index, 0)) },
		{ "meta-data/ami-manifest-path", "(unknown)" },
		{ "meta-data/hostname", builder->host_name },
		{ "meta-data/instance-action", "none" },
		{ "meta-data/instance-id", instance->record.id },
		{ "meta-data/instance-life-cycle", "on-demand" },
		{ "meta-data/instance-type", instance->instance_type },
		{ "meta-data/local-hostname", builder->host_name },
		{ "meta-data/local-ipv4", instance->private_address },
		{ "meta-data/mac", instance->mac },
		{ "meta-data/placement/availability-zone", instance->zone },
		{ "meta-data/placement/region", instance->record.region },
		{ "meta-data/profile", "default-hvm" },
		{ "meta-data/public-hostname", instance->public_address },
		{ "meta-data/public-ipv4", instance->public_address },
		{ "meta-data/reservation-id", instance->reservation },
		{ "meta-data/services/domain", "amazonaws.com" },
		{ "meta-data/services/partition", "aws" },
	};
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
		add(builder, leaves[i].path, leaves[i].text);
}

int imds_tree_build(struct amid *amid, const struct instance_record *instance, struct arena *arena,
	struct imds_tree *tree, struct error *err)
{
	struct builder builder = { .amid = amid, .instance = instance, .arena = arena, .tree = tree };
	*tree = (struct imds_tree){ 0 };
	builder.host_name = host_name(&builder);
	add_facts(&builder);
	add_key(&builder);
	add_tags(&builder);
	add_identity(&builder);
	add_user_data(&builder);
	return add_role(&builder, err) || add_interface(&builder, err) || add_devices(&builder, err) ? -1 : 0;
}

static bool is_listed(const struct buffer *listing, const char *line, size_t size)
{
	for (const char *p = buffer_text(listing); *p;) {
		size_t length = strcspn(p, "\n");
		if (length == size && memcmp(p, line, size) == 0)
			return true;
		p += length + (p[length] == '\n');
	}
	return false;
}

/* The names right below `path`; public-keys shows its one entry as AWS does, "0=NAME" without a slash (the name is not part of the tree, so it is the index alone). */
static bool list(const struct imds_tree *tree, const char *path, struct buffer *listing)
{
	size_t prefix = strlen(path);
	for (size_t i = 0; i < tree->count; i++) {
		const char *leaf = tree->leaves[i].path;
		if (prefix && (strncmp(leaf, path, prefix) != 0 || leaf[prefix] != '/'))
			continue;
		const char *name = prefix ? leaf + prefix + 1 : leaf;
		size_t size = strcspn(name, "/");
		size += name[size] == '/';
		if (!is_listed(listing, name, size)) {
			if (listing->size)
				buffer_append_char(listing, '\n');
			buffer_append(listing, name, size);
		}
	}
	return listing->size > 0;
}

bool imds_tree_find(
	const struct imds_tree *tree, const char *path, struct arena *arena, const char **data, size_t *size)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->leaves[i].path, path) == 0) {
			*data = tree->leaves[i].data;
			*size = tree->leaves[i].size;
			return true;
		}
	struct buffer listing BUFFER_SCOPED = { 0 };
	if (!list(tree, path, &listing))
		return false;
	*data = arena_strdup(arena, buffer_text(&listing));
	*size = listing.size;
	return true;
}
