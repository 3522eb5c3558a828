/* Authenticated encryption over OpenSSL's EVP. Without memory for a context of the library the process ends, as everywhere. */
#include "base/aead.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/banned.h"

static void must(int result)
{
	if (result == 1)
		return;
	fputs("amid: AES-256-GCM does not work in this OpenSSL, or there is no memory\n", stderr);
	abort();
}

void aead_seal(const uint8_t key[AEAD_KEY_SIZE], const void *context, size_t context_size, const void *plain,
	size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	uint8_t *text = out + AEAD_NONCE_SIZE;
	int done;
	assert(size <= INT_MAX && context_size <= INT_MAX);
	text_random_bytes(out, AEAD_NONCE_SIZE);
	must(cipher != NULL);
	must(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, out));
	if (context_size)
		must(EVP_EncryptUpdate(cipher, NULL, &done, context, (int)context_size));
	if (size)
		must(EVP_EncryptUpdate(cipher, text, &done, plain, (int)size));
	must(EVP_EncryptFinal_ex(cipher, text + size, &done));
	must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, AEAD_TAG_SIZE, text + size));
	EVP_CIPHER_CTX_free(cipher);
}

int aead_open(const uint8_t key[AEAD_KEY_SIZE], const void *context, size_t context_size,
	const uint8_t *sealed, size_t sealed_size, void *plain)
{
	uint8_t tag[AEAD_TAG_SIZE];
	int done;
	if (sealed_size < AEAD_OVERHEAD || sealed_size > INT_MAX || context_size > INT_MAX)
		return -1;
	size_t size = sealed_size - AEAD_OVERHEAD;
	const uint8_t *text = sealed + AEAD_NONCE_SIZE;
	for (size_t i = 0; i < AEAD_TAG_SIZE; i++)
		tag[i] = text[size + i];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	must(cipher != NULL);
	must(EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, sealed));
	if (context_size)
		must(EVP_DecryptUpdate(cipher, NULL, &done, context, (int)context_size));
	if (size)
		must(EVP_DecryptUpdate(cipher, plain, &done, text, (int)size));
	must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, AEAD_TAG_SIZE, tag));
	int authentic = EVP_DecryptFinal_ex(cipher, (uint8_t *)plain + size, &done);
	EVP_CIPHER_CTX_free(cipher);
	if (authentic == 1)
		return 0;
	OPENSSL_cleanse(plain, size);
	return -1;
}
