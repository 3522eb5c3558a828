/*
 * The blocks of a tree, from one store to another, in steps. What has come so far is a tree as well, which the caller publishes after each step: a crash costs one step.
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>

#include "store/store.h"

struct copy_blocks;

/* `present`: the tree of the steps before; NULL: nothing has come yet. Opens a store session: what a step brings must be published before it is closed. */
int copy_blocks_open(struct store *from, struct store *to, const struct digest *wanted,
	const struct digest *present, struct copy_blocks **copy, struct error *err);
void copy_blocks_close(struct copy_blocks *copy); /* NULL is legal */

struct copy_blocks_step {
	struct digest root; /* of what has come, durable; that of the source when there is no more */
	uint64_t blocks;    /* put into the tree by this step */
	uint64_t added;     /* bytes on disk */
	bool more;
};
/* Once after copy_blocks_open: brings at most `limit` blocks that the store lacks. */
int copy_blocks_step(
	struct copy_blocks *copy, unsigned limit, struct copy_blocks_step *step, struct error *err);
/* Of the whole source. */
int copy_blocks_count(struct copy_blocks *copy, int64_t *count, struct error *err);
