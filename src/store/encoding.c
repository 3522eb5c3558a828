/* Zstandard frames, one an object. No state but what zstd takes for the length of a call: about 1.5 MiB to compress, 160 KiB to restore. */
#include "store/encoding.h"

#include <string.h>

#include <zstd.h>

#include "base/banned.h"

/* Measured in docs/design/store.md: higher levels save little more of disks' blocks and take many times as long. */
enum { LEVEL = 3 };

size_t encoding_compress(const void *plain, size_t size, void *out)
{
	size_t worth = size - size / 8;
	size_t stored = ZSTD_compress(out, worth, plain, size, LEVEL);
	return ZSTD_isError(stored) ? 0 : stored; /* the only error without a bug: it does not fit */
}

int encoding_restore(
	uint8_t encoding, const void *stored, size_t stored_size, void *plain, size_t size, struct error *err)
{
	if (encoding == ENCODING_PLAIN && stored_size == size) {
		memcpy(plain, stored, size);
		return 0;
	}
	if (encoding != ENCODING_ZSTD)
		return error_set(err, ERROR_UNSUPPORTED, "encoding %u is of a later version", encoding);
	/* one frame that says how large it is: no other is ever written */
	if (ZSTD_getFrameContentSize(stored, stored_size) != size ||
		ZSTD_findFrameCompressedSize(stored, stored_size) != stored_size ||
		ZSTD_decompress(plain, size, stored, stored_size) != size)
		return error_set(err, ERROR_CORRUPT, "the compressed bytes are damaged");
	return 0;
}
