/*
 * Changing how blocks are stored: compressed, for what has gone cold, and plain again. What is read stays the same; a compressed block is slower to read and cannot be read in place.
 *
 * A rewrite is a list of blocks, made once, and carried out in steps. What is collected between two steps is left out. Every function is safe from every thread; one rewrite is for one at a time.
 */
#pragma once

#include "store/store.h"

struct store_rewrite;

/*
 * The plain blocks that roots of `cold` reach and none of `warm` does. Both are called as by store_collect, warm first, which may name single blocks as well; what they name must be there. When
 * very many blocks have been found, no more cold roots are asked for: those that were are whole in the rewrite, the others are for another. A block that becomes warm after this is compressed all the same: close the rewrite, or warm the tree.
 */
int store_plan_compression(struct store *store, store_next_root *cold, void *cold_context,
	store_next_root *warm, void *warm_context, struct store_rewrite **rewrite, struct error *err);
/* The compressed blocks of a tree. ERROR_NOT_FOUND: it was collected. */
int store_plan_warming(
	struct store *store, const struct digest *root, struct store_rewrite **rewrite, struct error *err);
void store_rewrite_close(struct store_rewrite *rewrite); /* NULL is legal; what was done stays done */
uint64_t store_rewrite_left(const struct store_rewrite *rewrite); /* blocks not looked at yet */

/* Adds up over steps; the caller sets it to zero. */
struct store_rewrite_result {
	uint64_t blocks;       /* stored in another way now */
	uint64_t bytes_before; /* theirs, on disk */
	uint64_t bytes_after;
	uint64_t
		unchanged; /* blocks that compression does not make an eighth smaller, and such as were gone */
};
/* Looks at about `limit` bytes of blocks. ERROR_NO_SPACE: the copies do not fit; another step may be tried later. A damaged block is
 * logged and left as it is. */
int store_rewrite_step(struct store_rewrite *rewrite, uint64_t limit, struct store_rewrite_result *result,
	struct error *err);

/* A plan and all its steps, for callers that may wait for it. `result` may be NULL. */
int store_compress(struct store *store, store_next_root *cold, void *cold_context, store_next_root *warm,
	void *warm_context, struct store_rewrite_result *result, struct error *err);
int store_warm(struct store *store, const struct digest *root, struct store_rewrite_result *result,
	struct error *err);
