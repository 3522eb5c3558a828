/* The bytes of STORE/scrub. */
#include "store/scrub_format.h"

#include <string.h>

#include "base/arena.h"
#include "store/checksum.h"
#include "store/wire.h"
#include "base/banned.h"

enum { VERSION = 1, CHECKED_FROM = 16 };
static const char MAGIC[8] = { 'A', 'M', 'I', 'D', 'S', 'C', 'R', 'B' };

size_t scrub_encode(const struct store_scrub_state *state, uint64_t cursor, const struct digest *damaged,
	size_t count, uint8_t *out)
{
	size_t size = SCRUB_HEADER_SIZE + count * DIGEST_SIZE;
	memset(out, 0, SCRUB_HEADER_SIZE);
	memcpy(out, MAGIC, sizeof MAGIC);
	wire_put(out + 8, 4, VERSION);
	wire_put(out + 16, 8, state->pass);
	wire_put(out + 24, 8, (uint64_t)state->begun_ms);
	wire_put(out + 32, 8, (uint64_t)state->ended_ms);
	wire_put(out + 40, 8, cursor);
	wire_put(out + 48, 8, state->bytes);
	wire_put(out + 56, 4, count);
	if (count)
		memcpy(out + SCRUB_HEADER_SIZE, damaged, count * DIGEST_SIZE);
	wire_put(out + 12, 4, checksum_crc32c(0, out + CHECKED_FROM, size - CHECKED_FROM));
	return size;
}

int scrub_decode(const uint8_t *bytes, size_t size, struct store_scrub_state *state, uint64_t *cursor,
	struct digest **damaged, size_t *count)
{
	if (size < SCRUB_HEADER_SIZE || size > SCRUB_SIZE_LIMIT || memcmp(bytes, MAGIC, sizeof MAGIC) ||
		wire_get(bytes + 8, 4) != VERSION || wire_get(bytes + 60, 4) ||
		(size - SCRUB_HEADER_SIZE) % DIGEST_SIZE ||
		wire_get(bytes + 56, 4) != (size - SCRUB_HEADER_SIZE) / DIGEST_SIZE ||
		wire_get(bytes + 12, 4) != checksum_crc32c(0, bytes + CHECKED_FROM, size - CHECKED_FROM))
		return -1;
	*state = (struct store_scrub_state){ .pass = wire_get(bytes + 16, 8),
		.begun_ms = (int64_t)wire_get(bytes + 24, 8),
		.ended_ms = (int64_t)wire_get(bytes + 32, 8),
		.bytes = wire_get(bytes + 48, 8) };
	state->running = state->pass && !state->ended_ms;
	*cursor = wire_get(bytes + 40, 8);
	*count = (size - SCRUB_HEADER_SIZE) / DIGEST_SIZE;
	*damaged = memory_alloc((*count + 1) * sizeof **damaged);
	if (*count)
		memcpy(*damaged, bytes + SCRUB_HEADER_SIZE, *count * DIGEST_SIZE);
	return 0;
}
