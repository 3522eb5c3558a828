/* Sealing with the data folder's token key. No state; safe from every thread. */
#include "svc/authorize/message.h"

#include <string.h>

#include "base/aead.h"
#include "base/text.h"
#include "base/banned.h"

static const char purpose[] = "authorization message";

int authorize_message_seal(
	struct amid *amid, const char *json, struct arena *arena, char **sealed, struct error *err)
{
	size_t size = strlen(json);
	uint8_t *bytes = arena_alloc(arena, size + AEAD_OVERHEAD);
	aead_seal(amid->token_key, purpose, sizeof purpose, json, size, bytes);
	*sealed = text_base64(arena, bytes, size + AEAD_OVERHEAD);
	return 0;
}

int authorize_message_open(
	struct amid *amid, const char *sealed, struct arena *arena, char **json, struct error *err)
{
	size_t size;
	const uint8_t *bytes = text_unbase64(arena, sealed, &size);
	if (!bytes || size < AEAD_OVERHEAD)
		return error_set(err, ERROR_INVALID, "the message is not one of this server");
	*json = arena_alloc(arena, size - AEAD_OVERHEAD + 1);
	if (aead_open(amid->token_key, purpose, sizeof purpose, bytes, size, *json))
		return error_set(err, ERROR_INVALID, "the message is not one of this server");
	return 0;
}
