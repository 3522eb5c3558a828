/*
 * A step walks the difference of what has come and of what is wanted, brings the first blocks of it that the store does not have, and makes the tree with them, within one store session. When nothing differs, the root is that of the
 * source: a tree has one encoding. Blocks are read with their digest checked.
 */
#include "svc/control/copy_blocks.h"

#include <stdlib.h>

#include "base/arena.h"
#include "store/tree.h"
#include "base/banned.h"

enum { LOOKED_AT = 16384 }; /* blocks, in a step */

struct copy_blocks {
	struct store *from;
	struct store *to;
	struct store_session *session;
	struct tree *source;
	struct tree *present; /* NULL: nothing has come yet */
	struct tree_builder *builder;
	uint8_t *data;    /* one block */
	uint64_t seen;    /* blocks put into the tree by this step */
	uint64_t brought; /* and into the store */
	uint64_t bytes;   /* that this added on disk */
};

int copy_blocks_open(struct store *from, struct store *to, const struct digest *wanted,
	const struct digest *present, struct copy_blocks **copy_out, struct error *err)
{
	struct copy_blocks *copy = memory_alloc(sizeof *copy);
	*copy = (struct copy_blocks){ .from = from, .to = to, .data = memory_alloc(STORE_BLOCK_SIZE) };
	if (store_session_open(to, &copy->session, err) || tree_open(from, wanted, &copy->source, err) ||
		(present && tree_open(to, present, &copy->present, err)) ||
		tree_builder_create(
			copy->session, copy->present, tree_size(copy->source), &copy->builder, err)) {
		copy_blocks_close(copy);
		return -1;
	}
	*copy_out = copy;
	return 0;
}

void copy_blocks_close(struct copy_blocks *copy)
{
	if (!copy)
		return;
	tree_builder_destroy(copy->builder);
	tree_close(copy->present);
	tree_close(copy->source);
	store_session_close(copy->session);
	free(copy->data);
	free(copy);
}

/* The bytes travel only if this store lacks them. */
static int copy_block(struct copy_blocks *copy, uint64_t index, const struct digest *block, struct error *err)
{
	bool present;
	size_t size;
	uint64_t added = 0;
	if (!digest_is_zero(block)) {
		if (store_keep(copy->session, block, &present, err))
			return -1;
		if (!present) {
			if (store_get(copy->from, block, copy->data, &size, err) ||
				store_put(copy->session, STORE_BLOCK, block, copy->data, size, &added, err))
				return -1;
			copy->brought++;
			copy->bytes += added;
		}
	}
	copy->seen++;
	return tree_builder_set(copy->builder, index, block, err);
}

/* The two trees lie in two stores, which does not matter: pages are equal if their digests are. *more false: nothing differs any more. */
static int copy_some(struct copy_blocks *copy, unsigned step_blocks, bool *more, struct error *err)
{
	struct digest old, block;
	uint64_t limit = tree_block_count(copy->source);
	*more = true;
	for (uint64_t index = 0; copy->brought < step_blocks && copy->seen < LOOKED_AT; index++) {
		bool found = false;
		if (index < limit &&
			(copy->present ? tree_next_difference(copy->present, copy->source, &index, &old,
						 &block, &found, err)
				       : tree_next(copy->source, &index, &block, &found, err)))
			return -1;
		if (!found) {
			*more = false;
			return 0;
		}
		if (copy_block(copy, index, &block, err))
			return -1;
	}
	return 0;
}

int copy_blocks_step(
	struct copy_blocks *copy, unsigned limit, struct copy_blocks_step *step, struct error *err)
{
	uint64_t pages = 0;
	if (copy_some(copy, limit, &step->more, err) ||
		tree_builder_finish(copy->builder, &step->root, &pages, err))
		return -1;
	step->blocks = copy->seen;
	step->added = copy->bytes + pages;
	return 0;
}

int copy_blocks_count(struct copy_blocks *copy, int64_t *count, struct error *err)
{
	struct tree *tree = copy->source;
	struct digest block;
	bool found = true;
	*count = 0;
	for (uint64_t index = 0; index < tree_block_count(tree); index++) {
		if (tree_next(tree, &index, &block, &found, err))
			return -1;
		if (!found)
			break;
		++*count;
	}
	return 0;
}
