/* Garbage collection: frees exactly what nothing reaches, beside sessions, readers and crashes. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "scratch.h"
#include "base/text.h"
#include "store/page.h"
#include "store/tree.h"

struct roots {
	struct digest list[8];
	unsigned count, next;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct roots *roots = context;
	(void)err;
	if (roots->next == roots->count)
		return 0;
	*root = roots->list[roots->next++];
	return 1;
}

static int no_roots_to_be_had(void *context, struct digest *root, struct error *err)
{
	(void)context;
	(void)root;
	return error_set(err, ERROR_UNAVAILABLE, "no metadata");
}

static struct store_collect_result collect(struct store *store, struct roots *roots)
{
	struct error err;
	struct store_collect_result result;
	roots->next = 0;
	ASSERT_OK(store_collect(store, next_root, roots, &result, &err));
	return result;
}

/* A tree over `count` blocks made from seed, seed + 1, ... */
static struct digest put_tree(struct store_session *session, uint64_t seed, unsigned count)
{
	static _Thread_local uint8_t block[STORE_BLOCK_SIZE];
	struct error err;
	struct tree_builder *builder;
	struct digest digest, root;
	ASSERT_OK(tree_builder_create(session, NULL, 1ULL << 27, &builder, &err));
	for (unsigned i = 0; i < count; i++) {
		scratch_fill(block, sizeof block, seed + i);
		digest_sha256(block, sizeof block, &digest);
		ASSERT_OK(store_put(session, STORE_BLOCK, &digest, block, sizeof block, NULL, &err));
		ASSERT_OK(tree_builder_set(builder, i * 10, &digest, &err));
	}
	ASSERT_OK(tree_builder_finish(builder, &root, NULL, &err));
	tree_builder_destroy(builder);
	return root;
}

static void expect_tree(struct store *store, const struct digest *root, unsigned count)
{
	static uint8_t data[STORE_BLOCK_SIZE];
	struct error err;
	struct tree *tree;
	struct digest digest;
	bool found;
	unsigned seen = 0;
	size_t size;
	ASSERT_OK(tree_open(store, root, &tree, &err));
	for (uint64_t index = 0;; index++) {
		ASSERT_OK(tree_next(tree, &index, &digest, &found, &err));
		if (!found)
			break;
		ASSERT_OK(store_get(store, &digest, data, &size, &err));
		seen++;
	}
	assert_int_equal(seen, count);
	tree_close(tree);
}

static uint64_t allocated(const char *folder)
{
	char path[1024];
	uint64_t sum = 0;
	snprintf(path, sizeof path, "%s/packs", folder);
	DIR *packs = opendir(path);
	for (struct dirent *entry; (entry = readdir(packs));) {
		struct stat status;
		if (!fstatat(dirfd(packs), entry->d_name, &status, 0) && S_ISREG(status.st_mode))
			sum += (uint64_t)status.st_blocks * 512;
	}
	closedir(packs);
	return sum;
}

static void frees_exactly_what_nothing_reaches(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	uint64_t faults;
	struct store_collect_result result;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	struct roots roots = { .list = { put_tree(session, 1, 10), put_tree(session, 6, 10) }, .count = 2 };
	store_session_close(session);
	result = collect(store, &roots);
	assert_int_equal(result.objects_freed, 0);
	assert_int_equal(result.objects_kept, 15 + 2 * 3);
	roots.list[0] = roots.list[1];
	roots.count = 1;
	result = collect(store, &roots);
	assert_int_equal(result.objects_freed, 5 + 3);
	assert_int_equal(result.objects_kept, 10 + 3);
	expect_tree(store, &roots.list[0], 10);
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	store_close(store);
	uint64_t used = allocated(*state);
	assert_true(used >= 10 * STORE_BLOCK_SIZE && used < 10 * (STORE_BLOCK_SIZE + 4096) + 256 * 1024);
	ASSERT_OK(store_open(*state, &store, &err));
	expect_tree(store, &roots.list[0], 10);
	store_close(store);
}

static void an_open_session_keeps_what_it_put_or_found(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *first, *second;
	struct roots none = { 0 };
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &first, &err));
	struct digest root = put_tree(first, 1, 3);
	assert_int_equal(collect(store, &none).objects_freed, 0);
	assert_int_equal(collect(store, &none).objects_freed, 0);
	/* what the second finds present stays, although the first, which put it, is gone */
	ASSERT_OK(store_session_open(store, &second, &err));
	put_tree(second, 1, 3);
	store_session_close(first);
	assert_int_equal(collect(store, &none).objects_freed, 0);
	expect_tree(store, &root, 3);
	/* and so does all that lies below a base the session builds upon */
	struct tree *tree;
	struct tree_builder *builder;
	ASSERT_OK(tree_open(store, &root, &tree, &err));
	store_session_close(second);
	ASSERT_OK(store_session_open(store, &first, &err));
	ASSERT_OK(tree_builder_create(first, tree, 1ULL << 27, &builder, &err));
	assert_int_equal(collect(store, &none).objects_freed, 0);
	tree_builder_destroy(builder);
	tree_close(tree);
	store_session_close(first);
	assert_int_equal(collect(store, &none).objects_freed, 3 + 3);
	store_close(store);
}

