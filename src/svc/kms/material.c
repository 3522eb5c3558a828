/* Key material. Its purpose when sealed names key and material, so that one cannot be put in another's place. */
#include "svc/kms/material.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/secret.h"
#include "base/banned.h"

enum { MATERIAL_ID_BYTES = 32 };

static char *purpose_of(struct arena *arena, const struct kms_key_record *key, const char *id)
{
	return arena_printf(
		arena, "kms-key:%s:%s:%s:%s", key->record.account, key->record.region, key->record.id, id);
}

/* One DER encoding out of the library into the arena; the library's copy is cleansed. */
static int take_der(struct arena *arena, int size, unsigned char *der, void **data, size_t *data_size)
{
	if (size <= 0)
		return -1;
	*data = arena_memdup(arena, der, (size_t)size);
	*data_size = (size_t)size;
	OPENSSL_clear_free(der, (size_t)size);
	return 0;
}

int kms_make_pair(const struct kms_spec *spec, struct arena *arena, struct kms_secret *private_key,
	struct shape_blob *public_key, struct error *err)
{
	EVP_PKEY *pair =
		spec->family == KMS_RSA ? EVP_RSA_gen((unsigned)spec->size) : EVP_EC_gen(spec->curve);
	PKCS8_PRIV_KEY_INFO *info = pair ? EVP_PKEY2PKCS8(pair) : NULL;
	unsigned char *secret = NULL, *open = NULL;
	void *public_data = NULL;
	int secret_size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &secret) : 0;
	int open_size = pair ? i2d_PUBKEY(pair, &open) : 0;
	int result = take_der(arena, secret_size, secret, &private_key->data, &private_key->size) |
		take_der(arena, open_size, open, &public_data, &public_key->size);
	public_key->data = public_data;
	PKCS8_PRIV_KEY_INFO_free(info);
	EVP_PKEY_free(pair);
	return result ? error_set(err, ERROR_INTERNAL, "no key pair of %s could be made", spec->name) : 0;
}

static int make_secret(const struct kms_spec *spec, struct arena *arena, struct kms_secret *secret,
	struct shape_blob *public_key, struct error *err)
{
	if (spec->family == KMS_RSA || spec->family == KMS_EC)
		return kms_make_pair(spec, arena, secret, public_key, err);
	secret->size = (size_t)spec->size;
	secret->data = arena_alloc(arena, secret->size);
	text_random_bytes(secret->data, secret->size);
	return 0;
}

static int add_sealed(struct amid *amid, struct kms_key_record *key, struct record_kms_material material,
	const struct kms_secret *secret, struct arena *arena, struct error *err)
{
	char *sealed;
	if (secret_seal(amid, purpose_of(arena, key, material.id), secret->data, secret->size, arena, &sealed,
		    err))
		return -1;
	material.sealed = sealed;
	*ARENA_APPEND(arena, key->materials.items, key->materials.count) = material;
	key->materials.set = true;
	return 0;
}

int kms_material_make(struct amid *amid, struct kms_key_record *key, const char *rotation,
	struct arena *arena, struct error *err)
{
	uint8_t random[MATERIAL_ID_BYTES];
	char *id = arena_alloc(arena, 2 * sizeof random + 1);
	struct kms_secret secret;
	struct shape_blob public_key = { 0 };
	if (make_secret(kms_find_spec(key->spec), arena, &secret, &public_key, err))
		return -1;
	text_random_bytes(random, sizeof random);
	struct record_kms_material material = { .id = text_hex(random, sizeof random, id),
		.created = some_timestamp(clock_now_ms()),
		.rotation = rotation };
	int result = add_sealed(amid, key, material, &secret, arena, err);
	kms_material_close(&secret);
	if (public_key.data)
		key->public_key = text_base64(arena, public_key.data, public_key.size);
	return result;
}

static int open_material(struct amid *amid, const struct kms_key_record *key,
	const struct record_kms_material *material, struct arena *arena, struct kms_secret *secret,
	struct error *err)
{
	return secret_open(amid, purpose_of(arena, key, material->id),
		material->sealed ? material->sealed : "", arena, &secret->data, &secret->size, err);
}

int kms_material_copy(struct amid *amid, const struct kms_key_record *key, struct kms_key_record *replica,
	struct arena *arena, struct error *err)
{
	replica->materials = (struct record_kms_material_list){ 0 };
	replica->public_key = key->public_key;
	for (size_t i = 0; i < key->materials.count; i++) {
		struct kms_secret secret;
		if (open_material(amid, key, &key->materials.items[i], arena, &secret, err))
			return -1;
		int result = add_sealed(amid, replica, key->materials.items[i], &secret, arena, err);
		kms_material_close(&secret);
		if (result)
			return -1;
	}
	return 0;
}

const char *kms_material_newest(const struct kms_key_record *key)
{
	return key->materials.items[key->materials.count - 1].id;
}

int kms_material_open(struct amid *amid, const struct kms_key_record *key, const char *id,
	struct arena *arena, struct kms_secret *secret, struct error *err)
{
	for (size_t i = key->materials.count; i-- > 0;)
		if (!id || strcmp(key->materials.items[i].id, id) == 0)
			return open_material(amid, key, &key->materials.items[i], arena, secret, err);
	return error_set(err, ERROR_KMS_INVALID_CIPHERTEXT, "The key has no such material.");
}

void kms_material_close(struct kms_secret *secret)
{
	OPENSSL_cleanse(secret->data, secret->size);
}
