/* SHA-256 by OpenSSL. A digest that cannot be computed (no memory in the library) ends the process: see arena.h. */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static void fail(void)
{
	fprintf(stderr, "level=error event=digest-failed\n");
	abort();
}

void digest_sha256(const void *data, size_t size, struct digest *digest)
{
	unsigned length;
	if (!EVP_Digest(data, size, digest->bytes, &length, EVP_sha256(), NULL))
		fail();
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
