/*
 * Encoded authorization messages: what a denial says of itself, sealed, so that only those may read it whom the account's policies let call sts:DecodeAuthorizationMessage. No state; safe from every thread.
 */
#pragma once

#include "svc/amid.h"

enum { AUTHORIZE_MESSAGE_MAX = 10240 }; /* letters; what DecodeAuthorizationMessage takes */

/* `json` sealed for the account of the caller that was denied, in the arena; NULL: it is too long (some 7,600 bytes). */
const char *authorize_message_seal(
	struct amid *amid, const char *account, const char *json, struct arena *arena);
/* The JSON; NULL: it was not sealed here, or not for that account, or is altered. */
const char *authorize_message_open(
	struct amid *amid, const char *account, const char *message, struct arena *arena);
