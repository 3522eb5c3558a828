/* Fuzz target (libFuzzer): boot traces. The checksum is put right first, so that what lies behind it is reached; what is accepted is encoded to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "store/checksum.h"
#include "store/wire.h"
#include "volume/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[TRACE_SIZE_LIMIT], again[TRACE_SIZE_LIMIT];
	static uint32_t blocks[TRACE_LIMIT];
	struct digest root = { .bytes = { 0 } };
	uint32_t count;
	size = size < sizeof bytes ? size : sizeof bytes;
	memcpy(bytes, data, size);
	trace_decode(bytes, size, &root, blocks, &count);
	if (size < TRACE_HEADER_SIZE)
		return 0;
	memcpy(root.bytes, bytes + 16, DIGEST_SIZE);
	wire_put(bytes + 12, 4, checksum_crc32c(0, bytes + 16, size - 16));
	if (!trace_decode(bytes, size, &root, blocks, &count) &&
		(trace_encode(&root, blocks, count, again) != size || memcmp(bytes, again, size)))
		abort();
	return 0;
}