static void what_a_session_keeps_by_name_stays(void **state)
{
	static uint8_t data[STORE_BLOCK_SIZE];
	struct error err;
	struct store *store;
	struct store_session *putting, *keeping;
	struct digest kept, unknown = { { 1 } };
	struct roots none = { 0 };
	bool present;
	size_t size;
	scratch_fill(data, sizeof data, 1);
	digest_sha256(data, sizeof data, &kept);
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &putting, &err));
	put_tree(putting, 1, 2);
	ASSERT_OK(store_session_open(store, &keeping, &err));
	ASSERT_OK(store_keep(keeping, &kept, &present, &err));
	assert_true(present);
	ASSERT_OK(store_keep(keeping, &unknown, &present, &err));
	assert_false(present);
	store_session_close(putting);
	collect(store, &none);
	ASSERT_OK(store_get(store, &kept, data, &size, &err));
	store_session_close(keeping);
	collect(store, &none);
	assert_int_equal(store_get(store, &kept, data, &size, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	store_close(store);
}

static void a_missing_root_or_failing_list_frees_nothing(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	struct digest root = put_tree(session, 1, 3);
	store_session_close(session);
	struct roots roots = { .count = 1 };
	digest_sha256("elsewhere", 9, &roots.list[0]);
	ASSERT_FAILS(store_collect(store, next_root, &roots, NULL, &err), ERROR_CORRUPT);
	ASSERT_FAILS(store_collect(store, no_roots_to_be_had, NULL, NULL, &err), ERROR_UNAVAILABLE);
	expect_tree(store, &root, 3);
	store_close(store);
}

struct putter {
	struct store *store;
	_Atomic int stop;
	unsigned rounds;
};

/* Puts the same few trees again and again, so that what it finds is what is being swept. */
static void *put_trees(void *context)
{
	struct putter *putter = context;
	struct error err;
	while (!atomic_load(&putter->stop) || putter->rounds < 20) {
		struct store_session *session;
		ASSERT_OK(store_session_open(putter->store, &session, &err));
		struct digest root = put_tree(session, putter->rounds % 3, 4);
		struct tree *tree;
		ASSERT_OK(tree_open(putter->store, &root, &tree, &err));
		for (uint64_t i = 0; i < 4; i++) {
			static _Thread_local uint8_t data[STORE_BLOCK_SIZE];
			struct digest digest;
			size_t size;
			ASSERT_OK(tree_lookup(tree, i * 10, &digest, &err));
			ASSERT_OK(store_get(putter->store, &digest, data, &size, &err));
		}
		tree_close(tree);
		store_session_close(session);
		putter->rounds++;
	}
	return NULL;
}

static void collecting_beside_puts(void **state)
{
	struct error err;
	struct store *store;
	uint64_t faults;
	struct roots none = { 0 };
	pthread_t thread;
	ASSERT_OK(store_open(*state, &store, &err));
	struct putter putter = { .store = store };
	assert_int_equal(pthread_create(&thread, NULL, put_trees, &putter), 0);
	for (int i = 0; i < 30; i++)
		collect(store, &none);
	atomic_store(&putter.stop, 1);
	pthread_join(thread, NULL);
	collect(store, &none);
	struct store_usage usage;
	store_get_usage(store, &usage);
	assert_int_equal(usage.objects, 0);
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	store_close(store);
}

static void note_report(void *context, const char *line)
{
	snprintf(context, 256, "%s", line);
}

static uint64_t check_roots(struct store *store, struct roots *roots, char report[static 256])
{
	struct error err;
	uint64_t faults;
	roots->next = 0;
	report[0] = '\0';
	ASSERT_OK(store_check_roots(store, next_root, roots, note_report, report, &faults, &err));
	return faults;
}

/* Roots that share pages are each counted whole; one that says another number than its tree has is named. */
static void a_root_that_counts_wrongly_is_named(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	struct root root;
	char report[256], hex[2 * DIGEST_SIZE + 1];
	uint8_t bytes[ROOT_SIZE];
	size_t size;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	struct roots roots = { .list = { put_tree(session, 1, 10), put_tree(session, 1, 11) }, .count = 2 };
	assert_int_equal(check_roots(store, &roots, report), 0);
	ASSERT_OK(store_get(store, &roots.list[1], bytes, &size, &err));
	assert_int_equal(root_decode(bytes, size, &root), 0);
	assert_int_equal(root.blocks, 11);
	root.blocks = 12;
	root_encode(&root, bytes);
	digest_sha256(bytes, sizeof bytes, &roots.list[2]);
	ASSERT_OK(store_put(session, STORE_ROOT, &roots.list[2], bytes, sizeof bytes, NULL, &err));
	roots.count = 3;
	assert_int_equal(check_roots(store, &roots, report), 1);
	assert_non_null(strstr(report, text_hex(&roots.list[2], DIGEST_SIZE, hex)));
	store_session_close(session);
	store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(frees_exactly_what_nothing_reaches),
		TEST(an_open_session_keeps_what_it_put_or_found), TEST(what_a_session_keeps_by_name_stays),
		TEST(a_missing_root_or_failing_list_frees_nothing), TEST(a_root_that_counts_wrongly_is_named),
		TEST(collecting_beside_puts) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
