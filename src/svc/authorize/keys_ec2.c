/*
 * Condition keys of EC2's resources: each row says which member of which kind of record answers a key. A resource that is to be made has a record too, with what the request asks for (target_ec2.c, target_launch.c), so
 * that ec2:InstanceType or ec2:VolumeSize mean the same before and after. No state; runs on the thread of the call.
 */
#include <string.h>

#include "svc/authorize/internal.h"
#include "base/text.h"
#include "base/banned.h"

static void add(const struct asking *asking, struct texts *values, const char *text)
{
	if (text)
		*ARENA_APPEND(asking->arena, values->items, values->count) = text;
}

static int load(const struct asking *asking, const void **record, struct error *err)
{
	*record = NULL;
	if (!asking->call || !asking->target)
		return 0;
	int result = target_load(asking->call, asking->target, err);
	*record = asking->target->record;
	return result;
}

#define READER(reader) \
	static int reader(const struct asking *asking, const struct key *key, const char *name, \
		struct texts *values, struct error *err)

/* A member as it is. */
READER(read_member)
{
	const void *record;
	if (load(asking, &record, err))
		return -1;
	if (record)
		walk_texts(resource_kinds[asking->target->type].record->shape, record, key->member,
			asking->arena, values);
	return 0;
}

/* Flags that a record leaves out when they are false. */
READER(read_flag)
{
	const void *record;
	if (load(asking, &record, err))
		return -1;
	if (!record)
		return 0;
	const char *text = walk_text(
		resource_kinds[asking->target->type].record->shape, record, key->member, asking->arena);
	add(asking, values, text ? text : "false");
	return 0;
}

/* A member that holds ids: ARNs of what they name. The network interface's subnet is the record that stands for it. */
READER(read_arns)
{
	struct texts ids = { 0 };
	if (strcmp(key->member, "id") == 0) {
		const void *record;
		if (load(asking, &record, err))
			return -1;
		add(asking, &ids, record ? ((const struct record *)record)->id : NULL);
	} else if (read_member(asking, key, name, &ids, err)) {
		return -1;
	}
	for (size_t i = 0; i < ids.count; i++) {
		enum resource_type type = resource_type_of_id(ids.items[i]);
		if (type != RESOURCE_ANY)
			add(asking, values, target_make_arn(asking->call, type, NULL, NULL, ids.items[i]));
	}
	return 0;
}

READER(read_id)
{
	add(asking, values, asking->target->id);
	return 0;
}

READER(read_region)
{
	const struct target *target = asking->target;
	add(asking, values, target->region ? target->region : asking->call ? asking->call->region : NULL);
	return 0;
}

/* AWS's own images have the alias in place of the account. */
READER(read_owner)
{
	const void *record;
	if (load(asking, &record, err))
		return -1;
	if (record) {
		const char *account = ((const struct record *)record)->account;
		add(asking, values, strcmp(account, ACCOUNT_PLATFORM) == 0 ? ALIAS_PLATFORM : account);
	}
	return 0;
}

/* Where records have only one kind: machine images, shared hardware. */
READER(read_constant)
{
	const void *record;
	if (load(asking, &record, err))
		return -1;
	if (record || !asking->target->id)
		add(asking, values, key->member);
	return 0;
}

/* Key pairs have names before they are there. */
READER(read_key_name)
{
	size_t before = values->count;
	if (read_member(asking, &(struct key){ .member = "name" }, name, values, err))
		return -1;
	if (values->count == before && asking->list)
		walk_texts(asking->list->operation->shape->input, asking->list->input, "KeyName",
			asking->arena, values);
	return 0;
}

/* The one that is asked for, of an instance that is there or to be made. */
READER(read_new_profile)
{
	struct texts names = { 0 };
	if (!asking->list)
		return 0;
	const struct shape *shape = asking->list->operation->shape->input;
	walk_texts(shape, asking->list->input, "IamInstanceProfile.Arn", asking->arena, values);
	walk_texts(shape, asking->list->input, "IamInstanceProfile.Name", asking->arena, &names);
	if (!values->count && names.count)
		add(asking, values,
			target_make_arn(asking->call, RESOURCE_INSTANCE_PROFILE, NULL, NULL, names.items[0]));
	return 0;
}

READER(read_profile)
{
	return asking->target->id
		? read_member(asking, &(struct key){ .member = "profile.arn" }, name, values, err)
		: read_new_profile(asking, key, name, values, err);
}

