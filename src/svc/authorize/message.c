/* Encoded authorization messages are seals (svc/seal.h) for an account. */
#include "svc/authorize/message.h"

#include <string.h>

#include "svc/seal.h"
#include "base/banned.h"

#define PURPOSE "authorization-message"

const char *authorize_message_seal(
	struct amid *amid, const char *account, const char *json, struct arena *arena)
{
	const char *sealed = seal_make(amid, PURPOSE, account, json, strlen(json), arena);
	return sealed && strlen(sealed) <= AUTHORIZE_MESSAGE_MAX ? sealed : NULL;
}

const char *authorize_message_open(
	struct amid *amid, const char *account, const char *message, struct arena *arena)
{
	size_t size;
	const char *json = seal_open(amid, PURPOSE, account, message, arena, &size);
	return json && strlen(json) == size ? json : NULL;
}
