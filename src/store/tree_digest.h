/* The root digest that a tree would have, without a store: for disks whose pages must not be stored (the plain side of encrypted ones). One thread. */
#pragma once

#include "base/digest.h"

struct tree_digest;

/* Of a disk of `size` bytes (not 0). Takes some 33 KiB for each level of the tree, whatever the disk holds. */
struct tree_digest *tree_digest_create(uint64_t size);
void tree_digest_destroy(struct tree_digest *tree); /* NULL is legal */
/* Blocks that are not all zeros, in ascending order, each once. */
void tree_digest_add(struct tree_digest *tree, uint64_t index, const struct digest *block);
/* What tree_builder_finish gives for the same blocks. Nothing can be added after it. */
void tree_digest_end(struct tree_digest *tree, struct digest *root);
