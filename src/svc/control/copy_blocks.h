/*
 * The blocks of a tree, from one store to another, in steps. What has come so far is a tree as well, which the caller publishes after each step: a crash costs one step.
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>

#include "store/store.h"
#include "store/tree.h"

struct copy_blocks;

enum { COPY_BATCH = 8 }; /* blocks that are asked for together */

struct copy_wanted {
	uint64_t index; /* on the disk */
	struct digest digest;
};

/* Where a tree is copied from: a store of this process; or (NULL) whatever the functions read, which is verified here. */
struct copy_source {
	struct store *store;
	struct tree_source pages;
	/* At most COPY_BATCH blocks, the i-th at data + i * STORE_BLOCK_SIZE, with its size; `context` is that of `pages`. */
	int (*read_blocks)(void *context, const struct copy_wanted *wanted, size_t count, uint8_t *data,
		size_t *sizes, struct error *err);
};

/* `present`: the tree of the steps before; NULL: nothing has come yet. Opens a store session: what a step brings must be published before it is closed. ERROR_CORRUPT, here and below: the source gave something else. */
int copy_blocks_open(const struct copy_source *from, struct store *to, const struct digest *wanted,
	const struct digest *present, struct copy_blocks **copy, struct error *err);
void copy_blocks_close(struct copy_blocks *copy); /* NULL is legal */
/* Bytes of the disk; blocks of it that are not all zeros. */
uint64_t copy_blocks_size(const struct copy_blocks *copy);
uint64_t copy_blocks_count(const struct copy_blocks *copy);

struct copy_blocks_step {
	struct digest root; /* of what has come, durable; that of the source when there is no more */
	uint64_t blocks;    /* put into the tree by this step */
	uint64_t added;     /* bytes on disk */
	uint64_t travelled_blocks, travelled_bytes; /* what the store lacked */
	bool more;
};
/* Once after copy_blocks_open: brings at most `limit` blocks that the store lacks. */
int copy_blocks_step(
	struct copy_blocks *copy, unsigned limit, struct copy_blocks_step *step, struct error *err);
