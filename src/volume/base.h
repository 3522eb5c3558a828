/*
 * The base of a volume: the tree it stands on, read block by block in place. For the volume folder only. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct base;
struct store;
struct trace;

/* `size`: how far the base reaches into the volume (at most the tree's size). `name` is for the log. */
int base_open(struct store *store, const struct digest *root, uint64_t size, const char *name,
	struct base **base, struct error *err);
void base_close(struct base *base); /* NULL is legal */
/* Zeros beyond its end. ERROR_CORRUPT if a block is not what its digest says; it is looked at once, when it is first touched. */
int base_read(struct base *base, void *data, uint64_t offset, uint64_t size, struct error *err);
/* A whole block that is wanted once, zeros beyond the base's end; verified anew, and read past the page cache if `data` is aligned to 4096. */
int base_read_block(struct base *base, uint64_t block, void *data, struct error *err);
/* Whether the block at `offset` is all zeros, and how many bytes from there, at most `size`, share that. Looks at block ids only. */
int base_extent(
	struct base *base, uint64_t offset, uint64_t size, bool *zero, uint64_t *length, struct error *err);
/* Reads and verifies a block that nobody has asked for yet, so that whoever does finds it in memory. Does nothing for one that was verified before. */
int base_prefetch(struct base *base, uint64_t block, struct error *err);
/* From now on each read is noted there (NULL: no more). The trace outlives the base. */
void base_set_trace(struct base *base, struct trace *trace);
struct tree *base_tree(struct base *base);

/*
 * What was remembered of blocks' places is forgotten if the store has moved any since; it also happens by itself, at the next read. *replaced gets what was remembered before and may still be
 * looked at by reads that have begun: the caller waits for those to end and frees it. Fine with no base.
 */
struct base_view;
int base_renew(struct base *base, struct base_view **replaced, struct error *err);
void base_free_views(struct base_view *views); /* NULL is legal */
