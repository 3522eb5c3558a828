/* Trees: canonical roots, lookups, differences, growth and cuts, against a plain array of ids. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"
#include "store/checksum.h"
#include "store/format.h"
#include "store/page.h"
#include "store/tree.h"
#include "store/tree_digest.h"
#include "store/wire.h"

static struct store *store;
static struct store_session *session;

static int open_store(void **state)
{
	struct error err;
	return scratch_create(state) || store_open(*state, &store, &err) ||
		store_session_open(store, &session, &err);
}

static int close_store(void **state)
{
	store_session_close(session);
	store_close(store);
	return scratch_remove(state);
}

/* An id for a made-up block; trees do not look at the blocks themselves. */
static struct digest id_of(uint64_t value)
{
	struct digest digest = { 0 };
	if (value)
		digest_sha256(&value, sizeof value, &digest);
	return digest;
}

static struct digest build(struct tree *base, uint64_t size, const uint64_t *pairs, size_t count)
{
	struct error err;
	struct tree_builder *builder;
	struct digest root;
	ASSERT_OK(tree_builder_create(session, base, size, &builder, &err));
	for (size_t i = 0; i < count; i++) {
		struct digest id = id_of(pairs[2 * i + 1]);
		ASSERT_OK(tree_builder_set(builder, pairs[2 * i], &id, &err));
	}
	ASSERT_OK(tree_builder_finish(builder, &root, NULL, &err));
	tree_builder_destroy(builder);
	return root;
}

static struct tree *open_tree(struct digest root)
{
	struct error err;
	struct tree *tree;
	ASSERT_OK(tree_open(store, &root, &tree, &err));
	return tree;
}

static const uint64_t MIB = 1 << 20, TIB = 1ULL << 40;

static void same_content_same_root(void **state)
{
	(void)state;
	const uint64_t ascending[] = { 0, 1, 5, 2, 2000, 3 }, shuffled[] = { 2000, 9, 5, 2, 2000, 3, 0, 1 };
	struct digest a = build(NULL, 4096 * MIB, ascending, 3), b = build(NULL, 4096 * MIB, shuffled, 4);
	assert_memory_equal(&a, &b, sizeof a);
	struct digest other_size = build(NULL, 4097 * MIB, ascending, 3);
	assert_memory_not_equal(&a, &other_size, sizeof a);
	/* there and back again */
	struct tree *tree = open_tree(a);
	const uint64_t more[] = { 3000, 7 }, less[] = { 3000, 0 };
	struct digest bigger = build(tree, 4096 * MIB, more, 1);
	struct tree *tree_bigger = open_tree(bigger);
	struct digest back = build(tree_bigger, 4096 * MIB, less, 1);
	assert_memory_equal(&a, &back, sizeof a);
	struct digest unchanged = build(tree, 4096 * MIB, NULL, 0);
	assert_memory_equal(&a, &unchanged, sizeof a);
	tree_close(tree);
	tree_close(tree_bigger);
}

static void growing_and_cutting_are_canonical(void **state)
{
	(void)state;
	enum { PAIRS = 11 };
	const uint64_t sizes[] = { MIB, 64 * MIB, 65 * MIB, 1024 * MIB + 512, 8192 * MIB, TIB, 2 * TIB,
		128 * TIB, 129 * TIB };
	const uint64_t pairs[2 * PAIRS] = { 0, 1, 1, 2, 127, 3, 128, 4, 129, 5, 2048, 6, 16383, 7, 16384, 8,
		2097152, 9, 100000000, 10, 268435456, 11 };
	enum { SIZES = sizeof sizes / sizeof *sizes };
	for (size_t i = 0; i < SIZES; i++) {
		uint64_t blocks_i = (sizes[i] + 524287) / 524288;
		size_t count_i = 0;
		while (count_i < PAIRS && pairs[2 * count_i] < blocks_i)
			count_i++;
		struct digest direct_i = build(NULL, sizes[i], pairs, count_i);
		struct tree *tree = open_tree(direct_i);
		for (size_t j = 0; j < SIZES; j++) {
			uint64_t blocks_j = (sizes[j] + 524287) / 524288;
			size_t count = 0;
			if (sizes[j] % 524288 && sizes[j] < sizes[i])
				continue; /* would read a made-up block */
			while (count < count_i && pairs[2 * count] < blocks_j)
				count++;
			struct digest direct = build(NULL, sizes[j], pairs, count),
				      resized = build(tree, sizes[j], NULL, 0);
			assert_memory_equal(&direct, &resized, sizeof direct);
		}
		tree_close(tree);
	}
}

