/* Encoding of pages and roots; the layouts are in docs/design/store.md. Pure functions. */
#include "store/page.h"

#include <string.h>

#include "store/store.h"
#include "store/wire.h"
#include "base/banned.h"

static const uint8_t PAGE_MAGIC[4] = { 'A', 'M', 'P', 'G' };
static const uint8_t ROOT_MAGIC[4] = { 'A', 'M', 'R', 'T' };

size_t page_encode(const struct page *page, uint8_t *out)
{
	uint8_t *bitmap = out + PAGE_HEADER_SIZE, *ids = bitmap + PAGE_BITMAP_SIZE;
	unsigned count = 0;
	memset(out, 0, PAGE_HEADER_SIZE + PAGE_BITMAP_SIZE);
	for (unsigned i = 0; i < PAGE_FANOUT; i++) {
		if (digest_is_zero(&page->ids[i]))
			continue;
		bitmap[i / 8] |= (uint8_t)(1U << i % 8);
		memcpy(ids + (size_t)count++ * DIGEST_SIZE, page->ids[i].bytes, DIGEST_SIZE);
	}
	memcpy(out, PAGE_MAGIC, sizeof PAGE_MAGIC);
	out[4] = TREE_VERSION;
	out[5] = page->level;
	wire_put(out + 6, 2, count);
	return PAGE_HEADER_SIZE + PAGE_BITMAP_SIZE + (size_t)count * DIGEST_SIZE;
}

static bool is_zero(const struct digest *id)
{
	uint64_t words[DIGEST_SIZE / sizeof(uint64_t)];
	memcpy(words, id, sizeof words);
	return !(words[0] | words[1] | words[2] | words[3]);
}

int page_decode(const uint8_t *bytes, size_t size, struct page *page)
{
	if (size < PAGE_HEADER_SIZE + PAGE_BITMAP_SIZE || memcmp(bytes, PAGE_MAGIC, sizeof PAGE_MAGIC) ||
		bytes[4] != TREE_VERSION || bytes[5] < 1 || bytes[5] > TREE_LEVELS_LIMIT)
		return -1;
	const uint8_t *bitmap = bytes + PAGE_HEADER_SIZE, *ids = bitmap + PAGE_BITMAP_SIZE;
	uint64_t words[PAGE_BITMAP_SIZE / sizeof(uint64_t)];
	unsigned count = 0;
	memcpy(words, bitmap, sizeof words);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		count += (unsigned)__builtin_popcountll(words[i]);
	if (!count || count != wire_get(bytes + 6, 2) ||
		size != PAGE_HEADER_SIZE + PAGE_BITMAP_SIZE + (size_t)count * DIGEST_SIZE)
		return -1;
	page->level = bytes[5];
	page->count = (uint16_t)count;
	if (count == PAGE_FANOUT) {
		memcpy(page->ids, ids, sizeof page->ids);
		for (unsigned i = 0; i < PAGE_FANOUT; i++)
			if (is_zero(&page->ids[i]))
				return -1;
		return 0;
	}
	for (unsigned i = 0; i < PAGE_FANOUT; i++) {
		if (!(bitmap[i / 8] >> i % 8 & 1)) {
			memset(&page->ids[i], 0, DIGEST_SIZE);
			continue;
		}
		memcpy(page->ids[i].bytes, ids, DIGEST_SIZE);
		ids += DIGEST_SIZE;
		if (is_zero(&page->ids[i]))
			return -1;
	}
	return 0;
}

unsigned root_version(const uint8_t *bytes, size_t size)
{
	return size == ROOT_SIZE && !memcmp(bytes, ROOT_MAGIC, sizeof ROOT_MAGIC) ? bytes[4] : 0;
}

uint64_t root_block_count(uint64_t size)
{
	return size / STORE_BLOCK_SIZE + (size % STORE_BLOCK_SIZE ? 1 : 0);
}

uint8_t root_levels(uint64_t block_count)
{
	uint8_t levels = 1;
	while (levels < TREE_LEVELS_LIMIT && block_count > 1ULL << (PAGE_FANOUT_BITS * levels))
		levels++;
	return levels;
}

void root_encode(const struct root *root, uint8_t out[ROOT_SIZE])
{
	memset(out, 0, ROOT_SIZE);
	memcpy(out, ROOT_MAGIC, sizeof ROOT_MAGIC);
	out[4] = TREE_VERSION;
	out[5] = root->levels;
	wire_put(out + 8, 4, STORE_BLOCK_SIZE);
	wire_put(out + 16, 8, root->size);
	wire_put(out + 24, 8, root->blocks);
	memcpy(out + 32, root->top.bytes, DIGEST_SIZE);
}

int root_decode(const uint8_t *bytes, size_t size, struct root *root)
{
	static const uint8_t zeros[8];
	if (size != ROOT_SIZE || memcmp(bytes, ROOT_MAGIC, sizeof ROOT_MAGIC) || bytes[4] != TREE_VERSION ||
		memcmp(bytes + 6, zeros, 2) || wire_get(bytes + 8, 4) != STORE_BLOCK_SIZE ||
		memcmp(bytes + 12, zeros, 4))
		return -1;
	root->levels = bytes[5];
	root->size = wire_get(bytes + 16, 8);
	root->blocks = wire_get(bytes + 24, 8);
	memcpy(root->top.bytes, bytes + 32, DIGEST_SIZE);
	uint64_t limit = root_block_count(root->size);
	bool sound = root->size <= INT64_MAX && root->levels == root_levels(limit) && root->blocks <= limit &&
		!root->blocks == digest_is_zero(&root->top);
	return sound ? 0 : -1;
}
