/* Where the root key comes from: a file, a passphrase, or a token. src/svc/secret.c puts the master key under it. */
#pragma once

#include "api/records.h"
#include "base/aead.h"
#include "svc/secret.h"

/* At most one of them is named; a URI is one that can be used. */
int root_key_check(const struct secrets_config *config, struct error *err);
/* What the root key is, for a message: a path, or "the key OBJECT of the token TOKEN". */
const char *root_key_name(const struct secrets_config *config, struct arena *arena);
/*
 * The root key for a record that is yet to be sealed, and in *record (texts of the arena) how it is found again. `make`: DATA/root-key may be made if it is missing; it is durable then. A file that the operator names is never made, nor is a
 * token's key.
 */
int root_key_choose(const struct secrets_config *config, bool make, struct arena *arena,
	struct root_key_record *record, uint8_t key[AEAD_KEY_SIZE], struct error *err);
/* The root key of a record. Whether it is the right one is seen when the master key opens. */
int root_key_read(const struct secrets_config *config, const struct root_key_record *record,
	uint8_t key[AEAD_KEY_SIZE], struct error *err);
