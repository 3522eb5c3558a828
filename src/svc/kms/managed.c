/* The AWS managed key alias/aws/ebs: made when an account first needs it in a region, usable through EC2 by that account only. Any thread. */
#include <string.h>

#include "base/clock.h"
#include "svc/kms/material.h"
#include "svc/kms/new_key.h"
#include "base/banned.h"

#define MANAGED_ALIAS "alias/aws/ebs"

enum { YEAR_DAYS = 365, DAY_MS = 24 * 3600 * 1000 };

/* The statements are those that AWS documents for this key. */
static const char *managed_policy(struct arena *arena, const char *account, const char *region)
{
	return arena_printf(arena,
		"{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"auto-ebs-2\",\n  \"Statement\" : [ {\n"
		"    \"Sid\" : \"Allow access through EBS for all principals in the account that are authorized to use EBS\",\n"
		"    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n      \"AWS\" : \"*\"\n    },\n"
		"    \"Action\" : [ \"kms:Encrypt\", \"kms:Decrypt\", \"kms:ReEncrypt*\", \"kms:GenerateDataKey*\", \"kms:CreateGrant\", "
		"\"kms:DescribeKey\" ],\n"
		"    \"Resource\" : \"*\",\n    \"Condition\" : {\n      \"StringEquals\" : {\n"
		"        \"kms:CallerAccount\" : \"%s\",\n        \"kms:ViaService\" : \"ec2.%s.amazonaws.com\"\n      }\n    }\n"
		"  }, {\n    \"Sid\" : \"Allow direct access to key metadata to the account\",\n    \"Effect\" : \"Allow\",\n"
		"    \"Principal\" : {\n      \"AWS\" : \"arn:aws:iam::%s:root\"\n    },\n"
		"    \"Action\" : [ \"kms:Describe*\", \"kms:Get*\", \"kms:List*\", \"kms:RevokeGrant\" ],\n"
		"    \"Resource\" : \"*\"\n  } ]\n}",
		account, region, account);
}

int kms_ensure_managed_key(struct call *call, struct error *err)
{
	struct meta *meta = call->amid->meta;
	struct kms_alias_record *found;
	int64_t now = clock_now_ms();
	if (meta_get(meta, &record_kms_alias, call->account, call->region, MANAGED_ALIAS, call->arena, &found,
		    err))
		return -1;
	if (found)
		return 0;
	struct kms_key_record key = { .record = { .account = call->account,
					      .region = call->region,
					      .id = kms_new_id(call->arena, false) },
		.description = "Default key that protects my EBS volumes when no other key is defined",
		.usage = KMS_ENCRYPT_DECRYPT,
		.spec = "SYMMETRIC_DEFAULT",
		.state = KMS_ENABLED,
		.service = "ebs",
		.created = some_timestamp(now),
		.policy = managed_policy(call->arena, call->account, call->region),
		.rotation_days = some_integer(YEAR_DAYS),
		.rotation_next = some_timestamp(now + (int64_t)YEAR_DAYS * DAY_MS) };
	struct kms_alias_record alias = {
		.record = { .account = call->account, .region = call->region, .id = MANAGED_ALIAS },
		.key = key.record.id,
		.created = key.created,
		.updated = key.created
	};
	struct meta_batch *batch = meta_batch_create(meta, call->arena);
	if (kms_material_make(call->amid, &key, NULL, call->arena, err))
		return -1;
	meta_batch_put(batch, &record_kms_key, &key);
	meta_batch_put(batch, &record_kms_alias, &alias);
	if (meta_commit(meta, batch, err) == 0)
		return 0;
	return err->code == ERROR_DUPLICATE ? 0 : -1; /* somebody else has made it meanwhile */
}
