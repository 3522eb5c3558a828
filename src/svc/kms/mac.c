/* GenerateMac, VerifyMac: HMAC with keys made for it. Runs on the thread of the call. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "svc/kms/material.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

static int permit_use(
	struct call *call, struct kms_key *key, struct kms_use *use, const char *algorithm, struct error *err)
{
	use->grantable = true;
	kms_condition(call->arena, &use->conditions, "kms:MacAlgorithm", algorithm);
	if (kms_permit(call, key, use, err) || kms_check_enabled(key, err) ||
		kms_check_usage(key, KMS_GENERATE_VERIFY_MAC, err))
		return -1;
	if (kms_has_algorithm(key->record, algorithm))
		return 0;
	return error_set(err, ERROR_KMS_INVALID_KEY_USAGE, "Algorithm %s and key spec %s are incompatible.",
		algorithm, key->record->spec);
}

static int make_mac(struct call *call, const struct kms_key *key, const struct shape_blob *message,
	uint8_t mac[EVP_MAX_MD_SIZE], size_t *size, struct error *err)
{
	const char *spec = key->record->spec;
	const EVP_MD *digest = strcmp(spec, "HMAC_224") == 0 ? EVP_sha224()
		: strcmp(spec, "HMAC_256") == 0              ? EVP_sha256()
		: strcmp(spec, "HMAC_384") == 0              ? EVP_sha384()
							     : EVP_sha512();
	struct kms_secret secret;
	unsigned length = 0;
	if (kms_material_open(call->amid, key->record, NULL, call->arena, &secret, err))
		return -1;
	bool made = HMAC(digest, secret.data, (int)secret.size, message->data, message->size, mac, &length) !=
		NULL;
	kms_material_close(&secret);
	*size = length;
	return made ? 0 : error_set(err, ERROR_INTERNAL, "no MAC could be made with %s", key->arn);
}

int kms_generate_mac(struct call *call, const struct kms_GenerateMacRequest *request,
	struct kms_GenerateMacResponse *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "GenerateMac", .tokens = &request->grant_tokens };
	uint8_t mac[EVP_MAX_MD_SIZE];
	size_t size;
	if (kms_find_key(call, request->key_id, KMS_ANY, &key, err) ||
		permit_use(call, &key, &use, request->mac_algorithm, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	if (make_mac(call, &key, &request->message, mac, &size, err))
		return -1;
	*result = (struct kms_GenerateMacResponse){ .key_id = key.arn,
		.mac_algorithm = request->mac_algorithm,
		.mac = { arena_memdup(call->arena, mac, size), size } };
	return 0;
}

int kms_verify_mac(struct call *call, const struct kms_VerifyMacRequest *request,
	struct kms_VerifyMacResponse *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "VerifyMac", .tokens = &request->grant_tokens };
	uint8_t mac[EVP_MAX_MD_SIZE];
	size_t size;
	if (kms_find_key(call, request->key_id, KMS_ANY, &key, err) ||
		permit_use(call, &key, &use, request->mac_algorithm, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	if (make_mac(call, &key, &request->message, mac, &size, err))
		return -1;
	if (size != request->mac.size || CRYPTO_memcmp(mac, request->mac.data, size) != 0)
		return error_set(err, ERROR_KMS_INVALID_MAC, "The HMAC is not valid.");
	*result = (struct kms_VerifyMacResponse){
		.key_id = key.arn, .mac_valid = some_boolean(true), .mac_algorithm = request->mac_algorithm
	};
	return 0;
}
