/* The file STORE/scrub as bytes (docs/design/store.md). Pure; the decoder is total on any bytes. For the store folder only. */
#pragma once

#include "store/damage.h"
#include "store/scrub.h"

enum { SCRUB_HEADER_SIZE = 64, SCRUB_SIZE_LIMIT = SCRUB_HEADER_SIZE + DAMAGE_LIMIT * DIGEST_SIZE };

/* What of the state is not in the file: objects, damaged. `out` has room for SCRUB_HEADER_SIZE and the digests; returns the size. */
size_t scrub_encode(const struct store_scrub_state *state, uint64_t cursor, const struct digest *damaged,
	size_t count, uint8_t *out);
/* -1 unless the bytes are a whole file. *damaged gets `count` digests, the caller's to free. */
int scrub_decode(const uint8_t *bytes, size_t size, struct store_scrub_state *state, uint64_t *cursor,
	struct digest **damaged, size_t *count);
