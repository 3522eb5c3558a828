/*
 * SHA-256 by OpenSSL, through its older functions: the newer ones load providers and configuration first, which costs each volume server memory for nothing. A
 * MAC that cannot be computed (no memory in the library) ends the process: see arena.h.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static void fail(void)
{
	fprintf(stderr, "level=error event=digest-failed\n");
	abort();
}

_Static_assert(sizeof(struct digest_stream) == sizeof(SHA256_CTX), "digest.h keeps room for it");

/* None of the three can fail, whatever their types say. */
void digest_stream_begin(struct digest_stream *stream)
{
	SHA256_Init((SHA256_CTX *)stream);
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t size)
{
	SHA256_Update((SHA256_CTX *)stream, data, size);
}

void digest_stream_end(struct digest_stream *stream, struct digest *digest)
{
	SHA256_Final(digest->bytes, (SHA256_CTX *)stream);
}

void digest_sha256(const void *data, size_t size, struct digest *digest)
{
	struct digest_stream stream;
	digest_stream_begin(&stream);
	digest_stream_add(&stream, data, size);
	digest_stream_end(&stream, digest);
}

void digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, struct digest *mac)
{
	unsigned length;
	if (!HMAC(EVP_sha256(), key, (int)key_size, data, size, mac->bytes, &length))
		fail();
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return CRYPTO_memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

bool digest_is_zero(const struct digest *digest)
{
	static const struct digest zero;
	return memcmp(digest->bytes, zero.bytes, DIGEST_SIZE) == 0;
}
