/* The model of model.h: trees of one and two levels over a few dozen different blocks, so that pages and blocks are shared in all ways. */
#include "model.h"

#include "store/account.h"
#include "store/tree.h"

/* Blocks lie so far apart that a large tree has them in several leaf pages. */
uint64_t model_position(unsigned i)
{
	return (uint64_t)i * 37;
}

void model_fill_block(uint8_t *block, unsigned number)
{
	scratch_fill(block, STORE_BLOCK_SIZE, 1000 + number);
}

void model_open_store(struct model *model)
{
	struct error err;
	ASSERT_OK(store_open(model->folder, &model->store, &err));
}

void model_prepare(struct model *model, const char *folder, uint64_t seed)
{
	static uint8_t block[STORE_BLOCK_SIZE];
	*model = (struct model){ .folder = folder, .seed = seed };
	for (unsigned i = 1; i <= POOL; i++) {
		model_fill_block(block, i);
		digest_sha256(block, sizeof block, &model->pool[i]);
	}
	model_open_store(model);
}

/* Puts a tree's blocks and the tree, upon another one's or upon nothing. */
void model_put_tree(struct model *model, struct store_session *session, struct model_tree *tree,
	const struct model_tree *base)
{
	static _Thread_local uint8_t block[STORE_BLOCK_SIZE];
	struct error err;
	struct tree *base_tree = NULL;
	struct tree_builder *builder;
	if (base)
		ASSERT_OK(tree_open(model->store, &base->root, &base_tree, &err));
	ASSERT_OK(tree_builder_create(session, base_tree, tree->size, &builder, &err));
	for (unsigned i = 0; i < TREE_BLOCKS; i++) {
		if (model_position(i) * STORE_BLOCK_SIZE >= tree->size ||
			(base && base->size == tree->size && base->blocks[i] == tree->blocks[i]))
			continue;
		if (tree->blocks[i]) {
			model_fill_block(block, tree->blocks[i]);
			ASSERT_OK(store_put(session, STORE_BLOCK, &model->pool[tree->blocks[i]], block,
				sizeof block, NULL, &err));
		}
		ASSERT_OK(tree_builder_set(builder, model_position(i), &model->pool[tree->blocks[i]], &err));
	}
	ASSERT_OK(tree_builder_finish(builder, &tree->root, NULL, &err));
	tree_builder_destroy(builder);
	tree_close(base_tree);
}

uint64_t model_random_below(struct model *model, uint64_t limit)
{
	return scratch_random(&model->seed) % limit;
}

/* A new tree in place of an unpublished one, which becomes published; often a variation of another. */
void model_publish_one(struct model *model)
{
	struct error err;
	struct store_session *session;
	struct model_tree *tree = &model->trees[model_random_below(model, TREES)];
	const struct model_tree *base = &model->trees[model_random_below(model, TREES)];
	if (tree->published)
		return;
	if (base->published) {
		memcpy(tree->blocks, base->blocks, sizeof tree->blocks);
		tree->size = base->size;
		tree->blocks[model_random_below(model, TREE_BLOCKS)] =
			(uint8_t)model_random_below(model, POOL + 1);
	} else {
		tree->size = model_random_below(model, 2) ? 50ULL << 20 : 110ULL << 20;
		for (unsigned i = 0; i < TREE_BLOCKS; i++)
			tree->blocks[i] = (uint8_t)model_random_below(model, 6);
	}
	for (unsigned i = 0; i < TREE_BLOCKS; i++)
		if (model_position(i) * STORE_BLOCK_SIZE >= tree->size)
			tree->blocks[i] = 0;
	ASSERT_OK(store_session_open(model->store, &session, &err));
	model_put_tree(model, session, tree, base->published ? base : NULL);
	tree->published = true;
	store_session_close(session);
}

static bool is_published(const struct model *model, const struct digest *root)
{
	bool published = false;
	for (unsigned i = 0; i < TREES; i++)
		published |= model->trees[i].published && !memcmp(&model->trees[i].root, root, sizeof *root);
	return published;
}

int model_find_published(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < count; i++)
		published[i] = is_published(context, &roots[i]);
	return 0;
}

struct reaching {
	struct model *model;
	struct digest_list *list;
};

static int reach_child(void *context, const struct digest *child, struct error *err)
{
	struct reaching *reaching = context;
	(void)err;
	model_reach(reaching->model, child, reaching->list);
	return 0;
}