static void cutting_within_a_block_drops_its_tail(void **state)
{
	(void)state;
	struct error err;
	static uint8_t data[STORE_BLOCK_SIZE], read_back[STORE_BLOCK_SIZE];
	struct tree_builder *builder;
	struct digest digest, root;
	size_t size;
	memset(data, 0xaa, sizeof data);
	digest_sha256(data, sizeof data, &digest);
	ASSERT_OK(store_put(session, STORE_BLOCK, &digest, data, sizeof data, NULL, &err));
	ASSERT_OK(tree_builder_create(session, NULL, 2 * MIB, &builder, &err));
	ASSERT_OK(tree_builder_set(builder, 2, &digest, &err));
	ASSERT_OK(tree_builder_finish(builder, &root, NULL, &err));
	tree_builder_destroy(builder);
	struct tree *tree = open_tree(root);
	root = build(tree, MIB + 512, NULL, 0);
	tree_close(tree);
	tree = open_tree(root);
	ASSERT_OK(tree_lookup(tree, 2, &digest, &err));
	ASSERT_OK(store_get(store, &digest, read_back, &size, &err));
	memset(data + 512, 0, sizeof data - 512);
	assert_memory_equal(data, read_back, sizeof data);
	tree_close(tree);
}

static void differences_and_walks_match_an_array(void **state)
{
	(void)state;
	struct error err;
	enum { BLOCKS = 5000, CHANGES = 300 };
	static uint64_t content[2][BLOCKS], pairs[2 * CHANGES];
	uint64_t seed = 42;
	struct tree *trees[2];
	for (int i = 0; i < CHANGES; i++) {
		pairs[2 * i] = scratch_random(&seed) % BLOCKS;
		pairs[2 * i + 1] = scratch_random(&seed) % 4;
		content[0][pairs[2 * i]] = pairs[2 * i + 1];
	}
	trees[0] = open_tree(build(NULL, BLOCKS * 524288ULL, pairs, CHANGES));
	memcpy(content[1], content[0], sizeof content[0]);
	for (int i = 0; i < CHANGES; i++) {
		pairs[2 * i] = scratch_random(&seed) % 800 + 2000;
		pairs[2 * i + 1] = scratch_random(&seed) % 4;
		content[1][pairs[2 * i]] = pairs[2 * i + 1];
	}
	trees[1] = open_tree(build(trees[0], BLOCKS * 524288ULL, pairs, CHANGES));
	bool found;
	uint64_t expected = 0;
	struct digest a, b;
	for (uint64_t index = 0;; index++) {
		ASSERT_OK(tree_next_difference(trees[0], trees[1], &index, &a, &b, &found, &err));
		while (expected < BLOCKS && content[0][expected] == content[1][expected])
			expected++;
		assert_int_equal(found, expected < BLOCKS);
		if (!found)
			break;
		assert_int_equal(index, expected++);
		struct digest id_a = id_of(content[0][index]), id_b = id_of(content[1][index]);
		assert_memory_equal(&a, &id_a, sizeof a);
		assert_memory_equal(&b, &id_b, sizeof b);
	}
	expected = 0;
	for (uint64_t index = 0;; index++) {
		ASSERT_OK(tree_next(trees[1], &index, &a, &found, &err));
		while (expected < BLOCKS && !content[1][expected])
			expected++;
		assert_int_equal(found, expected < BLOCKS);
		if (!found)
			break;
		assert_int_equal(index, expected++);
		ASSERT_OK(tree_lookup(trees[1], index, &b, &err));
		assert_memory_equal(&a, &b, sizeof a);
	}
	ASSERT_FAILS(tree_lookup(trees[1], BLOCKS, &a, &err), ERROR_INVALID);
	tree_close(trees[0]);
	tree_close(trees[1]);
}

