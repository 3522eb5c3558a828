/* Encrypt, Decrypt, ReEncrypt, with symmetric keys and with RSA. Runs on the thread of the call. */
#include <openssl/crypto.h>
#include <string.h>

#include "base/text.h"
#include "svc/kms/asymmetric.h"
#include "svc/kms/crypt.h"
#include "svc/kms/material.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

#define SYMMETRIC "SYMMETRIC_DEFAULT"

/* One side of an operation: which key, how, for what. */
struct side {
	const char *key_id; /* as requested; NULL: the ciphertext says */
	const char *action;
	const char *algorithm; /* as requested; NULL: symmetric */
	const struct kms_EncryptionContextType *context;
	const struct kms_GrantTokenList *tokens;
	const char *other_arn; /* ReEncrypt: the other side's key; else NULL */
	struct kms_key key;    /* found */
};

int kms_wrap(struct amid *amid, const struct kms_key_record *key,
	const struct kms_EncryptionContextType *context, const void *plain, size_t size, struct arena *arena,
	struct shape_blob *blob, struct error *err)
{
	struct kms_secret material;
	if (kms_material_open(amid, key, NULL, arena, &material, err))
		return -1;
	*blob = kms_blob_seal(
		arena, key->record.id, kms_material_newest(key), material.data, context, plain, size);
	kms_material_close(&material);
	return 0;
}

static int invalid_ciphertext(struct error *err)
{
	return error_set(err, ERROR_KMS_INVALID_CIPHERTEXT,
		"The ciphertext is damaged, or its encryption context is another one.");
}

int kms_unwrap(struct amid *amid, const struct kms_key_record *key, const struct kms_blob *blob,
	const struct kms_EncryptionContextType *context, struct arena *arena, struct shape_blob *plain,
	struct error *err)
{
	struct kms_secret material;
	if (kms_material_open(amid, key, blob->material_id, arena, &material, err))
		return -1;
	uint8_t *data = arena_alloc(arena, blob->plain_size + 1);
	int opened = kms_blob_open(blob, material.data, context, data);
	kms_material_close(&material);
	*plain = (struct shape_blob){ data, blob->plain_size };
	return opened ? invalid_ciphertext(err) : 0;
}

/* What every use of a key in this file asks for, in AWS's order: permission, state, usage, algorithm. */
static int permit_side(struct call *call, struct side *side, struct error *err)
{
	struct kms_use use = {
		.action = side->action, .grantable = true, .context = side->context, .tokens = side->tokens
	};
	const char *algorithm = side->algorithm ? side->algorithm : SYMMETRIC;
	kms_condition(call->arena, &use.conditions, "kms:EncryptionAlgorithm", algorithm);
	if (side->other_arn)
		kms_condition(call->arena, &use.conditions, "kms:ReEncryptOnSameKey",
			strcmp(side->other_arn, side->key.arn) == 0 ? "true" : "false");
	if (kms_permit(call, &side->key, &use, err) || kms_check_enabled(&side->key, err) ||
		kms_check_usage(&side->key, KMS_ENCRYPT_DECRYPT, err))
		return -1;
	if (!kms_has_algorithm(side->key.record, algorithm))
		return error_set(err, ERROR_KMS_INVALID_KEY_USAGE,
			"Algorithm %s and key spec %s are incompatible.", algorithm, side->key.record->spec);
	if (strcmp(algorithm, SYMMETRIC) != 0 && side->context->count)
		return error_set(err, ERROR_VALIDATION, "An encryption context is for symmetric keys only.");
	return 0;
}

/* The key of a ciphertext. With a symmetric one the ciphertext says which; a key that is named too must be that. */
static int find_source(struct call *call, struct side *side, const struct shape_blob *data, struct error *err)
{
	struct kms_blob blob;
	bool symmetric = !side->algorithm || strcmp(side->algorithm, SYMMETRIC) == 0;
	if (!symmetric && !side->key_id)
		return error_set(err, ERROR_VALIDATION, "KeyId is required with an asymmetric key.");
	if (side->key_id && kms_find_key(call, side->key_id, KMS_ANY, &side->key, err))
		return -1;
	if (!symmetric)
		return 0;
	if (kms_blob_parse(data->data, data->size, &blob))
		return invalid_ciphertext(err);
	if (side->key_id) {
		if (strcmp(side->key.record->record.id, blob.key_id) == 0)
			return 0;
		return error_set(err, ERROR_KMS_INCORRECT_KEY,
			"The key ID in the request does not identify a key that can perform this operation.");
	}
	if (kms_find_by_id(call->amid, call->region, blob.key_id, call->arena, &side->key.record, err))
		return -1;
	if (!side->key.record)
		return error_set(err, ERROR_ACCESS_DENIED,
			"The ciphertext refers to a key that does not exist, does not exist in this region, or you are not allowed to access.");
	side->key.arn = kms_key_arn(call->arena, side->key.record);
	return 0;
}

