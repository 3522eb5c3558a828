/*
 * AES-256-GCM through OpenSSL. Sealed: version (1 byte), nonce (12, random), ciphertext, tag (16), in Base64; the version is authenticated. A key is HMAC-SHA-256(token key, "seal" 0 purpose 0 subject 0): subjects are
 * many, so that no key seals anywhere near the 2^32 texts that random nonces are good for. Runs on the caller's thread.
 */
#include "svc/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/banned.h"

enum { VERSION = 1, NONCE_AT = 1, NONCE_SIZE = 12, DATA_AT = NONCE_AT + NONCE_SIZE, TAG_SIZE = 16 };
enum {
	SEALED_MAX = 64 * 1024, /* bytes; more never leaves here, and headers and parameters hold less */
	SECRET_BYTES = 30,      /* 40 letters of Base64 */
};

/* Each text is ended by NUL, which none of them can hold, so that no two tuples read the same. */
static void derive(
	struct amid *amid, const char *use, const char *purpose, const char *subject, struct digest *key)
{
	const char *const texts[] = { use, purpose, subject };
	struct buffer input BUFFER_SCOPED = { 0 };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		buffer_append(&input, texts[i], strlen(texts[i]) + 1);
	digest_hmac_sha256(amid->token_key, sizeof amid->token_key, input.data, input.size, key);
}

char *seal_make(struct amid *amid, const char *purpose, const char *subject, const void *data, size_t size,
	struct arena *arena)
{
	struct digest key;
	int taken = 0, ended = 0;
	if (size > SEALED_MAX - DATA_AT - TAG_SIZE)
		return NULL;
	uint8_t *sealed = arena_alloc(arena, DATA_AT + size + TAG_SIZE);
	sealed[0] = VERSION;
	text_random_bytes(sealed + NONCE_AT, NONCE_SIZE);
	derive(amid, "seal", purpose, subject, &key);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	if (!context ||
		EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key.bytes, sealed + NONCE_AT) != 1 ||
		EVP_EncryptUpdate(context, NULL, &taken, sealed, 1) != 1 ||
		EVP_EncryptUpdate(context, sealed + DATA_AT, &taken, data, (int)size) != 1 ||
		EVP_EncryptFinal_ex(context, sealed + DATA_AT + taken, &ended) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, sealed + DATA_AT + size) != 1)
		abort(); /* no memory: see arena.h */
	EVP_CIPHER_CTX_free(context);
	OPENSSL_cleanse(&key, sizeof key);
	return text_base64(arena, sealed, DATA_AT + size + TAG_SIZE);
}

static bool decrypt(const struct digest *key, uint8_t *sealed, size_t size, char *data)
{
	int taken = 0, ended = 0;
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	bool opened = context &&
		EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, sealed + NONCE_AT) == 1 &&
		EVP_DecryptUpdate(context, NULL, &taken, sealed, 1) == 1 &&
		EVP_DecryptUpdate(context, (uint8_t *)data, &taken, sealed + DATA_AT, (int)size) == 1 &&
		EVP_CIPHER_CTX_ctrl(
			context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, sealed + DATA_AT + size) == 1 &&
		EVP_DecryptFinal_ex(context, (uint8_t *)data + taken, &ended) == 1;
	EVP_CIPHER_CTX_free(context);
	return opened;
}

char *seal_open(struct amid *amid, const char *purpose, const char *subject, const char *text,
	struct arena *arena, size_t *size)
{
	struct digest key;
	size_t sealed_size;
	if (strlen(text) > SEALED_MAX * 4 / 3 + 4)
		return NULL;
	uint8_t *sealed = text_unbase64(arena, text, &sealed_size);
	if (!sealed || sealed_size < DATA_AT + TAG_SIZE || sealed[0] != VERSION)
		return NULL;
	*size = sealed_size - DATA_AT - TAG_SIZE;
	char *data = arena_alloc(arena, *size + 1);
	derive(amid, "seal", purpose, subject, &key);
	bool opened = decrypt(&key, sealed, *size, data);
	OPENSSL_cleanse(&key, sizeof key);
	return opened ? data : NULL;
}

char *seal_derive_secret(struct amid *amid, const char *purpose, const char *subject, struct arena *arena)
{
	struct digest secret;
	derive(amid, "secret", purpose, subject, &secret);
	return text_base64(arena, secret.bytes, SECRET_BYTES);
}
