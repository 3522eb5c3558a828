/*
 * Ciphertexts. Each has a key of its own, HMAC-SHA-256(material, salt), so that no number of them wears a key out; the header and the encryption context, sorted by name and with the length before each text, are authenticated with it.
 */
#include "svc/kms/blob.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/aead.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "base/text.h"
#include "store/wire.h"
#include "base/banned.h"

enum {
	VERSION = 1,
	KIND_AT = 1, /* 0: the id is a UUID; 1: of a multi-Region key */
	KEY_AT = 2,
	KEY_ID_BYTES = 16,
	MATERIAL_AT = KEY_AT + KEY_ID_BYTES,
	MATERIAL_BYTES = 32,
	SALT_AT = MATERIAL_AT + MATERIAL_BYTES,
	SALT_SIZE = 16,
	HEADER_SIZE = SALT_AT + SALT_SIZE,
};

/* "8-4-4-4-12", "mrk-" and 32; the 32 digits of either. -1: neither. */
static int id_digits(const char *key_id, char digits[2 * KEY_ID_BYTES + 1], uint8_t *kind)
{
	size_t count = 0;
	*kind = strncmp(key_id, "mrk-", 4) == 0;
	for (const char *at = key_id + (*kind ? 4 : 0); *at; at++) {
		if (*at == '-' && !*kind)
			continue;
		if (count == 2 * KEY_ID_BYTES)
			return -1;
		digits[count++] = *at;
	}
	digits[count] = '\0';
	return count == 2 * KEY_ID_BYTES ? 0 : -1;
}

static void id_text(const uint8_t *bytes, uint8_t kind, char text[BLOB_ID_SIZE])
{
	char digits[2 * KEY_ID_BYTES + 1];
	text_hex(bytes, KEY_ID_BYTES, digits);
	if (kind)
		snprintf(text, BLOB_ID_SIZE, "mrk-%s", digits);
	else
		snprintf(text, BLOB_ID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
			digits + 16, digits + 20);
}

static int compare_entries(const void *a, const void *b)
{
	const struct kms_EncryptionContextType_entry *one = a, *other = b;
	return strcmp(one->key, other->key);
}

static void append_text(struct buffer *out, const char *text)
{
	uint8_t size[4];
	wire_put(size, sizeof size, strlen(text));
	buffer_append(out, size, sizeof size);
	buffer_append_text(out, text);
}

static void append_context(struct buffer *out, const struct kms_EncryptionContextType *context)
{
	if (!context->count)
		return;
	size_t size = context->count * sizeof *context->items;
	struct kms_EncryptionContextType_entry *sorted = memory_alloc(size);
	memcpy(sorted, context->items, size);
	qsort(sorted, context->count, sizeof *sorted, compare_entries);
	for (size_t i = 0; i < context->count; i++) {
		append_text(out, sorted[i].key);
		append_text(out, sorted[i].value);
	}
	free(sorted);
}

static void authenticated(
	struct buffer *out, const uint8_t *header, const struct kms_EncryptionContextType *context)
{
	buffer_append(out, header, HEADER_SIZE);
	append_context(out, context);
}

static void derive(const uint8_t *material, const uint8_t *header, struct digest *key)
{
	digest_hmac_sha256(material, BLOB_KEY_SIZE, header + SALT_AT, SALT_SIZE, key);
}

int kms_blob_parse(const uint8_t *data, size_t size, struct kms_blob *blob)
{
	if (size < HEADER_SIZE + AEAD_OVERHEAD || data[0] != VERSION || data[KIND_AT] > 1)
		return -1;
	id_text(data + KEY_AT, data[KIND_AT], blob->key_id);
	text_hex(data + MATERIAL_AT, MATERIAL_BYTES, blob->material_id);
	blob->header = data;
	blob->sealed = data + HEADER_SIZE;
	blob->sealed_size = size - HEADER_SIZE;
	blob->plain_size = blob->sealed_size - AEAD_OVERHEAD;
	return 0;
}

struct shape_blob kms_blob_seal(struct arena *arena, const char *key_id, const char *material_id,
	const uint8_t material[BLOB_KEY_SIZE], const struct kms_EncryptionContextType *context,
	const void *plain, size_t size)
{
	struct buffer data BUFFER_SCOPED = { 0 };
	char digits[2 * KEY_ID_BYTES + 1];
	struct digest key;
	size_t total = HEADER_SIZE + size + AEAD_OVERHEAD;
	uint8_t *out = arena_alloc(arena, total);
	out[0] = VERSION;
	if (id_digits(key_id, digits, out + KIND_AT) || text_unhex(digits, out + KEY_AT, KEY_ID_BYTES) ||
		text_unhex(material_id, out + MATERIAL_AT, MATERIAL_BYTES))
		abort(); /* ids are ours */
	text_random_bytes(out + SALT_AT, SALT_SIZE);
	derive(material, out, &key);
	authenticated(&data, out, context);
	aead_seal(key.bytes, data.data, data.size, plain, size, out + HEADER_SIZE);
	OPENSSL_cleanse(&key, sizeof key);
	return (struct shape_blob){ out, total };
}

int kms_blob_open(const struct kms_blob *blob, const uint8_t material[BLOB_KEY_SIZE],
	const struct kms_EncryptionContextType *context, void *plain)
{
	struct buffer data BUFFER_SCOPED = { 0 };
	struct digest key;
	derive(material, blob->header, &key);
	authenticated(&data, blob->header, context);
	int opened = aead_open(key.bytes, data.data, data.size, blob->sealed, blob->sealed_size, plain);
	OPENSSL_cleanse(&key, sizeof key);
	return opened;
}
