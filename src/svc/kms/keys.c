/* CreateKey, DescribeKey, ListKeys. Runs on the thread of the call. */
#include <stdio.h>
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/kms/material.h"
#include "svc/kms/new_key.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

const char *kms_default_policy(struct arena *arena, const char *account)
{
	return arena_printf(arena,
		"{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n  \"Statement\" : [ {\n"
		"    \"Sid\" : \"Enable IAM User Permissions\",\n    \"Effect\" : \"Allow\",\n"
		"    \"Principal\" : {\n      \"AWS\" : \"arn:aws:iam::%s:root\"\n    },\n"
		"    \"Action\" : \"kms:*\",\n    \"Resource\" : \"*\"\n  } ]\n}",
		account);
}

char *kms_new_id(struct arena *arena, bool multi_region)
{
	uint8_t random[16];
	char uuid[37], hex[2 * sizeof random + 1];
	if (!multi_region)
		return arena_strdup(arena, text_uuid(uuid));
	text_random_bytes(random, sizeof random);
	return arena_printf(arena, "mrk-%s", text_hex(random, sizeof random, hex));
}

static int check_origin(const struct kms_CreateKeyRequest *request, struct error *err)
{
	if (request->custom_key_store_id)
		return error_set(err, ERROR_KMS_CUSTOM_KEY_STORE_NOT_FOUND,
			"There is no custom key store %.64s.", request->custom_key_store_id);
	if (request->xks_key_id || (request->origin && strcmp(request->origin, "AWS_KMS") != 0))
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION,
			"Key material comes from amid (AWS_KMS), not from elsewhere.");
	return 0;
}

static int check_usage(const struct kms_spec *spec, const char *usage, struct error *err)
{
	static const char *const of_family[][3] = {
		[KMS_SYMMETRIC] = { KMS_ENCRYPT_DECRYPT, NULL },
		[KMS_RSA] = { KMS_ENCRYPT_DECRYPT, KMS_SIGN_VERIFY, NULL },
		[KMS_EC] = { KMS_SIGN_VERIFY, NULL },
		[KMS_HMAC] = { KMS_GENERATE_VERIFY_MAC, NULL },
	};
	if (strcmp(usage, "KEY_AGREEMENT") == 0)
		return error_set(
			err, ERROR_KMS_UNSUPPORTED_OPERATION, "KeyUsage KEY_AGREEMENT is not supported.");
	for (const char *const *fit = of_family[spec->family]; *fit; fit++)
		if (strcmp(*fit, usage) == 0)
			return 0;
	return error_set(
		err, ERROR_VALIDATION, "KeyUsage %s is not compatible with KeySpec %s", usage, spec->name);
}

