/*
 * The root key's sources. A file is the key. A passphrase is stretched with scrypt; salt and cost are in the record. A token's key cannot leave it, so the record has 32 random bytes that lie under it, and the root key is derived from
 * them. The key is in the caller's memory only, who cleanses it. Runs on the caller's thread.
 */
#include "svc/root_key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "svc/token_key.h"
#include "base/banned.h"

enum {
	KEY_SIZE = AEAD_KEY_SIZE,
	SALT_SIZE = 16,
	PASSPHRASE_MAX = 4096,
	/* scrypt: 128 MiB, about half a second */
	SCRYPT_N = 1 << 17,
	SCRYPT_R = 8,
	SCRYPT_P = 1,
	SCRYPT_N_MAX = 1 << 22,
};

#define TOKEN_CONTEXT "amid root key pkcs11 1"

/* What `kdf` of the record says, and how that is told. */
static const struct kind {
	const char *kdf, *what;
} file_kind = { "none", "a file (--root-key)" },
  passphrase_kind = { "scrypt", "made of a passphrase (--root-key-passphrase-file)" },
  token_kind = { "pkcs11", "on a token (--root-key-pkcs11)" };

static const struct kind *const kinds[] = { &file_kind, &passphrase_kind, &token_kind };

static const struct kind *chosen_kind(const struct secrets_config *config)
{
	if (config->pkcs11)
		return &token_kind;
	return config->passphrase ? &passphrase_kind : &file_kind;
}

int root_key_check(const struct secrets_config *config, struct error *err)
{
	if (!!config->root_key + !!config->passphrase + !!config->pkcs11 > 1)
		return error_set(err, ERROR_INVALID,
			"there can be one root key: a file, a passphrase, or a token's key");
	return config->pkcs11 ? token_key_check(config->pkcs11, err) : 0;
}

const char *root_key_name(const struct secrets_config *config, struct arena *arena)
{
	if (config->pkcs11)
		return token_key_name(config->pkcs11, arena);
	if (config->passphrase)
		return config->passphrase;
	return config->root_key ? config->root_key : arena_printf(arena, "%s/root-key", config->data);
}

/* `make`: it may be made if it is missing. */
static int read_key_file(const char *path, bool make, uint8_t key[KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *data = NULL;
	size_t size;
	if (make && access(path, F_OK) && errno == ENOENT) {
		text_random_bytes(key, KEY_SIZE);
		return file_replace(path, key, KEY_SIZE, 0600, err);
	}
	if (file_read_private(path, KEY_SIZE, arena, &data, &size, err))
		return error_prefix(err, "the root key");
	if (size == KEY_SIZE)
		memcpy(key, data, KEY_SIZE);
	OPENSSL_cleanse(data, size);
	return size == KEY_SIZE ? 0
				: error_set(err, ERROR_INVALID, "%s is no root key: it has %zu bytes, not %d",
					  path, size, KEY_SIZE);
}

static int stretch(
	const char *path, const struct root_key_record *record, uint8_t key[KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *text = NULL;
	size_t size, salt_size;
	uint64_t cost = (uint64_t)record->cost.value;
	const uint8_t *salt = record->salt ? text_unbase64(arena, record->salt, &salt_size) : NULL;
	if (!salt || salt_size != SALT_SIZE || record->cost.value < 2 || cost > SCRYPT_N_MAX)
		return error_set(err, ERROR_CORRUPT, "the record of the root key has no salt or cost");
	if (file_read_private(path, PASSPHRASE_MAX, arena, &text, &size, err))
		return error_prefix(err, "the root key's passphrase");
	size_t length = strcspn(text, "\r\n");
	int result = 0;
	if (!length)
		result = error_set(err, ERROR_INVALID, "the first line of %s is empty", path);
	else if (EVP_PBE_scrypt(text, length, salt, SALT_SIZE, cost, SCRYPT_R, SCRYPT_P,
			 cost * SCRYPT_R * 256, key, KEY_SIZE) != 1)
		result = error_set(err, ERROR_INTERNAL, "scrypt failed: not enough memory?");
	OPENSSL_cleanse(text, size);
	return result;
}

/* CBC lets whoever can change the record change what comes out by known bits; a derived key has nothing to do with the one it was. Cleanses `secret`. */
static void derive_from_token(uint8_t secret[TOKEN_KEY_SIZE], uint8_t key[KEY_SIZE])
{
	struct digest mac;
	digest_hmac_sha256(secret, TOKEN_KEY_SIZE, TOKEN_CONTEXT, strlen(TOKEN_CONTEXT), &mac);
	memcpy(key, mac.bytes, KEY_SIZE);
	OPENSSL_cleanse(&mac, sizeof mac);
	OPENSSL_cleanse(secret, TOKEN_KEY_SIZE);
}

static int choose_token(const char *uri, struct arena *arena, struct root_key_record *record,
	uint8_t key[KEY_SIZE], struct error *err)
{
	uint8_t secret[TOKEN_KEY_SIZE], sealed[TOKEN_KEY_SEALED_SIZE];
	text_random_bytes(secret, sizeof secret);
	int result = token_key_seal(uri, secret, sealed, err);
	record->wrapped = text_base64(arena, sealed, sizeof sealed);
	derive_from_token(secret, key);
	return result;
}

static int open_token(
	const char *uri, const struct root_key_record *record, uint8_t key[KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	uint8_t secret[TOKEN_KEY_SIZE];
	size_t size;
	const uint8_t *sealed = record->wrapped ? text_unbase64(arena, record->wrapped, &size) : NULL;
	if (!sealed || size != TOKEN_KEY_SEALED_SIZE)
		return error_set(err, ERROR_CORRUPT, "the record of the root key has nothing for a token");
	if (token_key_open(uri, sealed, secret, err))
		return -1;
	derive_from_token(secret, key);
	return 0;
}

int root_key_choose(const struct secrets_config *config, bool make, struct arena *arena,
	struct root_key_record *record, uint8_t key[KEY_SIZE], struct error *err)
{
	uint8_t salt[SALT_SIZE];
	record->kdf = chosen_kind(config)->kdf;
	record->salt = record->wrapped = NULL;
	record->cost = (struct shape_integer){ 0 };
	if (config->pkcs11)
		return choose_token(config->pkcs11, arena, record, key, err);
	if (!config->passphrase)
		return read_key_file(root_key_name(config, arena), make && !config->root_key, key, err);
	text_random_bytes(salt, sizeof salt);
	record->salt = text_base64(arena, salt, sizeof salt);
	record->cost = some_integer(SCRYPT_N);
	return stretch(config->passphrase, record, key, err);
}

int root_key_read(const struct secrets_config *config, const struct root_key_record *record,
	uint8_t key[KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *name = root_key_name(config, arena);
	const struct kind *chosen = chosen_kind(config), *recorded = NULL;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (text_equal(record->kdf, kinds[i]->kdf))
			recorded = kinds[i];
	if (!recorded)
		return error_set(err, ERROR_CORRUPT, "the record of the root key has the unknown kdf %.20s",
			record->kdf ? record->kdf : "");
	if (recorded != chosen)
		return error_set(
			err, ERROR_INVALID, "the data folder's root key is %s, not %s", recorded->what, name);
	if (config->pkcs11)
		return open_token(config->pkcs11, record, key, err);
	return config->passphrase ? stretch(config->passphrase, record, key, err)
				  : read_key_file(name, false, key, err);
}
