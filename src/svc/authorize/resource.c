/* The kinds of resources that policies can name: how their ARNs look, which records they are. A table, and look-ups in it; no state. */
#include <string.h>

#include "svc/authorize/internal.h"
#include "base/text.h"
#include "base/banned.h"

const struct resource_kind resource_kinds[RESOURCE_TYPE_COUNT] = {
	[RESOURCE_ANY] = { "*", "*" },
	[RESOURCE_IMAGE] = { "image", "ec2", .public_arn = true, .record = &record_image, .prefix = "ami" },
	[RESOURCE_INSTANCE] = { "instance", "ec2", .record = &record_instance, .prefix = "i" },
	[RESOURCE_KEY_PAIR] = { "key-pair", "ec2", .record = &record_key_pair, .prefix = "key",
		.index = "name", .arn_member = "name" },
	[RESOURCE_NETWORK_INTERFACE] = { "network-interface", "ec2", .record = &record_subnet,
		.prefix = "eni" },
	[RESOURCE_REPLACE_TASK] = { "replace-root-volume-task", "ec2", .record = &record_root_replacement,
		.prefix = "replacevol" },
	[RESOURCE_SECURITY_GROUP] = { "security-group", "ec2", .record = &record_security_group,
		.prefix = "sg", .index = "name" },
	[RESOURCE_SECURITY_GROUP_RULE] = { "security-group-rule", "ec2", .prefix = "sgr" },
	[RESOURCE_SNAPSHOT] = { "snapshot", "ec2", .public_arn = true, .record = &record_snapshot,
		.prefix = "snap" },
	[RESOURCE_SUBNET] = { "subnet", "ec2", .record = &record_subnet, .prefix = "subnet" },
	[RESOURCE_VOLUME] = { "volume", "ec2", .record = &record_volume, .prefix = "vol" },
	[RESOURCE_VPC] = { "vpc", "ec2", .record = &record_vpc, .prefix = "vpc" },
	[RESOURCE_RETENTION_RULE] = { "rule", "rbin", .record = &record_retention_rule },
	[RESOURCE_USER] = { "user", "iam", .global = true, .record = &record_iam_user, .index = "key",
		.arn_member = "path" },
	[RESOURCE_GROUP] = { "group", "iam", .global = true, .record = &record_iam_group, .index = "key",
		.arn_member = "path" },
	[RESOURCE_ROLE] = { "role", "iam", .global = true, .record = &record_iam_role, .index = "key",
		.arn_member = "path" },
	[RESOURCE_POLICY] = { "policy", "iam", .global = true, .record = &record_iam_policy, .index = "key",
		.arn_member = "path" },
	[RESOURCE_INSTANCE_PROFILE] = { "instance-profile", "iam", .global = true,
		.record = &record_instance_profile, .index = "key", .arn_member = "path" },
};

enum resource_type resource_type_of_id(const char *id)
{
	size_t size = strcspn(id, "-");
	for (enum resource_type type = 0; id[size] == '-' && type < RESOURCE_TYPE_COUNT; type++) {
		const char *prefix = resource_kinds[type].prefix;
		if (prefix && strlen(prefix) == size && memcmp(prefix, id, size) == 0)
			return type;
	}
	return RESOURCE_ANY;
}

enum resource_type resource_type_of_name(const char *name)
{
	for (enum resource_type type = RESOURCE_ANY + 1; type < RESOURCE_TYPE_COUNT; type++)
		if (strcmp(resource_kinds[type].name, name) == 0)
			return type;
	return RESOURCE_ANY;
}
