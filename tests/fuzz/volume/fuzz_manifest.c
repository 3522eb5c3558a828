/* Fuzz target (libFuzzer): manifests. The checksum is put right first, so that what lies behind it is reached. */
#include <stdlib.h>
#include <string.h>

#include "store/checksum.h"
#include "store/wire.h"
#include "volume/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct manifest manifest;
	static uint8_t bytes[MANIFEST_SIZE_LIMIT];
	size = size < sizeof bytes ? size : sizeof bytes;
	memcpy(bytes, data, size);
	manifest_decode(bytes, size, &manifest);
	if (size > 16) {
		wire_put(bytes + 12, 4, checksum_crc32c(0, bytes + 16, size - 16));
		if (!manifest_decode(bytes, size, &manifest)) {
			static uint8_t again[MANIFEST_SIZE_LIMIT];
			if (manifest_encode(&manifest, again) != size)
				abort();
		}
	}
	return 0;
}