void model_reach(struct model *model, const struct digest *digest, struct digest_list *list)
{
	struct error err;
	struct index_entry entry;
	for (size_t i = 0; i < list->count; i++)
		if (!memcmp(&list->items[i], digest, sizeof *digest))
			return;
	digest_list_append(list, digest);
	assert_true(index_find(model->store->index, digest, &entry));
	if (entry.kind == STORE_BLOCK)
		return;
	uint8_t *buffer = malloc(STORE_BLOCK_SIZE);
	ASSERT_OK(store_read_entry(model->store, &entry, buffer, &err));
	ASSERT_OK(store_visit_children(
		entry.kind, buffer, entry.size, reach_child, &(struct reaching){ model, list }, &err));
	free(buffer);
}

/* Bytes and objects that all published trees but `without` (-1: none) reach. */
static uint64_t reachable_bytes(struct model *model, unsigned without, size_t *objects)
{
	struct digest_list list = { 0 };
	uint64_t bytes = 0;
	for (unsigned i = 0; i < TREES; i++)
		if (model->trees[i].published &&
			!(without < TREES &&
				!memcmp(&model->trees[i].root, &model->trees[without].root,
					sizeof(struct digest))))
			model_reach(model, &model->trees[i].root, &list);
	for (size_t i = 0; i < list.count; i++) {
		struct index_entry entry;
		assert_true(index_find(model->store->index, &list.items[i], &entry));
		bytes += store_entry_bytes(&entry);
	}
	*objects = list.count;
	free(list.items);
	return bytes;
}

void model_expect_no_faults(struct model *model)
{
	struct error err;
	uint64_t faults;
	ASSERT_OK(store_check(model->store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
}

struct store_collect_result model_free_retired(struct model *model)
{
	struct error err;
	struct store_collect_result result;
	ASSERT_OK(store_free_retired(model->store, model_find_published, model, &result, &err));
	return result;
}

/* The store holds what is published, all of it, and nothing else. */
void model_expect_exact(struct model *model)
{
	struct store_usage usage;
	size_t objects;
	uint64_t bytes = reachable_bytes(model, TREES, &objects);
	store_get_usage(model->store, &usage);
	assert_int_equal(usage.objects, objects);
	assert_int_equal(usage.bytes, bytes);
}

/* Asks what deleting a tree would free, deletes it, and compares. */
void model_unpublish_one(struct model *model)
{
	struct error err;
	unsigned number = (unsigned)model_random_below(model, TREES), twins = 0;
	struct model_tree *tree = &model->trees[number];
	uint64_t alone, full;
	size_t objects;
	if (!tree->published)
		return;
	model_free_retired(model);
	uint64_t before = reachable_bytes(model, TREES, &objects);
	uint64_t after = reachable_bytes(model, number, &objects);
	for (unsigned i = 0; i < TREES; i++)
		twins += model->trees[i].published &&
			!memcmp(&model->trees[i].root, &tree->root, sizeof tree->root);
	ASSERT_OK(store_account_alone(model->store, &tree->root, 1, &alone, &err));
	ASSERT_OK(store_account_full(model->store, &tree->root, 1, &full, &err));
	assert_int_equal(alone, before - after);
	assert_true(alone <= full);
	tree->published = false;
	store_retire(model->store, &tree->root);
	assert_int_equal(model_free_retired(model).bytes_freed, twins > 1 ? 0 : alone);
	model_expect_exact(model);
}

/* A session that ends without publishing: a tree, or blocks that no page has. */
void model_give_up_one(struct model *model)
{
	static uint8_t block[STORE_BLOCK_SIZE];
	struct error err;
	struct store_session *session;
	struct model_tree tree = { .size = 110ULL << 20, .blocks = { 1, 2, 3, 4, 5, 6 } };
	unsigned number = 1 + (unsigned)model_random_below(model, POOL);
	ASSERT_OK(store_session_open(model->store, &session, &err));
	if (model_random_below(model, 2))
		model_put_tree(model, session, &tree, NULL);
	model_fill_block(block, number);
	ASSERT_OK(store_put(session, STORE_BLOCK, &model->pool[number], block, sizeof block, NULL, &err));
	store_session_close(session);
}

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct {
		struct model *model;
		unsigned next;
	} *roots = context;
	(void)err;
	for (; roots->next < TREES; roots->next++)
		if (roots->model->trees[roots->next].published) {
			*root = roots->model->trees[roots->next++].root;
			return 1;
		}
	return 0;
}

void model_collect(struct model *model)
{
	struct error err;
	struct {
		struct model *model;
		unsigned next;
	} roots = { model, 0 };
	ASSERT_OK(store_collect(model->store, next_root, &roots, NULL, &err));
}
