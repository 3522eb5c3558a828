/*
 * Reference counts: counted deletion frees exactly what a model says nothing reaches; accounting says so before; counts survive a clean close, and nothing else.
 *
 * The model: trees of one and two levels over a few dozen different blocks, so that pages and blocks are shared in all ways; what is published, and what open sessions hold, is known; what must be in the store is
 * found by walking everything that is published.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.h"
#include "store/account.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "store/tree.h"

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

/* Blocks lie so far apart that a large tree has them in several leaf pages. */
static uint64_t position(unsigned i)
{
	return (uint64_t)i * 300;
}

static void fill_block(uint8_t *block, unsigned number)
{
	scratch_fill(block, STORE_BLOCK_SIZE, 1000 + number);
}

static void open_store(struct model *model)
{
	struct error err;
	ASSERT_OK(store_open(model->folder, &model->store, &err));
}

static void prepare(struct model *model, const char *folder, uint64_t seed)
{
	static uint8_t block[STORE_BLOCK_SIZE];
	*model = (struct model){ .folder = folder, .seed = seed };
	for (unsigned i = 1; i <= POOL; i++) {
		fill_block(block, i);
		digest_sha256(block, sizeof block, &model->pool[i]);
	}
	open_store(model);
}

/* Puts a tree's blocks and the tree, upon another one's or upon nothing. */
static void put_tree(struct model *model, struct store_session *session, struct model_tree *tree,
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
		if (position(i) * STORE_BLOCK_SIZE >= tree->size ||
			(base && base->size == tree->size && base->blocks[i] == tree->blocks[i]))
			continue;
		if (tree->blocks[i]) {
			fill_block(block, tree->blocks[i]);
			ASSERT_OK(store_put(session, STORE_BLOCK, &model->pool[tree->blocks[i]], block,
				sizeof block, NULL, &err));
		}
		ASSERT_OK(tree_builder_set(builder, position(i), &model->pool[tree->blocks[i]], &err));
	}
	ASSERT_OK(tree_builder_finish(builder, &tree->root, NULL, &err));
	tree_builder_destroy(builder);
	tree_close(base_tree);
}

static uint64_t random_below(struct model *model, uint64_t limit)
{
	return scratch_random(&model->seed) % limit;
}

/* A new tree in place of an unpublished one, which becomes published; often a variation of another. */
static void publish_one(struct model *model)
{
	struct error err;
	struct store_session *session;
	struct model_tree *tree = &model->trees[random_below(model, TREES)];
	const struct model_tree *base = &model->trees[random_below(model, TREES)];
	if (tree->published)
		return;
	if (base->published) {
		memcpy(tree->blocks, base->blocks, sizeof tree->blocks);
		tree->size = base->size;
		tree->blocks[random_below(model, TREE_BLOCKS)] = (uint8_t)random_below(model, POOL + 1);
	} else {
		tree->size = random_below(model, 2) ? 400ULL << 20 : 900ULL << 20;
		for (unsigned i = 0; i < TREE_BLOCKS; i++)
			tree->blocks[i] = (uint8_t)random_below(model, 6);
	}
	for (unsigned i = 0; i < TREE_BLOCKS; i++)
		if (position(i) * STORE_BLOCK_SIZE >= tree->size)
			tree->blocks[i] = 0;
	ASSERT_OK(store_session_open(model->store, &session, &err));
	put_tree(model, session, tree, base->published ? base : NULL);
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

static int find_published(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < count; i++)
		published[i] = is_published(context, &roots[i]);
	return 0;
}

/* All that what is published reaches, as a list of digests without repetition. */
static void reach(struct model *model, const struct digest *digest, struct digest_list *list);

struct reaching {
	struct model *model;
	struct digest_list *list;
};

static int reach_child(void *context, const struct digest *child, struct error *err)
{
	struct reaching *reaching = context;
	(void)err;
	reach(reaching->model, child, reaching->list);
	return 0;
}

static void reach(struct model *model, const struct digest *digest, struct digest_list *list)
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
			reach(model, &model->trees[i].root, &list);
	for (size_t i = 0; i < list.count; i++) {
		struct index_entry entry;
		assert_true(index_find(model->store->index, &list.items[i], &entry));
		bytes += store_bytes_of(&entry);
	}
	*objects = list.count;
	free(list.items);
	return bytes;
}

