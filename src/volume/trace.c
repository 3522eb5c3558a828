/*
 * Boot traces: a bitmap says which blocks were noted, a list in which order. A reader claims its bit first and a place in the list second; what finds the list full is left out.
 */
#include "volume/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "store/checksum.h"
#include "store/store.h"
#include "store/wire.h"
#include "base/banned.h"

enum { VERSION = 1, CHECKED_FROM = 16 };
static const char MAGIC[8] = { 'A', 'M', 'I', 'D', 'T', 'R', 'A', 'C' };

struct trace {
	uint64_t block_count;
	_Atomic uint64_t *seen; /* a bit a block */
	_Atomic uint32_t taken; /* places of the list that were given out; may go beyond its end */
	uint32_t blocks[TRACE_LIMIT];
};

struct trace *trace_create(uint64_t block_count)
{
	struct trace *trace = memory_alloc(sizeof *trace);
	trace->block_count = block_count;
	trace->seen = memory_alloc((block_count / 64 + 1) * sizeof *trace->seen);
	return trace;
}

void trace_destroy(struct trace *trace)
{
	if (!trace)
		return;
	free((void *)trace->seen);
	free(trace);
}

static void note_block(struct trace *trace, uint64_t block)
{
	uint64_t bit = 1ULL << block % 64;
	if (atomic_load_explicit(&trace->seen[block / 64], memory_order_relaxed) & bit ||
		atomic_fetch_or(&trace->seen[block / 64], bit) & bit)
		return;
	/* looked at first, so that the counter cannot go round */
	if (atomic_load_explicit(&trace->taken, memory_order_relaxed) >= TRACE_LIMIT)
		return;
	uint32_t place = atomic_fetch_add(&trace->taken, 1);
	if (place < TRACE_LIMIT)
		trace->blocks[place] = (uint32_t)block;
}

void trace_note_read(struct trace *trace, uint64_t offset, uint64_t size)
{
	if (!size)
		return;
	uint64_t last = (offset + size - 1) / STORE_BLOCK_SIZE;
	for (uint64_t block = offset / STORE_BLOCK_SIZE; block <= last && block < trace->block_count; block++)
		note_block(trace, block);
}

uint32_t trace_blocks(const struct trace *trace, const uint32_t **blocks)
{
	uint32_t taken = atomic_load(&trace->taken);
	*blocks = trace->blocks;
	return taken < TRACE_LIMIT ? taken : TRACE_LIMIT;
}

size_t trace_encode(const struct digest *root, const uint32_t *blocks, uint32_t count, uint8_t *out)
{
	size_t size = TRACE_HEADER_SIZE + 4 * (size_t)count;
	memset(out, 0, TRACE_HEADER_SIZE);
	memcpy(out, MAGIC, sizeof MAGIC);
	wire_put(out + 8, 4, VERSION);
	memcpy(out + 16, root->bytes, DIGEST_SIZE);
	wire_put(out + 48, 4, count);
	for (uint32_t i = 0; i < count; i++)
		wire_put(out + TRACE_HEADER_SIZE + 4 * (size_t)i, 4, blocks[i]);
	wire_put(out + 12, 4, checksum_crc32c(0, out + CHECKED_FROM, size - CHECKED_FROM));
	return size;
}

int trace_decode(
	const uint8_t *bytes, size_t size, const struct digest *root, uint32_t *blocks, uint32_t *count)
{
	if (size < TRACE_HEADER_SIZE || size > TRACE_SIZE_LIMIT || memcmp(bytes, MAGIC, sizeof MAGIC) ||
		wire_get(bytes + 8, 4) != VERSION || memcmp(bytes + 16, root->bytes, DIGEST_SIZE) ||
		wire_get(bytes + 52, 4) || wire_get(bytes + 48, 4) != (size - TRACE_HEADER_SIZE) / 4 ||
		size % 4 ||
		wire_get(bytes + 12, 4) != checksum_crc32c(0, bytes + CHECKED_FROM, size - CHECKED_FROM))
		return -1;
	*count = (uint32_t)wire_get(bytes + 48, 4);
	for (uint32_t i = 0; i < *count; i++)
		blocks[i] = (uint32_t)wire_get(bytes + TRACE_HEADER_SIZE + 4 * (size_t)i, 4);
	return 0;
}

static const char *trace_path(struct arena *arena, const char *folder, const struct digest *root)
{
	char hex[2 * DIGEST_SIZE + 1];
	return arena_printf(arena, "%s/%s.trace", folder, text_hex(root->bytes, DIGEST_SIZE, hex));
}

int trace_write(const char *folder, const struct digest *root, const uint32_t *blocks, uint32_t count,
	struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	uint8_t *bytes = arena_alloc(scratch, TRACE_SIZE_LIMIT);
	size_t size = trace_encode(root, blocks, count, bytes);
	return file_replace(trace_path(scratch, folder, root), bytes, size, 0600, err);
}

int trace_read(
	const char *folder, const struct digest *root, uint32_t *blocks, uint32_t *count, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = trace_path(scratch, folder, root);
	char *bytes;
	size_t size;
	if (file_read(path, TRACE_SIZE_LIMIT, scratch, &bytes, &size, err))
		return -1;
	if (trace_decode((const uint8_t *)bytes, size, root, blocks, count))
		return error_set(err, ERROR_CORRUPT, "%s is damaged", path);
	return 0;
}
