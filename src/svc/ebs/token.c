/*
 * A block token is the Base64 of: version byte, time of expiry (8 bytes, little-endian, ms), the block's digest, the first MAC_SIZE bytes of a MAC over these and over whom and which block it is for. The digest in it spares
 * GetSnapshotBlock the way through the tree. No state; safe from every thread.
 */
#include "svc/ebs/token.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/wire.h"
#include "svc/amid.h"
#include "base/banned.h"

enum {
	VERSION = 1,
	EXPIRY_AT = 1,
	DIGEST_AT = 9,
	MAC_AT = DIGEST_AT + DIGEST_SIZE,
	MAC_SIZE = 16,
	TOKEN_SIZE = MAC_AT + MAC_SIZE
};

/* Texts are ended by NUL, which none of them can hold, so that no two tuples read the same. */
static void mac_of(const struct call *call, const uint8_t *token, const char *snapshot_id, uint64_t index,
	struct digest *mac)
{
	const char *const texts[] = { "block", call->account, call->region, snapshot_id };
	struct buffer input BUFFER_SCOPED = { 0 };
	uint8_t number[8];
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		buffer_append(&input, texts[i], strlen(texts[i]) + 1);
	wire_put(number, sizeof number, index);
	buffer_append(&input, number, sizeof number);
	buffer_append(&input, token, MAC_AT);
	digest_hmac_sha256(call->amid->token_key, sizeof call->amid->token_key, input.data, input.size, mac);
}

const char *token_make(const struct call *call, const char *snapshot_id, uint64_t index,
	const struct digest *block, int64_t expires_ms)
{
	uint8_t token[TOKEN_SIZE] = { VERSION };
	struct digest mac;
	wire_put(token + EXPIRY_AT, 8, (uint64_t)expires_ms);
	memcpy(token + DIGEST_AT, block->bytes, DIGEST_SIZE);
	mac_of(call, token, snapshot_id, index, &mac);
	memcpy(token + MAC_AT, mac.bytes, MAC_SIZE);
	return text_base64(call->arena, token, sizeof token);
}

int token_read(const struct call *call, const char *text, const char *snapshot_id, uint64_t index,
	struct digest *block, struct error *err)
{
	size_t size;
	struct digest mac;
	const uint8_t *token = text_unbase64(call->arena, text, &size);
	if (token && size == TOKEN_SIZE && token[0] == VERSION) {
		mac_of(call, token, snapshot_id, index, &mac);
		if (CRYPTO_memcmp(token + MAC_AT, mac.bytes, MAC_SIZE) != 0)
			token = NULL;
	} else {
		token = NULL;
	}
	if (!token)
		return error_set(err, ERROR_VALIDATION_BLOCK_TOKEN,
			"The block token is not valid for block %" PRIu64 " of %s.", index, snapshot_id);
	if ((int64_t)wire_get(token + EXPIRY_AT, 8) <= clock_now_ms())
		return error_set(err, ERROR_VALIDATION_BLOCK_TOKEN, "The block token has expired.");
	memcpy(block->bytes, token + DIGEST_AT, DIGEST_SIZE);
	return 0;
}
