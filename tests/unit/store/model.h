/*
 * A store beside a model of what has to be in it: which trees are published is known, and what must be there is found by walking all of them. For the tests of reference counts and accounting.
 */
#pragma once

#include "scratch.h"
#include "store/store_internal.h"

enum { POOL = 40, TREES = 24, TREE_BLOCKS = 6 };

struct model_tree {
	bool published;
	uint64_t size;
	uint8_t blocks[TREE_BLOCKS]; /* 0: zeros; else the number of a block of the pool */
	struct digest root;
};

struct model {
	struct store *store;
	const char *folder;
	uint64_t seed;
	struct digest pool[POOL + 1];
	struct model_tree trees[TREES];
};

void model_prepare(struct model *model, const char *folder, uint64_t seed);
void model_open_store(struct model *model);
uint64_t model_random_below(struct model *model, uint64_t limit);

/* The bytes of a block of the pool; where in a tree its block `i` lies. */
void model_fill_block(uint8_t *block, unsigned number);
uint64_t model_position(unsigned i);
/* Puts a tree's blocks and the tree, upon another one's or upon nothing. */
void model_put_tree(struct model *model, struct store_session *session, struct model_tree *tree,
	const struct model_tree *base);

/* Something at random: a new tree, often a variation of another; the end of one, which frees what accounting said; a session that ends without publishing. */
void model_publish_one(struct model *model);
void model_unpublish_one(struct model *model);
void model_give_up_one(struct model *model);

/* Frees what is retired, and the whole collection. */
struct store_collect_result model_free_retired(struct model *model);
void model_collect(struct model *model);
/* A store_find_published; `context` is the model. */
int model_find_published(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err);

/* Adds all that a digest reaches, as a list without repetition. */
void model_reach(struct model *model, const struct digest *digest, struct digest_list *list);
/* The store holds what is published, all of it, and nothing else. */
void model_expect_exact(struct model *model);
void model_expect_no_faults(struct model *model);
