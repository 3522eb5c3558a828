/*
 * Sealed: version (1 byte), then what aead.h makes (nonce, ciphertext, tag), in Base64; the version is authenticated. A key is HMAC-SHA-256(token key, "seal" 0 purpose 0 subject 0): subjects are many, so that no key
 * seals anywhere near the 2^32 texts that random nonces are good for. Runs on the caller's thread.
 */
#include "svc/seal.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/aead.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/banned.h"

enum {
	VERSION = 1,
	OVERHEAD = 1 + AEAD_OVERHEAD,
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
	if (size > SEALED_MAX - OVERHEAD)
		return NULL;
	uint8_t *sealed = arena_alloc(arena, OVERHEAD + size);
	sealed[0] = VERSION;
	derive(amid, "seal", purpose, subject, &key);
	aead_seal(key.bytes, sealed, 1, data, size, sealed + 1);
	OPENSSL_cleanse(&key, sizeof key);
	return text_base64(arena, sealed, OVERHEAD + size);
}

char *seal_open(struct amid *amid, const char *purpose, const char *subject, const char *text,
	struct arena *arena, size_t *size)
{
	struct digest key;
	size_t sealed_size;
	if (strlen(text) > SEALED_MAX * 4 / 3 + 4)
		return NULL;
	uint8_t *sealed = text_unbase64(arena, text, &sealed_size);
	if (!sealed || sealed_size < OVERHEAD || sealed[0] != VERSION)
		return NULL;
	*size = sealed_size - OVERHEAD;
	char *data = arena_alloc(arena, *size + 1);
	derive(amid, "seal", purpose, subject, &key);
	int opened = aead_open(key.bytes, sealed, 1, sealed + 1, sealed_size - 1, data);
	OPENSSL_cleanse(&key, sizeof key);
	return opened == 0 ? data : NULL;
}

char *seal_derive_secret(struct amid *amid, const char *purpose, const char *subject, struct arena *arena)
{
	struct digest secret;
	arena_wipe(arena);
	derive(amid, "secret", purpose, subject, &secret);
	char *text = text_base64(arena, secret.bytes, SECRET_BYTES);
	OPENSSL_cleanse(&secret, sizeof secret);
	return text;
}