static int encrypt(struct call *call, const struct side *side, const struct shape_blob *plain,
	struct shape_blob *data, struct error *err)
{
	if (kms_is_symmetric(side->key.record))
		return kms_wrap(call->amid, side->key.record, side->context, plain->data, plain->size,
			call->arena, data, err);
	return kms_rsa_encrypt(call, side->key.record, side->algorithm, plain, data, err);
}

static int decrypt(struct call *call, const struct side *side, const struct shape_blob *data,
	struct shape_blob *plain, struct error *err)
{
	struct kms_blob blob;
	if (!kms_is_symmetric(side->key.record))
		return kms_rsa_decrypt(call, side->key.record, side->algorithm, data, plain, err);
	if (kms_blob_parse(data->data, data->size, &blob))
		return invalid_ciphertext(err);
	return kms_unwrap(call->amid, side->key.record, &blob, side->context, call->arena, plain, err);
}

int kms_encrypt(struct call *call, const struct kms_EncryptRequest *request,
	struct kms_EncryptResponse *result, struct error *err)
{
	struct side side = { .action = "Encrypt",
		.algorithm = request->encryption_algorithm,
		.context = &request->encryption_context,
		.tokens = &request->grant_tokens };
	if (kms_find_key(call, request->key_id, KMS_ANY, &side.key, err) || permit_side(call, &side, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	result->key_id = side.key.arn;
	result->encryption_algorithm = side.algorithm ? side.algorithm : SYMMETRIC;
	return encrypt(call, &side, &request->plaintext, &result->ciphertext_blob, err);
}

int kms_decrypt(struct call *call, const struct kms_DecryptRequest *request,
	struct kms_DecryptResponse *result, struct error *err)
{
	struct side side = { .key_id = request->key_id,
		.action = "Decrypt",
		.algorithm = request->encryption_algorithm,
		.context = &request->encryption_context,
		.tokens = &request->grant_tokens };
	struct kms_blob blob;
	if (request->recipient || request->dry_run_modifiers.count)
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION,
			"Recipient and DryRunModifiers are not supported.");
	if (!request->ciphertext_blob.data)
		return error_set(err, ERROR_VALIDATION, "CiphertextBlob is required.");
	if (find_source(call, &side, &request->ciphertext_blob, err) || permit_side(call, &side, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	result->key_id = side.key.arn;
	result->encryption_algorithm = side.algorithm ? side.algorithm : SYMMETRIC;
	if (kms_is_symmetric(side.key.record) &&
		kms_blob_parse(request->ciphertext_blob.data, request->ciphertext_blob.size, &blob) == 0)
		result->key_material_id = arena_strdup(call->arena, blob.material_id);
	return decrypt(call, &side, &request->ciphertext_blob, &result->plaintext, err);
}

int kms_re_encrypt(struct call *call, const struct kms_ReEncryptRequest *request,
	struct kms_ReEncryptResponse *result, struct error *err)
{
	struct side from = { .key_id = request->source_key_id,
		.action = "ReEncryptFrom",
		.algorithm = request->source_encryption_algorithm,
		.context = &request->source_encryption_context,
		.tokens = &request->grant_tokens };
	struct side to = { .action = "ReEncryptTo",
		.algorithm = request->destination_encryption_algorithm,
		.context = &request->destination_encryption_context,
		.tokens = &request->grant_tokens };
	struct shape_blob plain;
	if (request->dry_run_modifiers.count)
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION, "DryRunModifiers are not supported.");
	if (!request->ciphertext_blob.data)
		return error_set(err, ERROR_VALIDATION, "CiphertextBlob is required.");
	if (find_source(call, &from, &request->ciphertext_blob, err) ||
		kms_find_key(call, request->destination_key_id, KMS_ANY, &to.key, err))
		return -1;
	from.other_arn = to.key.arn;
	to.other_arn = from.key.arn;
	if (permit_side(call, &from, err) || permit_side(call, &to, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	if (decrypt(call, &from, &request->ciphertext_blob, &plain, err))
		return -1;
	int encrypted = encrypt(call, &to, &plain, &result->ciphertext_blob, err);
	OPENSSL_cleanse((void *)plain.data, plain.size);
	result->source_key_id = from.key.arn;
	result->key_id = to.key.arn;
	result->source_encryption_algorithm = from.algorithm ? from.algorithm : SYMMETRIC;
	result->destination_encryption_algorithm = to.algorithm ? to.algorithm : SYMMETRIC;
	if (kms_is_symmetric(to.key.record))
		result->destination_key_material_id = kms_material_newest(to.key.record);
	return encrypted;
}
