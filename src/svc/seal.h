/*
 * Texts that clients carry and cannot read: bytes sealed with AES-256-GCM under a key of the data folder. For session tokens and encoded authorization messages. No state; safe from every thread.
 *
 * Each purpose and subject has a key of its own, derived from amid->token_key; so what was sealed for one is nothing for another.
 */
#pragma once

#include "svc/amid.h"

/* Base64, in the arena. `purpose` is a constant ("session"), `subject` whom it is for (an access key id, an account). */
char *seal_make(struct amid *amid, const char *purpose, const char *subject, const void *data, size_t size,
	struct arena *arena);
/* The bytes, NUL-terminated behind *size, in the arena; NULL: not sealed here, for that purpose and subject, or altered. */
char *seal_open(struct amid *amid, const char *purpose, const char *subject, const char *sealed,
	struct arena *arena, size_t *size);
/* A secret of 40 letters that follows from purpose and subject: nobody else can tell it, and nothing is stored. */
char *seal_derive_secret(struct amid *amid, const char *purpose, const char *subject, struct arena *arena);
