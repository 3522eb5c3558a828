/* Encoded authorization failure messages: a JSON text, sealed, so that only DecodeAuthorizationMessage reads it. */
#pragma once

#include "svc/amid.h"

int authorize_message_seal(
	struct amid *amid, const char *json, struct arena *arena, char **sealed, struct error *err);
/* ERROR_INVALID: not sealed here, or altered. */
int authorize_message_open(
	struct amid *amid, const char *sealed, struct arena *arena, char **json, struct error *err);
