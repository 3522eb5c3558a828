/*
 * How the bytes of an object are stored: as they are, or compressed. Pure functions; the decoder is total on any bytes, and never writes or allocates more than the plain size it is told.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum object_encoding { ENCODING_PLAIN = 0, ENCODING_ZSTD = 1 };

/*
 * Compresses into `out`, which has room for as many bytes. Returns the size of the result, or 0 if it would not save the eighth part: then it is not worth the time that reading it takes.
 */
size_t encoding_compress(const void *plain, size_t size, void *out);
/* Restores exactly `size` bytes. ERROR_CORRUPT if the stored bytes do not give them, ERROR_UNSUPPORTED for an encoding of a later version. */
int encoding_restore(uint8_t encoding, const void *stored, size_t stored_size, void *plain, size_t size,
	struct error *err);
