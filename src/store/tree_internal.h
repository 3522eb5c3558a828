/* What the builder needs of a tree; for this folder only. */
#pragma once

#include "store/page.h"
#include "store/tree.h"

/* A page in memory, shared by whoever holds a reference. */
struct tree_page {
	_Atomic unsigned references;
	bool verified; /* hashed; else its checksum was right: good enough for comparing */
	struct page page;
};

/*
 * The page of a level (from 1) at an index, with a reference for the caller; NULL in *page if everything below it is zeros. Levels above the tree's own are made up: they hold the tree's
 * top page as their first child.
 */
int tree_get_page(
	struct tree *tree, unsigned level, uint64_t index, struct tree_page **page, struct error *err);
void tree_put_page(struct tree_page *page); /* NULL is legal */
const struct root *tree_root(const struct tree *tree);
struct store *tree_store(const struct tree *tree);
