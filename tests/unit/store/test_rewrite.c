/* Compressing what is cold and bringing it back: exactly the blocks asked for, the same bytes, and nothing lost by a kill at any moment. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "scratch.h"
#include "store/encoding.h"
#include "store/rewrite.h"
#include "store/tree.h"

enum { DISK = 1 << 26 };

struct roots {
	const struct digest *list;
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

static uint8_t block[STORE_BLOCK_SIZE], read_back[STORE_BLOCK_SIZE];

/* Compresses to about a quarter; an odd one, not at all. */
static void make_block(unsigned number)
{
	memset(block, (int)number, sizeof block);
	scratch_fill(block, number % 2 ? sizeof block : sizeof block / 4, number);
}

static struct digest put_tree(struct store *store, unsigned from, unsigned count)
{
	struct error err;
	struct store_session *session;
	struct tree_builder *builder;
	struct digest digest, root;
	ASSERT_OK(store_session_open(store, &session, &err));
	ASSERT_OK(tree_builder_create(session, NULL, DISK, &builder, &err));
	for (unsigned i = 0; i < count; i++) {
		make_block(from + i);
		digest_sha256(block, sizeof block, &digest);
		ASSERT_OK(store_put(session, STORE_BLOCK, &digest, block, sizeof block, NULL, &err));
		ASSERT_OK(tree_builder_set(builder, i, &digest, &err));
	}
	ASSERT_OK(tree_builder_finish(builder, &root, NULL, &err));
	tree_builder_destroy(builder);
	store_session_close(session);
	return root;
}

/* All blocks are what they were; returns how many are compressed. */
static unsigned expect_tree(struct store *store, const struct digest *root, unsigned from, unsigned count)
{
	struct error err;
	struct tree *tree;
	struct digest digest;
	struct store_location location;
	unsigned compressed = 0;
	size_t size;
	ASSERT_OK(tree_open(store, root, &tree, &err));
	for (unsigned i = 0; i < count; i++) {
		ASSERT_OK(tree_lookup(tree, i, &digest, &err));
		ASSERT_OK(store_get(store, &digest, read_back, &size, &err));
		make_block(from + i);
		assert_memory_equal(read_back, block, sizeof block);
		if (!store_locate(store, &digest, &location, &err)) {
			store_return_pack(store, location.pack);
		} else {
			assert_int_equal(err.code, ERROR_UNSUPPORTED);
			compressed++;
		}
	}
	tree_close(tree);
	return compressed;
}

static void expect_sound(struct store *store)
{
	struct error err;
	uint64_t faults;
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
}

static struct store_rewrite_result compress(struct store *store, const struct digest *cold,
	unsigned cold_count, const struct digest *warm, unsigned warm_count)
{
	struct error err;
	struct store_rewrite_result result;
	struct roots cold_roots = { cold, cold_count, 0 }, warm_roots = { warm, warm_count, 0 };
	ASSERT_OK(store_compress(store, next_root, &cold_roots, next_root, &warm_roots, &result, &err));
	return result;
}

static void only_what_nothing_warm_reaches_is_compressed(void **state)
{
	struct error err;
	struct store *store;
	struct store_usage before, after;
	ASSERT_OK(store_open(*state, &store, &err));
	/* blocks 0-9; 6-15: 6 to 9 are shared */
	struct digest cold = put_tree(store, 0, 10), warm = put_tree(store, 6, 10);
	store_get_usage(store, &before);
	struct store_rewrite_result result = compress(store, &cold, 1, &warm, 1);
	assert_int_equal(result.blocks, 3); /* 0, 2, 4: the odd ones do not get smaller */
	assert_int_equal(result.unchanged, 3);
	assert_true(result.bytes_after * 3 < result.bytes_before);
	store_get_usage(store, &after);
	assert_int_equal(after.objects, before.objects);
	assert_int_equal(before.bytes - after.bytes, result.bytes_before - result.bytes_after);
	assert_int_equal(expect_tree(store, &cold, 0, 10), 3);
	assert_int_equal(expect_tree(store, &warm, 6, 10), 0);
	expect_sound(store);
	/* once is enough */
	assert_int_equal(compress(store, &cold, 1, &warm, 1).blocks, 0);
	store_close(store);
	ASSERT_OK(store_open(*state, &store, &err));
	assert_int_equal(expect_tree(store, &cold, 0, 10), 3);
	ASSERT_OK(store_warm(store, &cold, &result, &err));
	assert_int_equal(result.blocks, 3);
	assert_int_equal(expect_tree(store, &cold, 0, 10), 0);
	store_get_usage(store, &after);
	assert_int_equal(after.bytes, before.bytes);
	expect_sound(store);
	store_close(store);
}

static void compressed_blocks_are_found_again_without_an_index_and_collected(void **state)
{
	struct error err;
	struct store *store;
	struct store_collect_result collected;
	char path[512];
	ASSERT_OK(store_open(*state, &store, &err));
	struct digest root = put_tree(store, 0, 8);
	assert_int_equal(compress(store, &root, 1, NULL, 0).blocks, 4);
	store_close(store);
	assert_int_equal(unlink(scratch_path(state, "index", path)), 0);
	ASSERT_OK(store_open(*state, &store, &err));
	assert_int_equal(expect_tree(store, &root, 0, 8), 4);
	/* a put finds the compressed block, and adds nothing */
	struct store_session *session;
	struct digest digest;
	uint64_t added;
	make_block(0);
	digest_sha256(block, sizeof block, &digest);
	ASSERT_OK(store_session_open(store, &session, &err));
	ASSERT_OK(store_put(session, STORE_BLOCK, &digest, block, sizeof block, &added, &err));
	assert_int_equal(added, 0);
	store_session_close(session);
	struct roots none = { 0 };
	ASSERT_OK(store_collect(store, next_root, &none, &collected, &err));
	assert_int_equal(collected.objects_freed, 8 + 2);
	expect_sound(store);
	store_close(store);
}

