/*
 * A stack: the layers of a volume, top first, over its base, as they are for a while. It does not change once published; freezing and rebasing publish another. For the volume
 * folder only.
 */
#pragma once

#include "volume/base.h"
#include "volume/layer.h"

struct stack {
	struct base *base;      /* NULL: zeros */
	struct stack *next;     /* of those that were replaced */
	unsigned count;         /* at least 1 */
	struct layer *layers[]; /* top first */
};

struct stack *stack_create(struct base *base, unsigned count);
/* Reads what the layers from `level` down (0: the top) and the base hold. */
int stack_read(const struct stack *stack, unsigned level, void *data, uint64_t offset, uint64_t size,
	struct error *err);
/* Reads a block, or the first `size` bytes of the last one, for once: what it needs of the base comes whole, and past the page cache if `data`, which has room for a block, is aligned to 4096. */
int stack_read_block(const struct stack *stack, uint64_t block, void *data, uint64_t size, struct error *err);
/* Whether `offset` reads as zeros without being looked at, and how far that, or the opposite, goes; at most `size`. */
int stack_extent(const struct stack *stack, uint64_t offset, uint64_t size, bool *zero, uint64_t *length,
	struct error *err);
