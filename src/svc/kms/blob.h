/* The ciphertext of symmetric keys, byte by byte: docs/design/kms.md. No state, no records; safe from every thread. */
#pragma once

#include "api/kms.h"
#include "base/arena.h"

enum {
	BLOB_ID_SIZE = 37,       /* text of a key's id */
	BLOB_MATERIAL_SIZE = 65, /* text of a material's id: 64 hexadecimal digits */
	BLOB_KEY_SIZE = 32
};

/* What a blob says before it is opened. `sealed` points into what was parsed. */
struct kms_blob {
	char key_id[BLOB_ID_SIZE];
	char material_id[BLOB_MATERIAL_SIZE];
	const uint8_t *header;
	const uint8_t *sealed;
	size_t sealed_size;
	size_t plain_size;
};

/* 0, or -1: not of this form. Authentic it is only once it opens. */
int kms_blob_parse(const uint8_t *data, size_t size, struct kms_blob *blob);
/* `key_id`: a UUID, or "mrk-" and 32 hexadecimal digits. The result is the arena's. */
struct shape_blob kms_blob_seal(struct arena *arena, const char *key_id, const char *material_id,
	const uint8_t material[BLOB_KEY_SIZE], const struct kms_EncryptionContextType *context,
	const void *plain, size_t size);
/* `plain` has room for plain_size bytes. 0, or -1: altered, another material, or another encryption context. */
int kms_blob_open(const struct kms_blob *blob, const uint8_t material[BLOB_KEY_SIZE],
	const struct kms_EncryptionContextType *context, void *plain);
