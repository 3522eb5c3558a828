/*
 * A step walks the difference of what has come and of what is wanted, brings the first blocks of it that the store does not have, some at a time, and makes the tree with them, within one store session. When nothing differs, the root
 * is that of the source: a tree has one encoding. Blocks are read with their digest checked.
 */
#include "svc/control/copy_blocks.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "base/banned.h"

enum { LOOKED_AT = 16384 }; /* blocks, in a step */

struct copy_blocks {
	struct copy_source from;
	struct store *to;
	struct store_session *session;
	struct tree *source;
	struct tree *present; /* NULL: nothing has come yet */
	struct tree_builder *builder;
	struct copy_wanted wanted[COPY_BATCH]; /* in the tree, not in the store yet */
	size_t waiting;
	size_t sizes[COPY_BATCH];
	uint8_t *data;      /* of a batch */
	uint64_t seen;      /* blocks put into the tree by this step */
	uint64_t brought;   /* and into the store */
	uint64_t travelled; /* bytes of these */
	uint64_t bytes;     /* that this added on disk */
};

static int open_source(struct copy_blocks *copy, const struct digest *wanted, struct error *err)
{
	return copy->from.store ? tree_open(copy->from.store, wanted, &copy->source, err)
				: tree_open_from(&copy->from.pages, wanted, &copy->source, err);
}

int copy_blocks_open(const struct copy_source *from, struct store *to, const struct digest *wanted,
	const struct digest *present, struct copy_blocks **copy_out, struct error *err)
{
	struct copy_blocks *copy = memory_alloc(sizeof *copy);
	*copy = (struct copy_blocks){
		.from = *from, .to = to, .data = memory_alloc((size_t)COPY_BATCH * STORE_BLOCK_SIZE)
	};
	if (store_session_open(to, &copy->session, err) || open_source(copy, wanted, err) ||
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

uint64_t copy_blocks_size(const struct copy_blocks *copy)
{
	return tree_size(copy->source);
}

uint64_t copy_blocks_count(const struct copy_blocks *copy)
{
	return tree_data_blocks(copy->source);
}

static int read_batch(struct copy_blocks *copy, struct error *err)
{
	if (!copy->from.store)
		return copy->from.read_blocks(
			copy->from.pages.context, copy->wanted, copy->waiting, copy->data, copy->sizes, err);
	for (size_t i = 0; i < copy->waiting; i++)
		if (store_get(copy->from.store, &copy->wanted[i].digest, copy->data + i * STORE_BLOCK_SIZE,
			    &copy->sizes[i], err))
			return -1;
	return 0;
}

/* What another process gives is taken for nothing before it was hashed. */
static int put_block(struct copy_blocks *copy, size_t i, struct error *err)
{
	const struct copy_wanted *wanted = &copy->wanted[i];
	const uint8_t *data = copy->data + i * STORE_BLOCK_SIZE;
	char hex[2 * DIGEST_SIZE + 1];
	struct digest found;
	uint64_t added = 0;
	if (!copy->from.store) {
		digest_sha256(data, copy->sizes[i], &found);
		if (!digest_equal(&found, &wanted->digest))
			return error_set(err, ERROR_CORRUPT, "the block at %llu that came is not object %s",
				(unsigned long long)wanted->index,
				text_hex(&wanted->digest, DIGEST_SIZE, hex));
	}
	if (store_put(copy->session, STORE_BLOCK, &wanted->digest, data, copy->sizes[i], &added, err))
		return -1;
	copy->travelled += copy->sizes[i];
	copy->bytes += added;
	return 0;
}

static int bring_batch(struct copy_blocks *copy, struct error *err)
{
	if (copy->waiting && read_batch(copy, err))
		return -1;
	for (size_t i = 0; i < copy->waiting; i++)
		if (put_block(copy, i, err))
			return -1;
	copy->brought += copy->waiting;
	copy->waiting = 0;
	return 0;
}

/* A disk may have the same block many times. */
static bool is_waiting(const struct copy_blocks *copy, const struct digest *block)
{
	for (size_t i = 0; i < copy->waiting; i++)
		if (digest_equal(&copy->wanted[i].digest, block))
			return true;
	return false;
}

/* The bytes travel only if this store lacks them. */
static int copy_block(struct copy_blocks *copy, uint64_t index, const struct digest *block, struct error *err)
{
	bool present = true;
	if (!digest_is_zero(block) && !is_waiting(copy, block) &&
		store_keep(copy->session, block, &present, err))
		return -1;
	if (!present)
		copy->wanted[copy->waiting++] = (struct copy_wanted){ index, *block };
	copy->seen++;
	if (tree_builder_set(copy->builder, index, block, err))
		return -1;
	return copy->waiting == COPY_BATCH ? bring_batch(copy, err) : 0;
}

/* The two trees lie in two stores, which does not matter: pages are equal if their digests are. *more false: nothing differs any more. */
static int copy_some(struct copy_blocks *copy, unsigned step_blocks, bool *more, struct error *err)
{
	struct digest old, block;
	uint64_t limit = tree_block_count(copy->source);
	*more = true;
	for (uint64_t index = 0; copy->brought + copy->waiting < step_blocks && copy->seen < LOOKED_AT;
		index++) {
		bool found = false;
		if (index < limit &&
			(copy->present ? tree_next_difference(copy->present, copy->source, &index, &old,
						 &block, &found, err)
				       : tree_next(copy->source, &index, &block, &found, err)))
			return -1;
		if (!found) {
			*more = false;
			break;
		}
		if (copy_block(copy, index, &block, err))
			return -1;
	}
	return bring_batch(copy, err);
}

int copy_blocks_step(
	struct copy_blocks *copy, unsigned limit, struct copy_blocks_step *step, struct error *err)
{
	uint64_t pages = 0;
	if (copy_some(copy, limit, &step->more, err) ||
		tree_builder_finish(copy->builder, &step->root, &pages, err))
		return -1;
	step->blocks = copy->seen;
	step->travelled_blocks = copy->brought;
	step->travelled_bytes = copy->travelled;
	step->added = copy->bytes + pages;
	return 0;
}
