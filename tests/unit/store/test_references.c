/*
 * Reference counts: counted deletion frees exactly what a model says nothing reaches, and accounting says so before; counts survive a clean close, and nothing else.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "model.h"
#include "store/account.h"
#include "store/page.h"
#include "store/tree.h"

static void freed_and_accounted_as_the_model_says(void **state)
{
	struct model model;
	model_prepare(&model, *state, 42);
	for (unsigned step = 0; step < 250; step++) {
		uint64_t what = model_random_below(&model, 20);
		if (what < 9)
			model_publish_one(&model);
		else if (what < 16)
			model_unpublish_one(&model);
		else if (what < 18)
			model_give_up_one(&model);
		else if (what == 18) {
			/* what is retired and what is loose is known again afterwards */
			store_close(model.store);
			model_open_store(&model);
			assert_int_equal(references_state(model.store->references), REFERENCES_EXACT);
		} else {
			model_collect(&model);
			model_expect_exact(&model);
		}
		if (step % 50 == 49) {
			model_free_retired(&model);
			model_expect_exact(&model);
			model_expect_no_faults(&model);
		}
	}
	store_close(model.store);
}

static void what_a_session_holds_stays_until_its_end(void **state)
{
	struct error err;
	struct model model;
	struct store_session *first, *second;
	model_prepare(&model, *state, 1);
	struct model_tree *tree = &model.trees[0];
	*tree = (struct model_tree){ .size = 110ULL << 20, .blocks = { 1, 2, 3, 4, 5, 6 } };
	ASSERT_OK(store_session_open(model.store, &first, &err));
	model_put_tree(&model, first, tree, NULL);
	store_retire(model.store, &tree->root);
	assert_int_equal(model_free_retired(&model).objects_freed, 0);
	/* found by the second, which is what keeps it now */
	ASSERT_OK(store_session_open(model.store, &second, &err));
	struct model_tree same = *tree, derived = *tree;
	model_put_tree(&model, second, &same, NULL);
	store_session_close(first);
	assert_int_equal(model_free_retired(&model).objects_freed, 0);
	store_session_close(second);
	/* a base protects what is shared with it */
	ASSERT_OK(store_session_open(model.store, &first, &err));
	derived.blocks[0] = 7;
	model_put_tree(&model, first, &derived, tree);
	assert_int_equal(model_free_retired(&model).objects_freed, 0);
	model.trees[1] = derived;
	model.trees[1].published = true;
	store_session_close(first);
	model_free_retired(&model);
	model_expect_exact(&model);
	/* a block that a session found while its last tree went: loose, and gone with the session */
	static uint8_t block[STORE_BLOCK_SIZE];
	ASSERT_OK(store_session_open(model.store, &first, &err));
	model_fill_block(block, 7);
	ASSERT_OK(store_put(first, STORE_BLOCK, &model.pool[7], block, sizeof block, NULL, &err));
	model.trees[1].published = false;
	store_retire(model.store, &derived.root);
	model_free_retired(&model);
	struct store_usage usage;
	store_get_usage(model.store, &usage);
	assert_int_equal(usage.objects, 1);
	store_session_close(first);
	model_free_retired(&model);
	model_expect_exact(&model);
	store_close(model.store);
}

/* A session that ends, and a listener that counts what it is told. */
struct ending {
	struct model *model;
	struct store_session *session;
	unsigned told;
};

static void note_told(void *context)
{
	((struct ending *)context)->told++;
}

static int end_session(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err)
{
	struct ending *ending = context;
	store_session_close(ending->session);
	ending->session = NULL;
	ending->told = 0;
	return model_find_published(ending->model, roots, count, published, err);
}

static int end_session_instead_of_roots(void *context, struct digest *root, struct error *err)
{
	return end_session(context, root, 0, NULL, err);
}

static void put_of_pool(struct model *model, struct store_session *session, unsigned number)
{
	static uint8_t block[STORE_BLOCK_SIZE];
	struct error err;
	model_fill_block(block, number);
	ASSERT_OK(store_put(session, STORE_BLOCK, &model->pool[number], block, sizeof block, NULL, &err));
}