static void trees_of_different_heights_compare(void **state)
{
	(void)state;
	struct error err;
	const uint64_t pairs[] = { 3, 1, 1023, 2, 70000, 3 };
	struct tree *small = open_tree(build(NULL, 512 * MIB, pairs, 2)),
		    *big = open_tree(build(NULL, 64 * TIB, pairs, 3));
	uint64_t index = 0;
	bool found;
	struct digest a, b;
	ASSERT_OK(tree_next_difference(small, big, &index, &a, &b, &found, &err));
	assert_true(found);
	assert_int_equal(index, 70000);
	index++;
	ASSERT_OK(tree_next_difference(small, big, &index, &a, &b, &found, &err));
	assert_false(found);
	index = 0;
	struct tree *empty = open_tree(build(NULL, 64 * TIB, NULL, 0));
	ASSERT_OK(tree_next(empty, &index, &a, &found, &err));
	assert_false(found);
	tree_close(small);
	tree_close(big);
	tree_close(empty);
}

static void what_is_no_root_is_refused(void **state)
{
	(void)state;
	struct error err;
	struct tree *tree;
	struct digest digest;
	digest_sha256("nonsense", 8, &digest);
	ASSERT_FAILS(tree_open(store, &digest, &tree, &err), ERROR_NOT_FOUND);
	ASSERT_OK(store_put(session, STORE_BLOCK, &digest, "nonsense", 8, NULL, &err));
	ASSERT_FAILS(tree_open(store, &digest, &tree, &err), ERROR_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

static void a_root_is_known_without_a_store(void **state)
{
	(void)state;
	const uint64_t sizes[] = { MIB, 64 * MIB, 1024 * MIB + 512, 3 * TIB };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint64_t pairs[400], limit = (sizes[i] + 512 * 1024 - 1) / (512 * 1024), at = i;
		size_t count = 0;
		struct tree_digest *tree = tree_digest_create(sizes[i]);
		struct digest root;
		for (; count < 200 && at < limit; at += 1 + at / 7, count++) {
			struct digest id = id_of(at + 1);
			pairs[2 * count] = at;
			pairs[2 * count + 1] = at + 1;
			tree_digest_add(tree, at, &id);
		}
		tree_digest_end(tree, &root);
		tree_digest_destroy(tree);
		struct digest stored = build(NULL, sizes[i], pairs, count);
		assert_memory_equal(&root, &stored, sizeof root);
	}
	tree_digest_destroy(NULL);
}

/* Flips a bit of the id where it stands in the only pack of pages, in a page of that id alone; `hidden`: and makes the page's checksum right again. */
static void damage_id(const char *folder, struct digest id, bool hidden)
{
	char path[512];
	uint8_t pack[64 * 1024];
	snprintf(path, sizeof path, "%s/packs/0000000001.pack", folder);
	int fd = open(path, O_RDWR);
	ssize_t size = pread(fd, pack, sizeof pack, 0);
	assert_true(size > 0);
	uint8_t *at = memmem(pack, (size_t)size, id.bytes, sizeof id);
	assert_non_null(at);
	*at ^= 1;
	assert_int_equal(pwrite(fd, at, 1, at - pack), 1);
	uint8_t *payload = at - PAGE_HEADER_SIZE - PAGE_BITMAP_SIZE, *header = payload - OBJECT_HEADER_SIZE;
	if (hidden) {
		wire_put(header + 56, 4, checksum_crc32c(0, payload, (size_t)(at + sizeof id - payload)));
		assert_int_equal(pwrite(fd, header, OBJECT_HEADER_SIZE, header - pack), OBJECT_HEADER_SIZE);
	}
	close(fd);
}

static int compare(struct tree *a, struct tree *b, struct digest *block_b, struct error *err)
{
	uint64_t index = 0;
	struct digest block_a;
	bool found;
	return tree_next_difference(a, b, &index, &block_a, block_b, &found, err);
}

/* What has the right checksum and the wrong digest does not happen; but if it does, it goes no further than a list of differences. */
static void pages_that_were_not_hashed_serve_comparisons_only(void **state)
{
	struct error err;
	struct digest found, wanted = id_of(77);
	const uint64_t pair_a[] = { 5, 78 }, pair_b[] = { 5, 77 };
	struct tree *a = open_tree(build(NULL, 64 * MIB, pair_a, 1)),
		    *b = open_tree(build(NULL, 64 * MIB, pair_b, 1));
	damage_id(*state, wanted, true);
	ASSERT_OK(compare(a, b, &found, &err));
	assert_memory_not_equal(&found, &wanted, sizeof found);
	ASSERT_FAILS(tree_lookup(b, 5, &found, &err), ERROR_CORRUPT);
	tree_close(b);
	tree_close(a);
}

static void a_damaged_page_is_found_by_a_comparison(void **state)
{
	struct error err;
	struct digest found;
	const uint64_t pair_a[] = { 5, 78 }, pair_b[] = { 5, 77 };
	struct tree *a = open_tree(build(NULL, 4096 * MIB, pair_a, 1));
	struct digest root_b = build(NULL, 4096 * MIB, pair_b, 1);
	struct tree *before = open_tree(root_b), *after = open_tree(root_b);
	ASSERT_OK(compare(a, before, &found, &err));
	damage_id(*state, id_of(77), false);
	ASSERT_FAILS(compare(a, after, &found, &err), ERROR_CORRUPT);
	tree_close(before);
	tree_close(after);
	tree_close(a);
}

/* Trees of all heights, compared with each other and walked, against what was put into them. */
static void differences_do_not_depend_on_heights(void **state)
{
	(void)state;
	enum { TREES = 6, MOST = 60 };
	const uint64_t sizes[TREES] = { 64 * MIB, 8192 * MIB, TIB, TIB, 128 * TIB, 128 * TIB };
	uint64_t pairs[TREES][2 * MOST], seed = 7;
	size_t counts[TREES] = { 0 };
	struct tree *trees[TREES];
	struct error err;
	for (int i = 0; i < TREES; i++) {
		/* near the beginning, where all have blocks, and now and then far from it; ascending */
		for (uint64_t at = scratch_random(&seed) % 3;
			at < sizes[i] / STORE_BLOCK_SIZE && counts[i] < MOST;
			at += 1 + scratch_random(&seed) % 40 + (counts[i] > 20 ? at / 3 : 0)) {
			pairs[i][2 * counts[i]] = at;
			pairs[i][2 * counts[i]++ + 1] = 1 + scratch_random(&seed) % 2;
		}
		trees[i] = open_tree(build(NULL, sizes[i], pairs[i], counts[i]));
	}
	for (int i = 0; i < TREES; i++)
		for (int j = 0; j < TREES; j++) {
			size_t a = 0, b = 0;
			bool found = true;
			struct digest id_a, id_b;
			for (uint64_t index = 0; found; index++) {
				uint64_t at_a, at_b, value_a, value_b;
				do { /* the next that differs */
					at_a = a < counts[i] ? pairs[i][2 * a] : UINT64_MAX;
					at_b = b < counts[j] ? pairs[j][2 * b] : UINT64_MAX;
					value_a = at_a <= at_b && at_a != UINT64_MAX ? pairs[i][2 * a++ + 1]
										     : 0;
					value_b = at_b <= at_a && at_b != UINT64_MAX ? pairs[j][2 * b++ + 1]
										     : 0;
				} while (value_a == value_b && (value_a || value_b));
				ASSERT_OK(tree_next_difference(
					trees[i], trees[j], &index, &id_a, &id_b, &found, &err));
				assert_int_equal(found, value_a != value_b);
				if (!found)
					break;
				struct digest expected_a = id_of(value_a), expected_b = id_of(value_b);
				assert_int_equal(index, at_a < at_b ? at_a : at_b);
				assert_memory_equal(&id_a, &expected_a, sizeof id_a);
				assert_memory_equal(&id_b, &expected_b, sizeof id_b);
			}
		}
	for (int i = 0; i < TREES; i++)
		tree_close(trees[i]);
}

static uint64_t count_blocks(struct tree *tree)
{
	struct error err;
	struct digest block;
	bool found = true;
	uint64_t count = 0;
	for (uint64_t index = 0; found; index++) {
		ASSERT_OK(tree_next(tree, &index, &block, &found, &err));
		count += found;
	}
	return count;
}

static void *count_in_thread(void *context)
{
	return (void *)(uintptr_t)count_blocks(context);
}

/* What is read along belongs to one of them at a time. */
static void one_tree_is_walked_by_several_threads(void **state)
{
	(void)state;
	enum { THREADS = 4, BLOCKS = 400 };
	static uint64_t pairs[2 * BLOCKS];
	pthread_t threads[THREADS];
	for (uint64_t i = 0; i < BLOCKS; i++) {
		pairs[2 * i] = i * 100;
		pairs[2 * i + 1] = i + 1;
	}
	struct tree *tree = open_tree(build(NULL, TIB, pairs, BLOCKS));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_in_thread, tree), 0);
	for (int i = 0; i < THREADS; i++) {
		void *count;
		pthread_join(threads[i], &count);
		assert_int_equal((uintptr_t)count, BLOCKS);
	}
	tree_close(tree);
}

