/* Fuzz target (libFuzzer): the file of a scrub. The checksum is put right first, so that what lies behind it is reached; what is accepted is encoded to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "store/checksum.h"
#include "store/scrub_format.h"
#include "store/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[SCRUB_SIZE_LIMIT], again[SCRUB_SIZE_LIMIT];
	struct store_scrub_state state;
	struct digest *damaged = NULL;
	uint64_t cursor;
	size_t count;
	size = size < sizeof bytes ? size : sizeof bytes;
	memcpy(bytes, data, size);
	if (size >= SCRUB_HEADER_SIZE)
		wire_put(bytes + 12, 4, checksum_crc32c(0, bytes + 16, size - 16));
	if (!scrub_decode(bytes, size, &state, &cursor, &damaged, &count) &&
		(scrub_encode(&state, cursor, damaged, count, again) != size || memcmp(bytes, again, size)))
		abort();
	free(damaged);
	return 0;
}
