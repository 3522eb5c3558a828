/* Fuzz target (libFuzzer): any bytes as a ciphertext. What is not sealed here does not open; what is sealed of these bytes opens, and not when one bit of it is another. */
#include <stdlib.h>
#include <string.h>

#include "svc/kms/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t material[BLOB_KEY_SIZE] = { 7 };
	static const char id[] = "mrk-00112233445566778899aabbccddeeff";
	struct arena *arena ARENA_SCOPED = arena_create();
	char material_id[BLOB_MATERIAL_SIZE] = { 0 };
	char *name = arena_strndup(arena, (const char *)data, size);
	struct kms_EncryptionContextType_entry entry = { name, name };
	struct kms_EncryptionContextType context = { &entry, 1, true };
	struct kms_blob blob;
	uint8_t *plain = arena_alloc(arena, size + 1);
	if (kms_blob_parse(data, size, &blob) == 0) {
		if (blob.plain_size > size || strlen(blob.material_id) != 64)
			abort();
		if (kms_blob_open(&blob, material, &context, plain) == 0)
			abort(); /* forged */
	}
	memset(material_id, 'a', sizeof material_id - 1);
	struct shape_blob sealed = kms_blob_seal(arena, id, material_id, material, &context, data, size);
	if (kms_blob_parse(sealed.data, sealed.size, &blob) || strcmp(blob.key_id, id) != 0 ||
		kms_blob_open(&blob, material, &context, plain) || memcmp(plain, data, size) != 0)
		abort();
	uint8_t *changed = (uint8_t *)sealed.data;
	changed[(size * 31) % sealed.size] ^= 1;
	if (kms_blob_parse(changed, sealed.size, &blob) == 0 &&
		kms_blob_open(&blob, material, &context, plain) == 0)
		abort();
	return 0;
}
