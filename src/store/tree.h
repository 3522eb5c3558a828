/*
 * Trees: an immutable disk image as a Merkle tree in the store. A tree maps block index (512 KiB of the disk) to the block's digest; absent means all zeros.
 * The digest of its root object is what names a snapshot's content. See docs/design/store.md for the encoding of pages and roots.
 */
#pragma once

#include <stdint.h>

#include "store/store.h"

struct tree;
struct tree_builder;

/* Opens a tree by its root digest. Pages are read, and verified, when they are first needed. Safe from every thread. */
int tree_open(struct store *store, const struct digest *root, struct tree **tree, struct error *err);
/* Where the pages of a tree lie that is in no store of this process. */
struct tree_source {
	/* Reads the page of a level (from 1; 0: the root) at an index, at most `room` bytes, which should have that digest: the tree makes sure. */
	int (*read_page)(void *context, unsigned level, uint64_t index, const struct digest *digest,
		void *data, size_t room, size_t *size, struct error *err);
	void *context;
};
/* The same of such a tree; ERROR_CORRUPT if what the source gives is not what was asked for. *source is copied, its context must live as long as the tree. Such a tree is no base of a builder. */
int tree_open_from(
	const struct tree_source *source, const struct digest *root, struct tree **tree, struct error *err);
void tree_close(struct tree *tree);                 /* NULL is legal */
uint64_t tree_size(const struct tree *tree);        /* bytes of the disk */
uint64_t tree_block_count(const struct tree *tree); /* ceil(size / STORE_BLOCK_SIZE) */
uint64_t tree_data_blocks(const struct tree *tree); /* those that are not all zeros, as its root has it */
/* The same of a tree that is not open. */
int tree_get_data_blocks(struct store *store, const struct digest *root, uint64_t *blocks, struct error *err);
/* The digest of one block; the zero digest if the block is all zeros. `index` < tree_block_count. */
int tree_lookup(struct tree *tree, uint64_t index, struct digest *block, struct error *err);
/* The digest of the page of a level at an index (level 0: of a block); zero if there is none, or if the level is above the tree's own. */
int tree_get_digest(
	struct tree *tree, unsigned level, uint64_t index, struct digest *digest, struct error *err);
/*
 * The next block at or after *index that is not all zeros: sets *index and *block, *found. Walks pages, so an empty 16 TiB disk costs nothing.
 */
int tree_next(struct tree *tree, uint64_t *index, struct digest *block, bool *found, struct error *err);
/* The same for blocks that differ between two trees (either may be NULL for an empty one of the other's size); shared pages are skipped whole. */
int tree_next_difference(struct tree *a, struct tree *b, uint64_t *index, struct digest *block_a,
	struct digest *block_b, bool *found, struct error *err);

/*
 * Builds a new tree of `size` bytes from `base` (NULL: all zeros; a base of another size is cut or grown with zeros) with some blocks replaced. tree_builder_set is
 * safe from several threads; the others are for one. Unchanged pages are shared. The blocks themselves are put by the caller, in the same session.
 */
int tree_builder_create(struct store_session *session, struct tree *base, uint64_t size,
	struct tree_builder **builder, struct error *err);
int tree_builder_set(
	struct tree_builder *builder, uint64_t index, const struct digest *block, struct error *err);
/* Writes the changed pages and the root, syncs the store, returns the root digest. *added counts bytes that pages added. */
int tree_builder_finish(
	struct tree_builder *builder, struct digest *root, uint64_t *added, struct error *err);
/* After tree_builder_finish: tree_data_blocks of the new tree. */
uint64_t tree_builder_data_blocks(const struct tree_builder *builder);
void tree_builder_destroy(struct tree_builder *builder); /* NULL is legal */
