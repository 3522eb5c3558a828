/*
 * A secret key that stays on a PKCS#11 token (HSM, smart card, TPM): what lies under it opens only where the token is. Named by a URI (RFC 7512) with module-path, token, object, and pin-source, a file with the PIN.
 * The module runs in this process, and only while a function below runs. A PIN is tried once in a call, and not at all when the token says that one try is left: tokens lock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum { TOKEN_KEY_SIZE = 32, TOKEN_KEY_SEALED_SIZE = 1 + 16 + TOKEN_KEY_SIZE };

/* Whether a URI can be used, without looking at the token. ERROR_INVALID says what is wrong with it; the message never has a PIN. */
int token_key_check(const char *uri, struct error *err);
/* How to call the key in a message: "the key OBJECT of the token TOKEN". */
const char *token_key_name(const char *uri, struct arena *arena);
/* Puts 32 random bytes under the token's key, and sees that they open again. */
int token_key_seal(const char *uri, const uint8_t secret[TOKEN_KEY_SIZE],
	uint8_t sealed[TOKEN_KEY_SEALED_SIZE], struct error *err);
/* Another key of the token, or bytes that were changed, give other bytes and no error: whoever uses them authenticates something with them. ERROR_INVALID, ERROR_NOT_FOUND, ERROR_UNAVAILABLE name what is missing or wrong. */
int token_key_open(const char *uri, const uint8_t sealed[TOKEN_KEY_SEALED_SIZE],
	uint8_t secret[TOKEN_KEY_SIZE], struct error *err);
