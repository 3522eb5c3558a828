/*
 * EnableEbsEncryptionByDefault, DisableEbsEncryptionByDefault, GetEbsEncryptionByDefault, ModifyEbsDefaultKmsKeyId, GetEbsDefaultKmsKeyId, ResetEbsDefaultKmsKeyId. Two settings of the account in the region; what has been made
 * before does not change.
 */
#include <string.h>

#include "svc/ec2/encryption.h"
#include "svc/keys.h"
#include "base/banned.h"

#define BY_DEFAULT "ebs-encryption-by-default"
#define DEFAULT_KEY "ebs-default-kms-key"
#define MANAGED_KEY "alias/aws/ebs" /* what AWS answers as long as no other key is chosen */

/* "" if it is not set. */
static int load(struct call *call, const char *id, struct account_setting_record **setting, struct error *err)
{
	if (EC2_GET(call, record_account_setting, id, setting, err))
		return -1;
	if (*setting)
		return 0;
	*setting = arena_alloc(call->arena, sizeof **setting);
	**setting = (struct account_setting_record){
		.record = { .account = call->account, .region = call->region, .id = id }, .value = ""
	};
	return 0;
}

static int change(struct call *call, const char *id, const char *value, struct error *err)
{
	struct account_setting_record *setting;
	if (load(call, id, &setting, err))
		return -1;
	setting->value = value;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_account_setting, setting);
	if (meta_commit(call->amid->meta, batch, err) == 0)
		return 0;
	if (err->code == ERROR_DUPLICATE) /* another call has made the record since: run again */
		err->code = ERROR_CONFLICT;
	return -1;
}

int ebs_encryption_default(struct call *call, bool *encrypted, const char **kms_key, struct error *err)
{
	struct account_setting_record *by_default, *key;
	if (load(call, BY_DEFAULT, &by_default, err) || load(call, DEFAULT_KEY, &key, err))
		return -1;
	*encrypted = strcmp(by_default->value, "true") == 0;
	*kms_key = *key->value ? key->value : NULL;
	return 0;
}

int ec2_enable_ebs_encryption_by_default(struct call *call,
	const struct ec2_EnableEbsEncryptionByDefaultRequest *request,
	struct ec2_EnableEbsEncryptionByDefaultResult *result, struct error *err)
{
	(void)request;
	result->ebs_encryption_by_default = some_boolean(true);
	return change(call, BY_DEFAULT, "true", err);
}

int ec2_disable_ebs_encryption_by_default(struct call *call,
	const struct ec2_DisableEbsEncryptionByDefaultRequest *request,
	struct ec2_DisableEbsEncryptionByDefaultResult *result, struct error *err)
{
	(void)request;
	result->ebs_encryption_by_default = some_boolean(false);
	return change(call, BY_DEFAULT, "", err);
}

int ec2_get_ebs_encryption_by_default(struct call *call,
	const struct ec2_GetEbsEncryptionByDefaultRequest *request,
	struct ec2_GetEbsEncryptionByDefaultResult *result, struct error *err)
{
	bool encrypted;
	const char *key;
	(void)request;
	if (ebs_encryption_default(call, &encrypted, &key, err))
		return -1;
	result->ebs_encryption_by_default = some_boolean(encrypted);
	result->sse_type = encrypted ? "sse-kms" : "none";
	return 0;
}

/* Not found out later, as with volumes: a default that cannot work would fail every launch of the account. */
static int check_key(struct call *call, const char *id, struct key_description *key, struct error *err)
{
	if (keys_resolve(call, id, key, err)) {
		if (err->code == ERROR_KMS_NOT_FOUND)
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Value (%.200s) for parameter KmsKeyId is invalid. The KMS key does not exist.",
				id);
		return -1;
	}
	if (!key->symmetric || key->state != KEYS_ENABLED)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.200s) for parameter KmsKeyId is invalid. The KMS key is %s.", id,
			key->symmetric ? "not enabled" : "not a symmetric encryption key");
	return 0;
}

int ec2_modify_ebs_default_kms_key_id(struct call *call,
	const struct ec2_ModifyEbsDefaultKmsKeyIdRequest *request,
	struct ec2_ModifyEbsDefaultKmsKeyIdResult *result, struct error *err)
{
	struct key_description key;
	if (check_key(call, request->kms_key_id, &key, err))
		return -1;
	result->kms_key_id = key.arn;
	return change(call, DEFAULT_KEY, key.arn, err);
}

int ec2_get_ebs_default_kms_key_id(struct call *call, const struct ec2_GetEbsDefaultKmsKeyIdRequest *request,
	struct ec2_GetEbsDefaultKmsKeyIdResult *result, struct error *err)
{
	bool encrypted;
	const char *key;
	(void)request;
	if (ebs_encryption_default(call, &encrypted, &key, err))
		return -1;
	result->kms_key_id = text_or(key, MANAGED_KEY);
	return 0;
}

int ec2_reset_ebs_default_kms_key_id(struct call *call,
	const struct ec2_ResetEbsDefaultKmsKeyIdRequest *request,
	struct ec2_ResetEbsDefaultKmsKeyIdResult *result, struct error *err)
{
	(void)request;
	result->kms_key_id = MANAGED_KEY;
	return change(call, DEFAULT_KEY, "", err);
}
