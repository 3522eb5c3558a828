/* Bloom filters of blocks: four bits for a word, cut out of its 64. No state; safe from every thread. */
#include "audit/block.h"

#include <stddef.h>
#include <string.h>

#include "audit/format.h"
#include "base/file.h"
#include "base/banned.h"

enum { PROBES = 4, FILTER_BITS = AUDIT_FILTER_SIZE * 8 };
_Static_assert(FILTER_BITS == 1 << 13, "a probe is 13 bits of the word");

static unsigned probe(uint64_t word, unsigned i)
{
	return (unsigned)(word >> (i * 13)) & (FILTER_BITS - 1);
}

void audit_block_begin(struct audit_block *block, uint64_t offset)
{
	*block = (struct audit_block){ .offset = offset };
}

void audit_block_add(
	struct audit_block *block, uint64_t size, int64_t time_ms, const uint64_t *words, size_t count)
{
	if (!block->lines || time_ms < block->first_ms)
		block->first_ms = time_ms;
	if (!block->lines || time_ms > block->last_ms)
		block->last_ms = time_ms;
	block->lines++;
	block->size += size;
	for (size_t i = 0; i < count; i++)
		for (unsigned j = 0; j < PROBES; j++)
			block->filter[probe(words[i], j) / 8] |= (uint8_t)(1U << (probe(words[i], j) % 8));
}

bool audit_block_may_have(const struct audit_block *block, uint64_t word)
{
	for (unsigned i = 0; i < PROBES; i++)
		if (!(block->filter[probe(word, i) / 8] & (1U << (probe(word, i) % 8))))
			return false;
	return true;
}

static uint32_t sum(const struct audit_block *block)
{
	struct audit_block copy = *block;
	struct digest digest;
	uint32_t result;
	copy.check = 0;
	digest_sha256(&copy, sizeof copy, &digest);
	memcpy(&result, digest.bytes, sizeof result);
	return result;
}

void audit_block_end(struct audit_block *block)
{
	block->check = sum(block);
}

size_t audit_block_load(const char *path, uint64_t limit, struct arena *arena, struct audit_block **blocks)
{
	/* a line has more than 100 bytes, so there cannot be more blocks than this */
	enum { MAX = (AUDIT_FILE_MAX / 100 / AUDIT_BLOCK_LINES + 2) * (int)sizeof(struct audit_block) };
	char *data;
	size_t size, count = 0;
	uint64_t end = 0;
	struct error ignored;
	*blocks = NULL;
	if (file_read(path, MAX, arena, &data, &size, &ignored))
		return 0;
	*blocks = (struct audit_block *)(void *)data;
	for (; (count + 1) * sizeof **blocks <= size; count++) {
		const struct audit_block *block = &(*blocks)[count];
		if (block->check != sum(block) || block->offset != end || block->size > limit - end ||
			!block->size)
			break;
		end += block->size;
	}
	return count;
}