static void expect_no_faults(struct model *model)
{
	struct error err;
	uint64_t faults;
	ASSERT_OK(store_check(model->store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
}

static struct store_collect_result free_retired(struct model *model)
{
	struct error err;
	struct store_collect_result result;
	size_t waiting;
	ASSERT_OK(store_free_retired(model->store, find_published, model, &result, &waiting, &err));
	return result;
}

/* The store holds what is published, all of it, and nothing else. */
static void expect_exact(struct model *model)
{
	struct store_usage usage;
	size_t objects;
	uint64_t bytes = reachable_bytes(model, TREES, &objects);
	store_get_usage(model->store, &usage);
	assert_int_equal(usage.objects, objects);
	assert_int_equal(usage.bytes, bytes);
}

/* Asks what deleting a tree would free, deletes it, and compares. */
static void unpublish_one(struct model *model)
{
	struct error err;
	unsigned number = (unsigned)random_below(model, TREES), twins = 0;
	struct model_tree *tree = &model->trees[number];
	uint64_t alone, full;
	size_t objects;
	if (!tree->published)
		return;
	free_retired(model);
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
	assert_int_equal(free_retired(model).bytes_freed, twins > 1 ? 0 : alone);
	expect_exact(model);
}

/* A session that ends without publishing: a tree, or blocks that no page has. */
static void give_up_one(struct model *model)
{
	static uint8_t block[STORE_BLOCK_SIZE];
	struct error err;
	struct store_session *session;
	struct model_tree tree = { .size = 900ULL << 20, .blocks = { 1, 2, 3, 4, 5, 6 } };
	unsigned number = 1 + (unsigned)random_below(model, POOL);
	ASSERT_OK(store_session_open(model->store, &session, &err));
	if (random_below(model, 2))
		put_tree(model, session, &tree, NULL);
	fill_block(block, number);
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

static void collect(struct model *model)
{
	struct error err;
	struct {
		struct model *model;
		unsigned next;
	} roots = { model, 0 };
	ASSERT_OK(store_collect(model->store, next_root, &roots, NULL, &err));
}

static void freed_and_accounted_as_the_model_says(void **state)
{
	struct model model;
	prepare(&model, *state, 42);
	for (unsigned step = 0; step < 250; step++) {
		uint64_t what = random_below(&model, 20);
		if (what < 9)
			publish_one(&model);
		else if (what < 16)
			unpublish_one(&model);
		else if (what < 18)
			give_up_one(&model);
		else if (what == 18) {
			/* what is retired and what is loose is known again afterwards */
			store_close(model.store);
			open_store(&model);
			assert_int_equal(references_state(model.store->references), REFERENCES_EXACT);
		} else {
			collect(&model);
			expect_exact(&model);
		}
		if (step % 50 == 49) {
			free_retired(&model);
			expect_exact(&model);
			expect_no_faults(&model);
		}
	}
	store_close(model.store);
}

static void what_a_session_holds_stays_until_its_end(void **state)
{
	struct error err;
	struct model model;
	struct store_session *first, *second;
	size_t waiting;
	prepare(&model, *state, 1);
	struct model_tree *tree = &model.trees[0];
	*tree = (struct model_tree){ .size = 900ULL << 20, .blocks = { 1, 2, 3, 4, 5, 6 } };
	ASSERT_OK(store_session_open(model.store, &first, &err));
	put_tree(&model, first, tree, NULL);
	store_retire(model.store, &tree->root);
	assert_int_equal(free_retired(&model).objects_freed, 0);
	/* found by the second, which is what keeps it now */
	ASSERT_OK(store_session_open(model.store, &second, &err));
	struct model_tree same = *tree, derived = *tree;
	put_tree(&model, second, &same, NULL);
	store_session_close(first);
	ASSERT_OK(store_free_retired(model.store, find_published, &model, NULL, &waiting, &err));
	assert_true(waiting > 0);
	store_session_close(second);
	/* a base protects what is shared with it */
	ASSERT_OK(store_session_open(model.store, &first, &err));
	derived.blocks[0] = 7;
	put_tree(&model, first, &derived, tree);
	assert_int_equal(free_retired(&model).objects_freed, 0);
	model.trees[1] = derived;
	model.trees[1].published = true;
	store_session_close(first);
	free_retired(&model);
	expect_exact(&model);
	/* a block that a session found while its last tree went: loose, and gone with the session */
	static uint8_t block[STORE_BLOCK_SIZE];
	ASSERT_OK(store_session_open(model.store, &first, &err));
	fill_block(block, 7);
	ASSERT_OK(store_put(first, STORE_BLOCK, &model.pool[7], block, sizeof block, NULL, &err));
	model.trees[1].published = false;
	store_retire(model.store, &derived.root);
	free_retired(&model);
	struct store_usage usage;
	store_get_usage(model.store, &usage);
	assert_int_equal(usage.objects, 1);
	store_session_close(first);
	free_retired(&model);
	expect_exact(&model);
	store_close(model.store);
}

static void an_unclean_end_forgets_the_counts(void **state)
{
	struct error err;
	struct model model;
	uint64_t bytes;
	prepare(&model, *state, 7);
	for (unsigned i = 0; i < 60; i++)
		publish_one(&model);
	store_close(model.store);
	/* the child ends without closing; once it has changed something, once it has not */
	for (unsigned change = 0; change < 2; change++) {
		pid_t child = fork();
		if (!child) {
			open_store(&model);
			model.trees[0].published = model.trees[1].published = false;
			if (change)
				publish_one(&model);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		open_store(&model);
		assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
		ASSERT_FAILS(store_free_retired(model.store, find_published, &model, NULL, NULL, &err),
			ERROR_UNAVAILABLE);
		ASSERT_FAILS(store_account_alone(model.store, &model.trees[0].root, 1, &bytes, &err),
			ERROR_UNAVAILABLE);
		collect(&model);
		expect_exact(&model);
		expect_no_faults(&model);
		for (unsigned i = 0; i < 5; i++)
			unpublish_one(&model);
		store_close(model.store);
	}
}

static void counts_that_do_not_belong_to_the_index_are_not_believed(void **state)
{
	struct error err;
	struct model model;
	char path[512];
	prepare(&model, *state, 3);
	for (unsigned i = 0; i < 20; i++)
		publish_one(&model);
	store_close(model.store);
	/* made again from the packs */
	assert_int_equal(unlink(scratch_path(state, "index", path)), 0);
	open_store(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	collect(&model);
	store_close(model.store);
	/* cut short */
	assert_int_equal(truncate(scratch_path(state, "references", path), 5000), 0);
	open_store(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	ASSERT_FAILS(
		store_free_retired(model.store, find_published, &model, NULL, NULL, &err), ERROR_UNAVAILABLE);
	collect(&model);
	expect_no_faults(&model);
	store_close(model.store);
}

static void without_a_file_they_are_kept_in_memory(void **state)
{
	struct model model;
	char path[512];
	assert_int_equal(mkdir(scratch_path(state, "references", path), 0700), 0);
	prepare(&model, *state, 11);
	for (unsigned i = 0; i < 400; i++) {
		/* more than the first index has room for, so the numbers move as well */
		uint8_t data[8];
		struct error err;
		struct store_session *session;
		struct digest digest;
		memset(data, (int)i, sizeof data);
		data[0] = (uint8_t)(i >> 8);
		digest_sha256(data, sizeof data, &digest);
		ASSERT_OK(store_session_open(model.store, &session, &err));
		for (unsigned j = 0; j < 3; j++) {
			data[7] = (uint8_t)j;
			digest_sha256(data, sizeof data, &digest);
			ASSERT_OK(store_put(session, STORE_BLOCK, &digest, data, sizeof data, NULL, &err));
		}
		store_session_close(session);
	}
	for (unsigned i = 0; i < 20; i++)
		publish_one(&model);
	free_retired(&model);
	expect_exact(&model);
	for (unsigned i = 0; i < 5; i++)
		unpublish_one(&model);
	expect_no_faults(&model);
	store_close(model.store);
	open_store(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	collect(&model);
	expect_exact(&model);
	expect_no_faults(&model);
	store_close(model.store);
}

/* What comes before its children would find them counted too low. */
static void a_page_without_its_blocks_makes_the_counts_unknown(void **state)
{
	static struct page page;
	static uint8_t bytes[PAGE_LIMIT];
	struct error err;
	struct model model;
	struct store_session *session;
	struct digest digest;
	prepare(&model, *state, 1);
	page.level = 1;
	page.ids[3] = model.pool[1];
	size_t size = page_encode(&page, bytes);
	digest_sha256(bytes, size, &digest);
	ASSERT_OK(store_session_open(model.store, &session, &err));
	ASSERT_OK(store_put(session, STORE_PAGE, &digest, bytes, size, NULL, &err));
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	collect(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	store_session_close(session);
	collect(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_EXACT);
	expect_exact(&model);
	store_close(model.store);
}

static void count_line(void *context, const char *line)
{
	*(unsigned *)context += strstr(line, "references") != NULL;
}

static void the_check_finds_a_wrong_count(void **state)
{
	struct error err;
	struct model model;
	uint64_t faults, slot;
	unsigned lines = 0;
	prepare(&model, *state, 5);
	for (unsigned i = 0; i < 20; i++)
		publish_one(&model);
	struct digest_list list = { 0 };
	for (unsigned i = 0; i < TREES; i++)
		if (model.trees[i].published)
			reach(&model, &model.trees[i].root, &list);
	assert_true(index_find_slot(model.store->index, &list.items[list.count - 1], &slot));
	references_add(model.store->references, slot);
	ASSERT_OK(store_check(model.store, count_line, &lines, &faults, &err));
	assert_int_equal(faults, 1);
	assert_int_equal(lines, 1);
	collect(&model);
	expect_no_faults(&model);
	free(list.items);
	store_close(model.store);
}

static void added_is_what_differs_from_the_parent(void **state)
{
	struct error err;
	struct model model;
	struct store_session *session;
	uint64_t added, full;
	prepare(&model, *state, 1);
	struct model_tree parent = { .size = 900ULL << 20, .blocks = { 1, 2, 3, 4, 5, 6 } };
	struct model_tree child = parent, taller = { .size = 900ULL << 30, .blocks = { 9, 9 } };
	ASSERT_OK(store_session_open(model.store, &session, &err));
	put_tree(&model, session, &parent, NULL);
	child.blocks[0] = 10;
	child.blocks[1] = 10; /* once: the same block, in the same leaf */
	put_tree(&model, session, &child, &parent);
	ASSERT_OK(store_account_added(model.store, &child.root, &child.root, &added, &err));
	assert_int_equal(added, 0);
	/* the block; leaf of four ids, top of two, root, in units of 64 bytes with a header each */
	uint64_t leaf = 64 + (8 + 128 + 4 * 32 + 63) / 64 * 64, top = 64 + (8 + 128 + 2 * 32 + 63) / 64 * 64;
	ASSERT_OK(store_account_added(model.store, &child.root, &parent.root, &added, &err));
	assert_int_equal(added, 4096 + STORE_BLOCK_SIZE + leaf + top + 64 + 64);
	put_tree(&model, session, &taller, NULL);
	ASSERT_OK(store_account_added(model.store, &taller.root, &parent.root, &added, &err));
	ASSERT_OK(store_account_full(model.store, &taller.root, 1, &full, &err));
	assert_int_equal(added, full);
	ASSERT_OK(store_account_added(model.store, &parent.root, &taller.root, &added, &err));
	ASSERT_OK(store_account_full(model.store, &parent.root, 1, &full, &err));
	assert_int_equal(added, full);
	store_session_close(session);
	store_close(model.store);
}

static void several_roots_are_accounted_as_one(void **state)
{
	struct error err;
	struct model model;
	struct store_session *session;
	uint64_t one, two, both;
	prepare(&model, *state, 1);
	struct model_tree *a = &model.trees[0], *b = &model.trees[1];
	*a = (struct model_tree){ .size = 400ULL << 20, .blocks = { 1, 2 } };
	*b = (struct model_tree){ .size = 400ULL << 20, .blocks = { 1, 3 } };
	ASSERT_OK(store_session_open(model.store, &session, &err));
	put_tree(&model, session, a, NULL);
	put_tree(&model, session, b, NULL);
	a->published = b->published = true;
	store_session_close(session);
	struct digest roots[] = { a->root, b->root, a->root };
	ASSERT_OK(store_account_alone(model.store, &roots[0], 1, &one, &err));
	ASSERT_OK(store_account_alone(model.store, &roots[1], 1, &two, &err));
	ASSERT_OK(store_account_alone(model.store, roots, 3, &both, &err));
	/* the block that they share goes only with both */
	assert_int_equal(both, one + two + 4096 + STORE_BLOCK_SIZE);
	a->published = b->published = false;
	store_retire(model.store, &a->root);
	store_retire(model.store, &b->root);
	assert_int_equal(free_retired(&model).bytes_freed, both);
	store_close(model.store);
}

static void a_page_put_while_all_are_counted_is_counted_once(void **state)
{
	struct model model;
	prepare(&model, *state, 13);
	for (unsigned i = 0; i < 10; i++)
		publish_one(&model);
	pthread_mutex_lock(&model.store->maintenance);
	store_begin_counting(model.store);
	for (unsigned i = 0; i < 10; i++)
		publish_one(&model);
	store_end_counting(model.store);
	pthread_mutex_unlock(&model.store->maintenance);
	expect_no_faults(&model);
	for (unsigned i = 0; i < 10; i++)
		unpublish_one(&model);
	store_close(model.store);
}

struct putter {
	struct model *model;
	unsigned number;
	_Atomic bool *stop;
	_Atomic bool published; /* its newest tree */
	pthread_mutex_t *lock;  /* the list of what is published */
};

/* Publishes a tree, reads it, retires it, again and again; each thread a place of its own in the list, all of them the same few blocks. */
static void *publish_and_retire(void *context)
{
	struct putter *putter = context;
	struct model *model = putter->model;
	struct error err;
	for (unsigned round = 0; round < 15 || !atomic_load(putter->stop); round++) {
		struct store_session *session;
		struct model_tree tree = { .size = 900ULL << 20 };
		for (unsigned i = 0; i < TREE_BLOCKS; i++)
			tree.blocks[i] = (uint8_t)(1 + (round + i * putter->number) % 4);
		ASSERT_OK(store_session_open(model->store, &session, &err));
		put_tree(model, session, &tree, NULL);
		pthread_mutex_lock(putter->lock);
		struct digest old = model->trees[putter->number].root;
		bool had = model->trees[putter->number].published;
		model->trees[putter->number] = tree;
		model->trees[putter->number].published = true;
		pthread_mutex_unlock(putter->lock);
		store_session_close(session);
		if (had)
			store_retire(model->store, &old);
		struct tree *opened;
		struct digest block;
		static _Thread_local uint8_t data[STORE_BLOCK_SIZE];
		size_t size;
		ASSERT_OK(tree_open(model->store, &tree.root, &opened, &err));
		for (unsigned i = 0; i < TREE_BLOCKS; i++) {
			ASSERT_OK(tree_lookup(opened, position(i), &block, &err));
			ASSERT_OK(store_get(model->store, &block, data, &size, &err));
		}
		tree_close(opened);
	}
	return NULL;
}

struct locked_model {
	struct model *model;
	pthread_mutex_t *lock;
};

static int find_published_locked(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err)
{
	struct locked_model *locked = context;
	pthread_mutex_lock(locked->lock);
	int result = find_published(locked->model, roots, count, published, err);
	pthread_mutex_unlock(locked->lock);
	return result;
}

static void freeing_and_counting_beside_puts(void **state)
{
	struct error err;
	struct model model;
	pthread_t threads[2];
	struct putter putters[2];
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	_Atomic bool stop = false;
	struct locked_model locked = { &model, &lock };
	prepare(&model, *state, 1);
	for (unsigned i = 0; i < 2; i++) {
		putters[i] = (struct putter){ .model = &model, .number = i, .stop = &stop, .lock = &lock };
		assert_int_equal(pthread_create(&threads[i], NULL, publish_and_retire, &putters[i]), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		ASSERT_OK(store_free_retired(model.store, find_published_locked, &locked, NULL, NULL, &err));
		/* counting anew, while pages come */
		pthread_mutex_lock(&model.store->maintenance);
		if (i % 8 == 7) {
			store_begin_counting(model.store);
			store_end_counting(model.store);
		}
		pthread_mutex_unlock(&model.store->maintenance);
		assert_int_equal(references_state(model.store->references), REFERENCES_EXACT);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	free_retired(&model);
	expect_exact(&model);
	expect_no_faults(&model);
	store_close(model.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(freed_and_accounted_as_the_model_says),
		TEST(what_a_session_holds_stays_until_its_end), TEST(an_unclean_end_forgets_the_counts),
		TEST(counts_that_do_not_belong_to_the_index_are_not_believed),
		TEST(without_a_file_they_are_kept_in_memory),
		TEST(a_page_without_its_blocks_makes_the_counts_unknown), TEST(the_check_finds_a_wrong_count),
		TEST(added_is_what_differs_from_the_parent), TEST(several_roots_are_accounted_as_one),
		TEST(a_page_put_while_all_are_counted_is_counted_once),
		TEST(freeing_and_counting_beside_puts) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
