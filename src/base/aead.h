/* Authenticated encryption of small things: AES-256-GCM with a random nonce, through OpenSSL. No state; safe from every thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	AEAD_KEY_SIZE = 32,
	AEAD_NONCE_SIZE = 12,
	AEAD_TAG_SIZE = 16,
	AEAD_OVERHEAD = AEAD_NONCE_SIZE + AEAD_TAG_SIZE /* what sealing adds */
};

/* `out` has room for size + AEAD_OVERHEAD bytes: nonce, ciphertext, tag. `context` is authenticated, not stored. A key may seal 2^32 things. */
void aead_seal(const uint8_t key[AEAD_KEY_SIZE], const void *context, size_t context_size, const void *plain,
	size_t size, uint8_t *out);
/* `sealed_size` as sealed; `plain` has room for sealed_size - AEAD_OVERHEAD bytes, zeroed unless all is authentic. 0, or -1: not sealed by this key with this context. */
int aead_open(const uint8_t key[AEAD_KEY_SIZE], const void *context, size_t context_size,
	const uint8_t *sealed, size_t sealed_size, void *plain);
