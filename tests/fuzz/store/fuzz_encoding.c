/* Fuzz target (libFuzzer): compressed objects. Restoring never writes beyond the plain size that the header says; what was compressed comes back. The first three bytes of the input are that size. */
#include <stdlib.h>
#include <string.h>

#include "store/encoding.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stored[STORE_BLOCK_SIZE];
	struct error err;
	if (size < 4 || size > STORE_BLOCK_SIZE)
		return 0;
	size_t plain_size = (data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % STORE_BLOCK_SIZE + 1;
	/* of its exact size, so that the sanitizer sees a byte too many */
	uint8_t *plain = malloc(plain_size);
	(void)encoding_restore(ENCODING_ZSTD, data + 3, size - 3, plain, plain_size, &err);
	free(plain);
	size_t stored_size = encoding_compress(data, size, stored);
	if (!stored_size)
		return 0;
	plain = malloc(size);
	if (stored_size > size - size / 8 ||
		encoding_restore(ENCODING_ZSTD, stored, stored_size, plain, size, &err) ||
		memcmp(plain, data, size))
		abort();
	free(plain);
	return 0;
}