/* What the session protected when freeing began, and protects no more when it is looked at: the listener hears of it after the freeing, and nothing stays. */
static void a_session_that_ends_while_it_frees_leaves_nothing(void **state)
{
	enum { PUTS_A_BLOCK, FINDS_A_BLOCK, PUTS_A_TREE, HOWS };
	struct error err;
	struct model model;
	model_prepare(&model, *state, 1);
	for (unsigned how = 0; how < 2 * HOWS; how++) {
		struct ending ending = { .model = &model };
		struct store_session *session;
		struct model_tree tree = { .size = 110ULL << 20, .blocks = { 1, 2, 3 } }, other = tree;
		ASSERT_OK(store_session_open(model.store, &session, &err));
		model_put_tree(&model, session, &tree, NULL);
		store_session_close(session);
		ASSERT_OK(store_session_open(model.store, &ending.session, &err));
		other.blocks[0] = 4;
		if (how % HOWS == PUTS_A_TREE)
			model_put_tree(&model, ending.session, &other, NULL);
		else
			put_of_pool(&model, ending.session, how % HOWS == PUTS_A_BLOCK ? 9 : 2);
		store_set_listener(model.store, note_told, &ending);
		if (how < HOWS)
			ASSERT_OK(store_free_retired(model.store, end_session, &ending, NULL, &err));
		else
			ASSERT_OK(store_collect(
				model.store, end_session_instead_of_roots, &ending, NULL, &err));
		assert_null(ending.session);
		while (ending.told) {
			ending.told = 0;
			model_free_retired(&model);
		}
		model_expect_exact(&model);
	}
	store_close(model.store);
}

/* While a session is open, nothing that younger ones leave can be freed, so nobody is told of it. */
static void only_the_end_of_the_oldest_session_is_told(void **state)
{
	struct error err;
	struct model model;
	struct store_usage usage;
	model_prepare(&model, *state, 1);
	struct ending ending = { .model = &model };
	struct store_session *oldest, *same, *younger;
	ASSERT_OK(store_session_open(model.store, &oldest, &err));
	put_of_pool(&model, oldest, 1);
	ASSERT_OK(store_session_open(model.store, &same, &err));
	put_of_pool(&model, same, 2);
	model_free_retired(&model);
	ASSERT_OK(store_session_open(model.store, &younger, &err));
	put_of_pool(&model, younger, 3);
	store_set_listener(model.store, note_told, &ending);
	store_session_close(younger);
	store_session_close(oldest);
	assert_int_equal(ending.told, 0);
	assert_int_equal(model_free_retired(&model).objects_freed, 0);
	store_session_close(same);
	assert_int_equal(ending.told, 1);
	assert_int_equal(model_free_retired(&model).objects_freed, 3);
	store_get_usage(model.store, &usage);
	assert_int_equal(usage.objects, 0);
	store_close(model.store);
}

