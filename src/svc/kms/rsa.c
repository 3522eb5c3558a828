/* Encryption with RSA: OAEP. Runs on the thread of the call. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/text.h"
#include "svc/kms/asymmetric.h"
#include "svc/kms/material.h"
#include "svc/kms/pkey.h"
#include "base/banned.h"

EVP_PKEY *kms_public_key(const struct kms_key_record *key, struct arena *arena)
{
	size_t size;
	const uint8_t *der = key->public_key ? text_unbase64(arena, key->public_key, &size) : NULL;
	return der ? d2i_PUBKEY(NULL, &der, (long)size) : NULL;
}

EVP_PKEY *kms_private_key(struct call *call, const struct kms_key_record *key, struct error *err)
{
	struct kms_secret secret;
	if (kms_material_open(call->amid, key, NULL, call->arena, &secret, err))
		return NULL;
	const uint8_t *der = secret.data;
	EVP_PKEY *made = d2i_AutoPrivateKey(NULL, &der, (long)secret.size);
	kms_material_close(&secret);
	if (!made)
		error_set(err, ERROR_CORRUPT, "the material of key %s is no private key", key->record.id);
	return made;
}

static int set_oaep(EVP_PKEY_CTX *context, const char *algorithm)
{
	const EVP_MD *digest = strcmp(algorithm, "RSAES_OAEP_SHA_1") == 0 ? EVP_sha1() : EVP_sha256();
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_oaep_md(context, digest) == 1 &&
			EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1
		? 0
		: -1;
}

int kms_rsa_encrypt(struct call *call, const struct kms_key_record *key, const char *algorithm,
	const struct shape_blob *plain, struct shape_blob *data, struct error *err)
{
	EVP_PKEY *pkey = kms_public_key(key, call->arena);
	EVP_PKEY_CTX *context = pkey ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;
	size_t digest = strcmp(algorithm, "RSAES_OAEP_SHA_1") == 0 ? 20 : 32;
	size_t room = pkey ? (size_t)EVP_PKEY_get_size(pkey) : 0, size = room;
	uint8_t *out = arena_alloc(call->arena, room + 1);
	int result = -1;
	if (room && plain->size > room - 2 * digest - 2)
		error_set(err, ERROR_VALIDATION,
			"Algorithm %s and key spec %s cannot encrypt data larger than %zu bytes.", algorithm,
			key->spec, room - 2 * digest - 2);
	else if (!context || EVP_PKEY_encrypt_init(context) != 1 || set_oaep(context, algorithm) ||
		EVP_PKEY_encrypt(context, out, &size, plain->data, plain->size) != 1)
		error_set(err, ERROR_INTERNAL, "encrypting with key %s failed", key->record.id);
	else
		result = 0;
	*data = (struct shape_blob){ out, size };
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(pkey);
	return result;
}

int kms_rsa_decrypt(struct call *call, const struct kms_key_record *key, const char *algorithm,
	const struct shape_blob *data, struct shape_blob *plain, struct error *err)
{
	EVP_PKEY *pkey = kms_private_key(call, key, err);
	if (!pkey)
		return -1;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
	size_t size = (size_t)EVP_PKEY_get_size(pkey);
	uint8_t *out = arena_alloc(call->arena, size + 1);
	int result = context && EVP_PKEY_decrypt_init(context) == 1 && set_oaep(context, algorithm) == 0 &&
			EVP_PKEY_decrypt(context, out, &size, data->data, data->size) == 1
		? 0
		: error_set(err, ERROR_KMS_INVALID_CIPHERTEXT, "The ciphertext does not open with this key.");
	*plain = (struct shape_blob){ out, size };
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(pkey);
	return result;
}
