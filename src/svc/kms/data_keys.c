/* Data keys and data key pairs: made here, given out wrapped under a key, and in the clear if asked for. Runs on the thread of the call. */
#include <openssl/crypto.h>
#include <string.h>

#include "base/text.h"
#include "svc/kms/crypt.h"
#include "svc/kms/material.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

enum { DATA_KEY_MAX = 1024 };

/* What the four operations have in common. */
struct asked {
	const char *key_id, *action;
	const struct kms_EncryptionContextType *context;
	const struct kms_GrantTokenList *tokens;
	const struct kms_RecipientInfo *recipient;
	const char *pair_spec; /* of pairs, else NULL */
	struct shape_boolean dry_run;
};

static int permit_asked(struct call *call, const struct asked *asked, struct kms_key *key, struct error *err)
{
	struct kms_use use = {
		.action = asked->action, .grantable = true, .context = asked->context, .tokens = asked->tokens
	};
	kms_condition(call->arena, &use.conditions, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	kms_condition(call->arena, &use.conditions, "kms:DataKeyPairSpec", asked->pair_spec);
	if (asked->recipient)
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION, "There are no enclaves here.");
	if (kms_find_key(call, asked->key_id, KMS_ANY, key, err) || kms_permit(call, key, &use, err) ||
		kms_check_enabled(key, err) || kms_check_usage(key, KMS_ENCRYPT_DECRYPT, err))
		return -1;
	if (!kms_is_symmetric(key->record))
		return error_set(err, ERROR_KMS_INVALID_KEY_USAGE, "%s is not a symmetric key.", key->arn);
	return boolean_or(asked->dry_run, false) ? kms_dry_run(err) : 0;
}

static int choose_size(const char *spec, struct shape_integer bytes, size_t *size, struct error *err)
{
	if (spec ? bytes.set : !bytes.set)
		return error_set(err, ERROR_VALIDATION, "Please specify either number of bytes or key spec.");
	if (spec)
		*size = strcmp(spec, "AES_128") == 0 ? 16 : 32;
	else
		*size = (size_t)bytes.value;
	return 0;
}

/* A random key of that size in `plain`, and wrapped. */
static int make_data_key(struct call *call, const struct asked *asked, size_t size,
	uint8_t plain[DATA_KEY_MAX], struct shape_blob *blob, struct kms_key *key, struct error *err)
{
	if (permit_asked(call, asked, key, err))
		return -1;
	text_random_bytes(plain, size);
	return kms_wrap(call->amid, key->record, asked->context, plain, size, call->arena, blob, err);
}

int kms_generate_data_key(struct call *call, const struct kms_GenerateDataKeyRequest *request,
	struct kms_GenerateDataKeyResponse *result, struct error *err)
{
	struct asked asked = { .key_id = request->key_id,
		.action = "GenerateDataKey",
		.context = &request->encryption_context,
		.tokens = &request->grant_tokens,
		.recipient = request->recipient,
		.dry_run = request->dry_run };
	uint8_t plain[DATA_KEY_MAX];
	struct kms_key key;
	size_t size = 0;
	if (choose_size(request->key_spec, request->number_of_bytes, &size, err) ||
		make_data_key(call, &asked, size, plain, &result->ciphertext_blob, &key, err))
		return -1;
	result->plaintext = (struct shape_blob){ arena_memdup(call->arena, plain, size), size };
	OPENSSL_cleanse(plain, sizeof plain);
	result->key_id = key.arn;
	result->key_material_id = kms_material_newest(key.record);
	return 0;
}

int kms_generate_data_key_without_plaintext(struct call *call,
	const struct kms_GenerateDataKeyWithoutPlaintextRequest *request,
	struct kms_GenerateDataKeyWithoutPlaintextResponse *result, struct error *err)
{
	struct asked asked = { .key_id = request->key_id,
		.action = "GenerateDataKeyWithoutPlaintext",
		.context = &request->encryption_context,
		.tokens = &request->grant_tokens,
		.dry_run = request->dry_run };
	uint8_t plain[DATA_KEY_MAX];
	struct kms_key key;
	size_t size = 0;
	if (choose_size(request->key_spec, request->number_of_bytes, &size, err) ||
		make_data_key(call, &asked, size, plain, &result->ciphertext_blob, &key, err))
		return -1;
	OPENSSL_cleanse(plain, sizeof plain);
	result->key_id = key.arn;
	result->key_material_id = kms_material_newest(key.record);
	return 0;
}

/* The private part is the caller's to cleanse. */
static int make_pair(struct call *call, const struct asked *asked, struct kms_secret *private_key,
	struct shape_blob *public_key, struct shape_blob *blob, struct kms_key *key, struct error *err)
{
	const struct kms_spec *spec = kms_find_spec(asked->pair_spec);
	if (!spec || (spec->family != KMS_RSA && spec->family != KMS_EC))
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION,
			"Key pairs of %.64s are not supported.", asked->pair_spec);
	if (permit_asked(call, asked, key, err) ||
		kms_make_pair(spec, call->arena, private_key, public_key, err))
		return -1;
	if (kms_wrap(call->amid, key->record, asked->context, private_key->data, private_key->size,
		    call->arena, blob, err) == 0)
		return 0;
	kms_material_close(private_key);
	return -1;
}

int kms_generate_data_key_pair(struct call *call, const struct kms_GenerateDataKeyPairRequest *request,
	struct kms_GenerateDataKeyPairResponse *result, struct error *err)
{
	struct asked asked = { .key_id = request->key_id,
		.action = "GenerateDataKeyPair",
		.context = &request->encryption_context,
		.tokens = &request->grant_tokens,
		.recipient = request->recipient,
		.pair_spec = request->key_pair_spec,
		.dry_run = request->dry_run };
	struct kms_secret private_key;
	struct kms_key key;
	if (make_pair(call, &asked, &private_key, &result->public_key, &result->private_key_ciphertext_blob,
		    &key, err))
		return -1;
	result->private_key_plaintext = (struct shape_blob){ private_key.data, private_key.size };
	result->key_id = key.arn;
	result->key_pair_spec = request->key_pair_spec;
	result->key_material_id = kms_material_newest(key.record);
	return 0;
}

int kms_generate_data_key_pair_without_plaintext(struct call *call,
	const struct kms_GenerateDataKeyPairWithoutPlaintextRequest *request,
	struct kms_GenerateDataKeyPairWithoutPlaintextResponse *result, struct error *err)
{
	struct asked asked = { .key_id = request->key_id,
		.action = "GenerateDataKeyPairWithoutPlaintext",
		.context = &request->encryption_context,
		.tokens = &request->grant_tokens,
		.pair_spec = request->key_pair_spec,
		.dry_run = request->dry_run };
	struct kms_secret private_key;
	struct kms_key key;
	if (make_pair(call, &asked, &private_key, &result->public_key, &result->private_key_ciphertext_blob,
		    &key, err))
		return -1;
	kms_material_close(&private_key);
	result->key_id = key.arn;
	result->key_pair_spec = request->key_pair_spec;
	result->key_material_id = kms_material_newest(key.record);
	return 0;
}