#define EVERYTHING_OF_EC2 \
	(ON(IMAGE) | ON(INSTANCE) | ON(KEY_PAIR) | ON(NETWORK_INTERFACE) | ON(REPLACE_TASK) | \
		ON(SECURITY_GROUP) | ON(SECURITY_GROUP_RULE) | ON(SNAPSHOT) | ON(SUBNET) | ON(VOLUME) | \
		ON(VPC) | ON(ANY))

const struct key keys_ec2[] = {
	{ "ec2:Region", EVERYTHING_OF_EC2, read_region },

	{ "ec2:ImageID", ON(IMAGE), read_id },
	{ "ec2:ImageType", ON(IMAGE), read_constant, "machine" },
	{ "ec2:Owner", ON(IMAGE) | ON(SNAPSHOT), read_owner },
	{ "ec2:Public", ON(IMAGE), read_flag, "public" },
	{ "ec2:RootDeviceType", ON(IMAGE) | ON(INSTANCE), read_member, "root_device_type" },

	{ "ec2:InstanceID", ON(INSTANCE), read_id },
	{ "ec2:InstanceType", ON(INSTANCE), read_member, "instance_type" },
	{ "ec2:AvailabilityZone", ON(INSTANCE) | ON(SUBNET) | ON(VOLUME) | ON(NETWORK_INTERFACE), read_member,
		"zone" },
	{ "ec2:EbsOptimized", ON(INSTANCE), read_flag, "ebs_optimized" },
	{ "ec2:Tenancy", ON(INSTANCE) | ON(VPC), read_constant, "default" },
	{ "ec2:InstanceMarketType", ON(INSTANCE), read_constant, "on-demand" },
	{ "ec2:InstanceProfile", ON(INSTANCE), read_profile },
	{ "ec2:NewInstanceProfile", ON(INSTANCE), read_new_profile },
	{ "ec2:MetadataHttpTokens", ON(INSTANCE), read_member, "metadata.tokens" },
	{ "ec2:MetadataHttpEndpoint", ON(INSTANCE), read_member, "metadata.endpoint" },
	{ "ec2:MetadataHttpPutResponseHopLimit", ON(INSTANCE), read_member, "metadata.hop_limit" },
	{ "ec2:InstanceMetadataTags", ON(INSTANCE), read_member, "metadata.tags" },

	{ "ec2:VolumeID", ON(VOLUME), read_id },
	{ "ec2:VolumeSize", ON(VOLUME), read_member, "size_gib" },
	{ "ec2:VolumeSize", ON(SNAPSHOT), read_member, "volume_size_gib" },
	{ "ec2:VolumeType", ON(VOLUME), read_member, "volume_type" },
	{ "ec2:VolumeIops", ON(VOLUME), read_member, "iops" },
	{ "ec2:VolumeThroughput", ON(VOLUME), read_member, "throughput" },
	{ "ec2:Encrypted", ON(VOLUME) | ON(SNAPSHOT), read_flag, "encrypted" },
	{ "ec2:KmsKeyId", ON(VOLUME), read_member, "kms_key" },
	{ "ec2:ParentSnapshot", ON(VOLUME), read_arns, "snapshot" },

	{ "ec2:SnapshotID", ON(SNAPSHOT), read_id },
	{ "ec2:SnapshotTime", ON(SNAPSHOT), read_member, "started" },
	{ "ec2:ParentVolume", ON(SNAPSHOT), read_arns, "volume" },

	{ "ec2:SubnetID", ON(SUBNET), read_id },
	{ "ec2:Subnet", ON(NETWORK_INTERFACE), read_arns, "id" },
	{ "ec2:AssociatePublicIpAddress", ON(NETWORK_INTERFACE), read_flag, "map_public" },
	{ "ec2:Vpc", ON(SUBNET) | ON(SECURITY_GROUP) | ON(NETWORK_INTERFACE), read_arns, "vpc" },
	{ "ec2:VpcID", ON(VPC), read_id },
	{ "ec2:SecurityGroupID", ON(SECURITY_GROUP), read_id },
	{ "ec2:KeyPairName", ON(KEY_PAIR), read_key_name },
	{ "ec2:KeyPairType", ON(KEY_PAIR), read_member, "key_type" },
	{ NULL },
};
