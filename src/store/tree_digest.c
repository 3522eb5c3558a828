/*
 * One page for each level is open at a time, since blocks come in order. When an id falls into another page, the open one is encoded and hashed, and its digest becomes an id of the level above.
 */
#include "store/tree_digest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "store/page.h"
#include "base/banned.h"

struct tree_digest {
	uint64_t size;
	unsigned levels;
	uint64_t blocks; /* added */
	struct {
		struct page *page;
		uint64_t index; /* which page of its level it is */
		bool empty;
	} open[TREE_LEVELS_LIMIT + 1]; /* by level, from 1 */
	uint8_t bytes[PAGE_LIMIT];
};

struct tree_digest *tree_digest_create(uint64_t size)
{
	assert(size);
	struct tree_digest *tree = memory_alloc(sizeof *tree);
	*tree = (struct tree_digest){ .size = size, .levels = root_levels(root_block_count(size)) };
	for (unsigned level = 1; level <= tree->levels; level++) {
		tree->open[level].page = memory_alloc(sizeof *tree->open[level].page);
		tree->open[level].empty = true;
	}
	return tree;
}

void tree_digest_destroy(struct tree_digest *tree)
{
	if (!tree)
		return;
	for (unsigned level = 1; level <= tree->levels; level++)
		free(tree->open[level].page);
	free(tree);
}

static void close_page(struct tree_digest *tree, unsigned level, struct digest *digest)
{
	tree->open[level].page->level = (uint8_t)level;
	digest_sha256(tree->bytes, page_encode(tree->open[level].page, tree->bytes), digest);
	tree->open[level].empty = true;
}

static void add_id(struct tree_digest *tree, unsigned level, uint64_t index, const struct digest *id)
{
	uint64_t page = index >> PAGE_FANOUT_BITS;
	if (!tree->open[level].empty && tree->open[level].index != page) {
		struct digest digest;
		close_page(tree, level, &digest);
		add_id(tree, level + 1, tree->open[level].index, &digest);
	}
	if (tree->open[level].empty) {
		memset(tree->open[level].page, 0, sizeof *tree->open[level].page);
		tree->open[level].index = page;
		tree->open[level].empty = false;
	}
	tree->open[level].page->ids[index % PAGE_FANOUT] = *id;
}

void tree_digest_add(struct tree_digest *tree, uint64_t index, const struct digest *block)
{
	assert(index < root_block_count(tree->size));
	tree->blocks++;
	add_id(tree, 1, index, block);
}

void tree_digest_end(struct tree_digest *tree, struct digest *root_out)
{
	struct root root = { .levels = (uint8_t)tree->levels, .size = tree->size, .blocks = tree->blocks };
	uint8_t bytes[ROOT_SIZE];
	for (unsigned level = 1; level <= tree->levels; level++) {
		struct digest digest;
		if (tree->open[level].empty)
			continue;
		close_page(tree, level, &digest);
		if (level == tree->levels)
			root.top = digest;
		else
			add_id(tree, level + 1, tree->open[level].index, &digest);
	}
	root_encode(&root, bytes);
	digest_sha256(bytes, sizeof bytes, root_out);
}