static void an_unclean_end_forgets_the_counts(void **state)
{
	struct error err;
	struct model model;
	uint64_t bytes;
	model_prepare(&model, *state, 7);
	for (unsigned i = 0; i < 60; i++)
		model_publish_one(&model);
	store_close(model.store);
	/* the child ends without closing; once it has changed something, once it has not */
	for (unsigned change = 0; change < 2; change++) {
		pid_t child = fork();
		if (!child) {
			model_open_store(&model);
			model.trees[0].published = model.trees[1].published = false;
			if (change)
				model_publish_one(&model);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		model_open_store(&model);
		assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
		ASSERT_FAILS(store_free_retired(model.store, model_find_published, &model, NULL, &err),
			ERROR_UNAVAILABLE);
		ASSERT_FAILS(store_account_alone(model.store, &model.trees[0].root, 1, &bytes, &err),
			ERROR_UNAVAILABLE);
		model_collect(&model);
		model_expect_exact(&model);
		model_expect_no_faults(&model);
		for (unsigned i = 0; i < 5; i++)
			model_unpublish_one(&model);
		store_close(model.store);
	}
}

/* At any moment of freeing: what is published is there, and a collection makes the rest right. */
static void a_kill_while_freeing_loses_nothing(void **state)
{
	struct model model;
	uint64_t seed = 77;
	model_prepare(&model, *state, 21);
	for (unsigned round = 0; round < 6; round++) {
		int begun[2];
		char byte;
		for (unsigned i = 0; i < 60; i++)
			model_publish_one(&model);
		store_close(model.store);
		assert_int_equal(pipe(begun), 0);
		pid_t child = fork();
		if (!child) {
			model_open_store(&model);
			ssize_t written = write(begun[1], "x", 1);
			for (unsigned i = TREES / 2; written == 1 && i < TREES; i++) {
				model.trees[i].published = false;
				store_retire(model.store, &model.trees[i].root);
				model_free_retired(&model);
			}
			pause();
		}
		close(begun[1]);
		assert_int_equal(read(begun[0], &byte, 1), 1);
		close(begun[0]);
		usleep((useconds_t)(scratch_random(&seed) % 20000)); /* the moment of the kill */
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		for (unsigned i = TREES / 2; i < TREES; i++)
			model.trees[i].published = false;
		model_open_store(&model);
		model_expect_no_faults(&model);
		model_collect(&model);
		model_expect_exact(&model);
		model_expect_no_faults(&model);
	}
	store_close(model.store);
}

static void counts_that_do_not_belong_to_the_index_are_not_believed(void **state)
{
	struct error err;
	struct model model;
	char path[512];
	model_prepare(&model, *state, 3);
	for (unsigned i = 0; i < 20; i++)
		model_publish_one(&model);
	store_close(model.store);
	/* made again from the packs */
	assert_int_equal(unlink(scratch_path(state, "index", path)), 0);
	model_open_store(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	model_collect(&model);
	store_close(model.store);
	/* cut short */
	assert_int_equal(truncate(scratch_path(state, "references", path), 5000), 0);
	model_open_store(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	ASSERT_FAILS(
		store_free_retired(model.store, model_find_published, &model, NULL, &err), ERROR_UNAVAILABLE);
	model_collect(&model);
	model_expect_no_faults(&model);
	store_close(model.store);
}

static void without_a_file_they_are_kept_in_memory(void **state)
{
	struct model model;
	char path[512];
	assert_int_equal(mkdir(scratch_path(state, "references", path), 0700), 0);
	model_prepare(&model, *state, 11);
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
		model_publish_one(&model);
	model_free_retired(&model);
	model_expect_exact(&model);
	for (unsigned i = 0; i < 5; i++)
		model_unpublish_one(&model);
	model_expect_no_faults(&model);
	store_close(model.store);
	model_open_store(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	model_collect(&model);
	model_expect_exact(&model);
	model_expect_no_faults(&model);
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
	model_prepare(&model, *state, 1);
	page.level = 1;
	page.ids[3] = model.pool[1];
	size_t size = page_encode(&page, bytes);
	digest_sha256(bytes, size, &digest);
	ASSERT_OK(store_session_open(model.store, &session, &err));
	ASSERT_OK(store_put(session, STORE_PAGE, &digest, bytes, size, NULL, &err));
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	model_collect(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_UNKNOWN);
	store_session_close(session);
	model_collect(&model);
	assert_int_equal(references_state(model.store->references), REFERENCES_EXACT);
	model_expect_exact(&model);
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
	model_prepare(&model, *state, 5);
	for (unsigned i = 0; i < 20; i++)
		model_publish_one(&model);
	struct digest_list list = { 0 };
	for (unsigned i = 0; i < TREES; i++)
		if (model.trees[i].published)
			model_reach(&model, &model.trees[i].root, &list);
	assert_true(index_find_slot(model.store->index, &list.items[list.count - 1], &slot));
	references_add(model.store->references, slot);
	ASSERT_OK(store_check(model.store, count_line, &lines, &faults, &err));
	assert_int_equal(faults, 1);
	assert_int_equal(lines, 1);
	model_collect(&model);
	model_expect_no_faults(&model);
	free(list.items);
	store_close(model.store);
}

static void a_page_put_while_all_are_counted_is_counted_once(void **state)
{
	struct model model;
	model_prepare(&model, *state, 13);
	for (unsigned i = 0; i < 10; i++)
		model_publish_one(&model);
	pthread_mutex_lock(&model.store->maintenance);
	store_begin_counting(model.store);
	for (unsigned i = 0; i < 10; i++)
		model_publish_one(&model);
	store_end_counting(model.store);
	pthread_mutex_unlock(&model.store->maintenance);
	model_expect_no_faults(&model);
	for (unsigned i = 0; i < 10; i++)
		model_unpublish_one(&model);
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
		struct model_tree tree = { .size = 110ULL << 20 };
		for (unsigned i = 0; i < TREE_BLOCKS; i++)
			tree.blocks[i] = (uint8_t)(1 + (round + i * putter->number) % 4);
		ASSERT_OK(store_session_open(model->store, &session, &err));
		model_put_tree(model, session, &tree, NULL);
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
			ASSERT_OK(tree_lookup(opened, model_position(i), &block, &err));
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
	int result = model_find_published(locked->model, roots, count, published, err);
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
	model_prepare(&model, *state, 1);
	for (unsigned i = 0; i < 2; i++) {
		putters[i] = (struct putter){ .model = &model, .number = i, .stop = &stop, .lock = &lock };
		assert_int_equal(pthread_create(&threads[i], NULL, publish_and_retire, &putters[i]), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		ASSERT_OK(store_free_retired(model.store, find_published_locked, &locked, NULL, &err));
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
	model_free_retired(&model);
	model_expect_exact(&model);
	model_expect_no_faults(&model);
	store_close(model.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(freed_and_accounted_as_the_model_says),
		TEST(what_a_session_holds_stays_until_its_end), TEST(an_unclean_end_forgets_the_counts),
		TEST(a_session_that_ends_while_it_frees_leaves_nothing),
		TEST(only_the_end_of_the_oldest_session_is_told), TEST(an_unclean_end_forgets_the_counts),
		TEST(a_kill_while_freeing_loses_nothing),
		TEST(counts_that_do_not_belong_to_the_index_are_not_believed),
		TEST(without_a_file_they_are_kept_in_memory),
		TEST(a_page_without_its_blocks_makes_the_counts_unknown), TEST(the_check_finds_a_wrong_count),

		TEST(a_page_put_while_all_are_counted_is_counted_once),
		TEST(freeing_and_counting_beside_puts) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
