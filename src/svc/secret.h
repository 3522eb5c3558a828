/*
 * Secrets at rest: nothing secret lies in the metadata in the clear. It is sealed (AES-256-GCM) under the data folder's master key, which is made once and lies in the metadata itself, sealed under the root key. The root key is
 * the operator's: a file, made of a passphrase, or under a key of a token; it never enters the data folder's metadata. So a copy of the metadata alone tells nothing. The format: docs/design/kms.md.
 *
 *	char *sealed;
 *	secret_seal(amid, "access-key:AKIA...", secret, strlen(secret), arena, &sealed, err);
 *	secret_open(amid, "access-key:AKIA...", sealed, arena, &data, &size, err);
 *
 * secret_seal and secret_open are safe from every thread.
 */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "meta/meta.h"

struct amid;
struct secrets;

/* Where the root key comes from. */
struct secrets_config {
	const char *
		data; /* the data folder, whose file root-key is the root key unless one of the others is given */
	const char *root_key;   /* a file of 32 bytes; NULL: none given */
	const char *passphrase; /* a file whose first line is the passphrase; NULL: none given */
	const char *pkcs11;     /* a PKCS#11 URI of a token's key: src/svc/token_key.h; NULL: none given */
};

/*
 * Reads the root key and opens the master key with it; on the first start makes both. Without the file that was there before, with a key that does not fit, or with a file that others may read, it fails with a message
 * that names the file, and nothing is changed.
 */
int secrets_open(
	const struct secrets_config *config, struct meta *meta, struct secrets **secrets, struct error *err);
/*
 * Puts the master key under another root key, in one commit: before it `from` opens the data folder, behind it `to`. Files, passphrases and tokens are only read; `to` is never made. No server may have the folder open.
 * ERROR_NOT_FOUND also if the folder has no master key yet.
 */
int secrets_change_root(const struct secrets_config *from, const struct secrets_config *to, struct meta *meta,
	struct error *err);
void secrets_close(struct secrets *secrets); /* cleanses the key; NULL is legal */

/* `purpose` says what the secret is for and whose; what was sealed for one purpose does not open for another. The result is Base64 in the arena. Cannot fail but for memory; 0. */
int secret_seal(struct amid *amid, const char *purpose, const void *data, size_t size, struct arena *arena,
	char **sealed, struct error *err);
/* *data is the arena's, NUL-terminated behind *size; whoever cares cleanses it after use. -1, ERROR_CORRUPT: not sealed for this purpose by this data folder. */
int secret_open(struct amid *amid, const char *purpose, const char *sealed, struct arena *arena, void **data,
	size_t *size, struct error *err);