static void a_damaged_compressed_block_is_not_handed_out(void **state)
{
	struct error err;
	struct store *store;
	struct tree *tree;
	struct digest digest;
	struct store_location location;
	size_t size;
	char path[512];
	ASSERT_OK(store_open(*state, &store, &err));
	struct digest root = put_tree(store, 0, 1);
	/* copies go behind what is there: one that is not compressed tells where */
	struct digest marker = put_tree(store, 1, 1);
	ASSERT_OK(tree_open(store, &marker, &tree, &err));
	ASSERT_OK(tree_lookup(tree, 0, &digest, &err));
	ASSERT_OK(store_locate(store, &digest, &location, &err));
	store_return_pack(store, location.pack);
	tree_close(tree);
	assert_int_equal(compress(store, &root, 1, NULL, 0).blocks, 1);
	FILE *pack = fopen(scratch_path(state, "packs/0000000001.pack", path), "r+");
	fseek(pack, (long)location.offset + STORE_BLOCK_SIZE + 4096 + 5000, SEEK_SET);
	fputs("damage", pack);
	fclose(pack);
	ASSERT_OK(tree_open(store, &root, &tree, &err));
	ASSERT_OK(tree_lookup(tree, 0, &digest, &err));
	ASSERT_FAILS(store_get(store, &digest, read_back, &size, &err), ERROR_CORRUPT);
	tree_close(tree);
	uint64_t faults;
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 1);
	store_close(store);
}

/* Compresses, warms and compacts for ever; says when each round begins. */
static void child_rewrites(const char *folder, int ready, const struct digest *root)
{
	struct error err;
	struct store *store;
	struct store_compact_result compacted;
	if (store_open(folder, &store, &err))
		_exit(1);
	for (;;) {
		struct roots cold = { root, 1, 0 }, warm = { 0 };
		if (write(ready, "", 1) != 1 ||
			store_compress(store, next_root, &cold, next_root, &warm, NULL, &err) ||
			store_compact(store, UINT64_MAX, &compacted, &err) ||
			store_warm(store, root, NULL, &err))
			_exit(1);
	}
}

static void a_kill_at_any_moment_loses_nothing(void **state)
{
	struct error err;
	struct store *store;
	uint64_t seed = 20;
	ASSERT_OK(store_open(*state, &store, &err));
	struct digest root = put_tree(store, 0, 12);
	store_close(store);
	for (int round = 0; round < 25; round++) {
		int ready[2];
		char byte;
		assert_int_equal(pipe(ready), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (!child)
			child_rewrites(*state, ready[1], &root);
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		/* the moment is random, what is waited for was an event */
		usleep((useconds_t)(scratch_random(&seed) % 30000));
		kill(child, SIGKILL);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		close(ready[0]);
		ASSERT_OK(store_open(*state, &store, &err));
		expect_tree(store, &root, 0, 12);
		expect_sound(store);
		struct store_usage usage;
		store_get_usage(store, &usage);
		assert_int_equal(usage.objects, 12 + 2);
		store_close(store);
	}
}

static void decoding_is_bounded_by_the_plain_size(void **state)
{
	struct error err;
	static uint8_t plain[STORE_BLOCK_SIZE], stored[STORE_BLOCK_SIZE], out[STORE_BLOCK_SIZE];
	(void)state;
	size_t size = encoding_compress(plain, sizeof plain, stored);
	assert_true(size > 0 && size < 4096);
	ASSERT_OK(encoding_restore(ENCODING_ZSTD, stored, size, out, sizeof out, &err));
	/* a frame that holds more, or less, than the header said, and one with something behind it */
	ASSERT_FAILS(encoding_restore(ENCODING_ZSTD, stored, size, out, sizeof out - 1, &err), ERROR_CORRUPT);
	ASSERT_FAILS(encoding_restore(ENCODING_ZSTD, stored, size - 1, out, sizeof out, &err), ERROR_CORRUPT);
	ASSERT_FAILS(encoding_restore(ENCODING_ZSTD, stored, size + 1, out, sizeof out, &err), ERROR_CORRUPT);
	ASSERT_FAILS(encoding_restore(2, stored, size, out, sizeof out, &err), ERROR_UNSUPPORTED);
	/* what does not save the eighth part is not compressed */
	scratch_fill(plain, sizeof plain - sizeof plain / 10, 1);
	assert_int_equal(encoding_compress(plain, sizeof plain, stored), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(only_what_nothing_warm_reaches_is_compressed),
		TEST(compressed_blocks_are_found_again_without_an_index_and_collected),
		TEST(a_damaged_compressed_block_is_not_handed_out), TEST(a_kill_at_any_moment_loses_nothing),
		TEST(decoding_is_bounded_by_the_plain_size) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