static int choose_spec(
	const struct kms_CreateKeyRequest *request, struct kms_key_record *record, struct error *err)
{
	const char *name = request->key_spec ? request->key_spec : request->customer_master_key_spec;
	if (request->key_spec && request->customer_master_key_spec)
		return error_set(err, ERROR_VALIDATION,
			"You cannot specify KeySpec and CustomerMasterKeySpec in the same request.");
	const struct kms_spec *spec = kms_find_spec(name ? name : "SYMMETRIC_DEFAULT");
	if (!spec)
		return error_set(
			err, ERROR_KMS_UNSUPPORTED_OPERATION, "KeySpec %.64s is not supported.", name);
	if (!request->key_usage && spec->family != KMS_SYMMETRIC)
		return error_set(err, ERROR_VALIDATION,
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.");
	record->spec = spec->name;
	record->usage = request->key_usage ? request->key_usage : KMS_ENCRYPT_DECRYPT;
	return check_usage(spec, record->usage, err);
}

static int permit_create(struct call *call, const struct kms_CreateKeyRequest *request,
	const struct kms_key_record *record, struct error *err)
{
	struct kms_conditions conditions = { 0 };
	struct arena *arena = call->arena;
	const char **keys = arena_alloc_array(arena, request->tags.count + 1, sizeof *keys);
	for (size_t i = 0; i < request->tags.count; i++) {
		keys[i] = request->tags.items[i].tag_key;
		kms_condition(arena, &conditions, arena_printf(arena, "aws:RequestTag/%s", keys[i]),
			request->tags.items[i].tag_value);
	}
	kms_condition_list(arena, &conditions, "aws:TagKeys", keys, request->tags.count);
	kms_condition(arena, &conditions, "kms:KeySpec", record->spec);
	kms_condition(arena, &conditions, "kms:KeyUsage", record->usage);
	kms_condition(arena, &conditions, "kms:KeyOrigin", "AWS_KMS");
	kms_condition(arena, &conditions, "kms:MultiRegion",
		boolean_or(record->multi_region, false) ? "true" : "false");
	kms_condition(arena, &conditions, "kms:BypassPolicyLockoutSafetyCheck",
		boolean_or(request->bypass_policy_lockout_safety_check, false) ? "true" : "false");
	if (kms_permit_plain(call, "CreateKey", "*", &conditions, err))
		return -1;
	return request->tags.count ? kms_permit_plain(call, "TagResource", "*", &conditions, err) : 0;
}

int kms_create_key(struct call *call, const struct kms_CreateKeyRequest *request,
	struct kms_CreateKeyResponse *result, struct error *err)
{
	bool multi = boolean_or(request->multi_region, false);
	struct kms_key_record record = { .record = { .account = call->account,
						 .region = call->region,
						 .id = kms_new_id(call->arena, multi) },
		.description = request->description,
		.state = KMS_ENABLED,
		.created = some_timestamp(clock_now_ms()),
		.policy = request->policy,
		.multi_region = multi ? some_boolean(true) : (struct shape_boolean){ 0 },
		.primary_region = multi ? call->region : NULL };
	struct kms_key key = { .record = &record, .arn = kms_key_arn(call->arena, &record) };
	if (check_origin(request, err) || choose_spec(request, &record, err) ||
		permit_create(call, request, &record, err) ||
		kms_take_tags(call, &request->tags, &record.tags, err))
		return -1;
	if (!record.policy)
		record.policy = kms_default_policy(call->arena, call->account);
	else if (kms_check_policy(call, &key, record.policy,
			 !boolean_or(request->bypass_policy_lockout_safety_check, false), &record.policy,
			 err))
		return -1;
	if (kms_material_make(call->amid, &record, NULL, call->arena, err) || kms_put_key(call, &record, err))
		return -1;
	result->key_metadata = kms_metadata(call, &record);
	return 0;
}

int kms_describe_key(struct call *call, const struct kms_DescribeKeyRequest *request,
	struct kms_DescribeKeyResponse *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "DescribeKey", .grantable = true, .tokens = &request->grant_tokens };
	if (text_equal(request->key_id, "alias/aws/ebs") && kms_ensure_managed_key(call, err))
		return -1;
	if (kms_find_key(call, request->key_id, KMS_ANY, &key, err) || kms_permit(call, &key, &use, err))
		return -1;
	result->key_metadata = kms_metadata(call, key.record);
	return 0;
}

int kms_list_keys(struct call *call, const struct kms_ListKeysRequest *request,
	struct kms_ListKeysResponse *result, struct error *err)
{
	struct page page;
	struct meta_rows rows;
	if (kms_page_open(call, request->limit, request->marker, &page, err))
		return -1;
	struct meta_query query = {
		.account = call->account, .region = call->region, .after_id = page.after
	};
	if (meta_list(call->amid->meta, &record_kms_key, &query, call->arena, &rows, err))
		return -1;
	result->keys.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const struct kms_key_record *record = rows.items[i];
		if (!page_take(&page, record->record.id))
			break;
		*ARENA_APPEND(call->arena, result->keys.items, result->keys.count) =
			(struct kms_KeyListEntry){ .key_id = record->record.id,
				.key_arn = kms_key_arn(call->arena, record) };
	}
	result->next_marker = page_close(&page);
	result->truncated = some_boolean(result->next_marker != NULL);
	return 0;
}