/* A root that an earlier version has made says so, wherever it comes from. */
static void a_tree_of_another_version_is_named(void **state)
{
	(void)state;
	struct error err;
	struct tree *tree;
	struct digest digest;
	struct root root = { .levels = 1, .size = MIB };
	uint8_t bytes[ROOT_SIZE];
	root_encode(&root, bytes);
	bytes[4] = 1;
	digest_sha256(bytes, sizeof bytes, &digest);
	ASSERT_OK(store_put(session, STORE_ROOT, &digest, bytes, sizeof bytes, NULL, &err));
	ASSERT_FAILS(tree_open(store, &digest, &tree, &err), ERROR_UNSUPPORTED);
	assert_non_null(
		strstr(err.message, "is of version 1, which this version does not read (it reads 3)"));
}

/* Blocks that come, go, change, come twice, and go with the end of the disk. */
static void a_root_counts_its_blocks(void **state)
{
	(void)state;
	const uint64_t sizes[] = { 64 * MIB, 63 * MIB, 65 * MIB, 9000 * MIB, TIB, 512 * 1024, 2 * TIB,
		100 * MIB };
	struct error err;
	struct tree *base = NULL;
	uint64_t seed = 11;
	for (size_t round = 0; round < 40; round++) {
		struct tree_builder *builder;
		struct digest root;
		uint64_t size = sizes[scratch_random(&seed) % (sizeof sizes / sizeof *sizes)];
		ASSERT_OK(tree_builder_create(session, base, size, &builder, &err));
		for (int i = 0; i < 200; i++) {
			uint64_t at =
				scratch_random(&seed) % (i % 2 ? 300 : 4000000) % (size / STORE_BLOCK_SIZE);
			struct digest id = id_of(scratch_random(&seed) % 3);
			ASSERT_OK(tree_builder_set(builder, at, &id, &err));
		}
		ASSERT_OK(tree_builder_finish(builder, &root, NULL, &err));
		tree_close(base);
		base = open_tree(root);
		assert_int_equal(count_blocks(base), tree_builder_data_blocks(builder));
		assert_int_equal(count_blocks(base), tree_data_blocks(base));
		tree_builder_destroy(builder);
	}
	tree_close(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(same_content_same_root),
		TEST(growing_and_cutting_are_canonical), TEST(cutting_within_a_block_drops_its_tail),
		TEST(differences_and_walks_match_an_array), TEST(trees_of_different_heights_compare),
		TEST(what_is_no_root_is_refused), TEST(a_root_is_known_without_a_store),
		TEST(pages_that_were_not_hashed_serve_comparisons_only),
		TEST(a_damaged_page_is_found_by_a_comparison), TEST(differences_do_not_depend_on_heights),
		TEST(a_tree_of_another_version_is_named), TEST(one_tree_is_walked_by_several_threads),
		TEST(a_root_counts_its_blocks) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
