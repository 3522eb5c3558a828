/* Sign, Verify, GetPublicKey: RSA (PKCS #1 v1.5, PSS) and ECDSA, over a message or its digest. Runs on the thread of the call. */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/text.h"
#include "svc/kms/permit.h"
#include "svc/kms/pkey.h"
#include "base/banned.h"

/* A message as it is signed: its digest. */
struct digested {
	const EVP_MD *kind;
	uint8_t bytes[EVP_MAX_MD_SIZE];
	size_t size;
};

static int permit_use(struct call *call, struct kms_key *key, struct kms_use *use, const char *algorithm,
	const char *message_type, struct error *err)
{
	use->grantable = true;
	kms_condition(call->arena, &use->conditions, "kms:SigningAlgorithm", algorithm);
	kms_condition(call->arena, &use->conditions, "kms:MessageType", message_type ? message_type : "RAW");
	if (kms_permit(call, key, use, err) || kms_check_enabled(key, err) ||
		kms_check_usage(key, KMS_SIGN_VERIFY, err))
		return -1;
	if (kms_has_algorithm(key->record, algorithm))
		return 0;
	return error_set(err, ERROR_KMS_INVALID_KEY_USAGE, "Algorithm %s and key spec %s are incompatible.",
		algorithm, key->record->spec);
}

static int digest_message(const char *algorithm, const char *type, const struct shape_blob *message,
	struct digested *digested, struct error *err)
{
	const char *bits = strrchr(algorithm, '_') + 1;
	unsigned size = 0;
	digested->kind = strcmp(bits, "256") == 0 ? EVP_sha256()
		: strcmp(bits, "384") == 0        ? EVP_sha384()
						  : EVP_sha512();
	digested->size = (size_t)EVP_MD_get_size(digested->kind);
	if (type && strcmp(type, "EXTERNAL_MU") == 0)
		return error_set(err, ERROR_VALIDATION, "MessageType EXTERNAL_MU is for ML-DSA keys only.");
	if (type && strcmp(type, "DIGEST") == 0) {
		if (message->size != digested->size)
			return error_set(err, ERROR_VALIDATION, "Digest is invalid length for algorithm %s.",
				algorithm);
		memcpy(digested->bytes, message->data, digested->size);
		return 0;
	}
	return EVP_Digest(message->data, message->size, digested->bytes, &size, digested->kind, NULL) == 1
		? 0
		: error_set(err, ERROR_INTERNAL, "no digest could be made");
}

static int set_padding(EVP_PKEY_CTX *context, const char *algorithm, const struct digested *digested)
{
	bool rsa = text_starts_with(algorithm, "RSASSA_"), pss = text_starts_with(algorithm, "RSASSA_PSS_");
	if (rsa &&
		EVP_PKEY_CTX_set_rsa_padding(context, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1)
		return -1;
	if (EVP_PKEY_CTX_set_signature_md(context, digested->kind) != 1)
		return -1;
	return pss && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) != 1 ? -1 : 0;
}

int kms_sign(struct call *call, const struct kms_SignRequest *request, struct kms_SignResponse *result,
	struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "Sign", .tokens = &request->grant_tokens };
	struct digested digested;
	const char *algorithm = request->signing_algorithm;
	if (kms_find_key(call, request->key_id, KMS_ANY, &key, err) ||
		permit_use(call, &key, &use, algorithm, request->message_type, err) ||
		digest_message(algorithm, request->message_type, &request->message, &digested, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	EVP_PKEY *pkey = kms_private_key(call, key.record, err);
	if (!pkey)
		return -1;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
	size_t size = (size_t)EVP_PKEY_get_size(pkey);
	uint8_t *signature = arena_alloc(call->arena, size);
	int failed = !context || EVP_PKEY_sign_init(context) != 1 ||
		set_padding(context, algorithm, &digested) ||
		EVP_PKEY_sign(context, signature, &size, digested.bytes, digested.size) != 1;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(pkey);
	*result = (struct kms_SignResponse){
		.key_id = key.arn, .signature = { signature, size }, .signing_algorithm = algorithm
	};
	return failed ? error_set(err, ERROR_INTERNAL, "signing with key %s failed", key.arn) : 0;
}

int kms_verify(struct call *call, const struct kms_VerifyRequest *request, struct kms_VerifyResponse *result,
	struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "Verify", .tokens = &request->grant_tokens };
	struct digested digested;
	const char *algorithm = request->signing_algorithm;
	if (kms_find_key(call, request->key_id, KMS_ANY, &key, err) ||
		permit_use(call, &key, &use, algorithm, request->message_type, err) ||
		digest_message(algorithm, request->message_type, &request->message, &digested, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	EVP_PKEY *pkey = kms_public_key(key.record, call->arena);
	EVP_PKEY_CTX *context = pkey ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;
	bool valid = context && EVP_PKEY_verify_init(context) == 1 &&
		set_padding(context, algorithm, &digested) == 0 &&
		EVP_PKEY_verify(context, request->signature.data, request->signature.size, digested.bytes,
			digested.size) == 1;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(pkey);
	if (!valid)
		return error_set(err, ERROR_KMS_INVALID_SIGNATURE, "The signature is not valid.");
	*result = (struct kms_VerifyResponse){
		.key_id = key.arn, .signature_valid = some_boolean(true), .signing_algorithm = algorithm
	};
	return 0;
}

int kms_get_public_key(struct call *call, const struct kms_GetPublicKeyRequest *request,
	struct kms_GetPublicKeyResponse *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = {
		.action = "GetPublicKey", .grantable = true, .tokens = &request->grant_tokens
	};
	if (kms_find_key(call, request->key_id, KMS_ANY, &key, err) || kms_permit(call, &key, &use, err) ||
		kms_check_enabled(&key, err))
		return -1;
	if (!key.record->public_key)
		return error_set(
			err, ERROR_KMS_UNSUPPORTED_OPERATION, "%s is not an asymmetric key.", key.arn);
	const struct kms_KeyMetadata *metadata = kms_metadata(call, key.record);
	result->public_key.data =
		text_unbase64(call->arena, key.record->public_key, &result->public_key.size);
	result->key_id = key.arn;
	result->customer_master_key_spec = result->key_spec = key.record->spec;
	result->key_usage = key.record->usage;
	result->encryption_algorithms = metadata->encryption_algorithms;
	result->signing_algorithms = metadata->signing_algorithms;
	return 0;
}
