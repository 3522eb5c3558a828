/*
 * Compaction: packs that are mostly dead are emptied and removed while others read. The file system is made to know no holes where a test needs dead blocks that take space: the program is linked
 * with a disk_punch of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "scratch.h"
#include "base/disk.h"
#include "store/page.h"
#include "store/tree.h"

int __real_disk_punch(int fd, uint64_t offset, uint64_t size);
int __wrap_disk_punch(int fd, uint64_t offset, uint64_t size);

static _Atomic bool without_holes;

int __wrap_disk_punch(int fd, uint64_t offset, uint64_t size)
{
	if (!atomic_load(&without_holes))
		return __real_disk_punch(fd, offset, size);
	errno = EOPNOTSUPP;
	return -1;
}

enum { TREES = 12000, KEEP_EACH = 24, BLOCK = 4096 };

struct roots {
	struct digest *list;
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

static struct digest put(
	struct store_session *session, enum store_object_kind kind, const void *data, size_t size)
{
	struct error err;
	struct digest digest;
	digest_sha256(data, size, &digest);
	ASSERT_OK(store_put(session, kind, &digest, data, size, NULL, &err));
	return digest;
}

/* A tree of one page over two blocks; `number` makes it one of its own. No sync, as there are many. */
static struct digest put_tree(struct store_session *session, unsigned number, const struct digest *block,
	const struct digest *other)
{
	static struct page page;
	uint8_t bytes[PAGE_LIMIT];
	memset(&page, 0, sizeof page);
	page.level = 1;
	page.ids[number % PAGE_FANOUT] = *block;
	page.ids[number / PAGE_FANOUT] = *other;
	size_t size = page_encode(&page, bytes);
	struct root root = { .size = PAGE_FANOUT * (uint64_t)STORE_BLOCK_SIZE,
		.levels = 1,
		.blocks = number % PAGE_FANOUT == number / PAGE_FANOUT ? 1 : 2,
		.top = put(session, STORE_PAGE, bytes, size) };
	root_encode(&root, bytes);
	return put(session, STORE_ROOT, bytes, ROOT_SIZE);
}

/* A block that is mostly its number; small, so that a test can have many. */
static struct digest put_block(struct store_session *session, unsigned number)
{
	uint8_t data[BLOCK];
	scratch_fill(data, sizeof data, number);
	return put(session, STORE_BLOCK, data, sizeof data);
}

struct packs_on_disk {
	unsigned count;
	uint64_t bytes;
};

static struct packs_on_disk look(const char *folder)
{
	char path[1024];
	struct packs_on_disk found = { 0 };
	snprintf(path, sizeof path, "%s/packs", folder);
	DIR *packs = opendir(path);
	for (struct dirent *entry; (entry = readdir(packs));) {
		struct stat status;
		if (!fstatat(dirfd(packs), entry->d_name, &status, 0) && S_ISREG(status.st_mode)) {
			found.bytes += (uint64_t)status.st_blocks * 512;
			found.count++;
		}
	}
	closedir(packs);
	return found;
}

static void expect_sound(struct store *store)
{
	struct error err;
	uint64_t faults;
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
}

static void expect_trees(struct store *store, const struct digest *roots, unsigned count)
{
	uint8_t data[PAGE_LIMIT];
	struct error err;
	struct tree *tree;
	struct digest block;
	size_t size;
	for (unsigned i = 0; i < count; i++) {
		ASSERT_OK(tree_open(store, &roots[i], &tree, &err));
		ASSERT_OK(tree_lookup(tree, i * KEEP_EACH % PAGE_FANOUT, &block, &err));
		ASSERT_OK(store_get(store, &block, data, &size, &err));
		assert_int_equal(size, BLOCK);
		tree_close(tree);
	}
}

/* Puts many trees and collects all but some: what is left lies scattered, a piece in most pages of the disk. The roots kept are the caller's to free. */
static struct digest *make_scattered(struct store *store, unsigned *count)
{
	struct error err;
	struct store_session *session;
	struct digest *kept = malloc((TREES / KEEP_EACH + 1) * sizeof *kept);
	*count = 0;
	ASSERT_OK(store_session_open(store, &session, &err));
	struct digest block = put_block(session, 1), other = put_block(session, 2);
	for (unsigned i = 0; i < TREES; i++) {
		struct digest root = put_tree(session, i, &block, &other);
		if (i % KEEP_EACH == 0)
			kept[(*count)++] = root;
	}
	store_session_close(session);
	struct roots roots = { .list = kept, .count = *count };
	ASSERT_OK(store_collect(store, next_root, &roots, NULL, &err));
	return kept;
}

static void compact_all(struct store *store, uint64_t limit, struct store_compact_result *sum)
{
	struct error err;
	struct store_compact_result step;
	*sum = (struct store_compact_result){ 0 };
	do {
		ASSERT_OK(store_compact(store, limit, &step, &err));
		sum->bytes_moved += step.bytes_moved;
		sum->bytes_freed += step.bytes_freed;
		sum->packs_removed += step.packs_removed;
	} while (step.more);
}

static void scattered_pages_are_brought_together(void **state)
{
	struct error err;
	struct store *store;
	struct store_compact_result result;
	unsigned count;
	ASSERT_OK(store_open(*state, &store, &err));
	struct digest *kept = make_scattered(store, &count);
	struct packs_on_disk before = look(*state);
	/* in small steps, each of which leaves a sound store */
	ASSERT_OK(store_compact(store, 50000, &result, &err));
	assert_true(result.more && result.bytes_moved >= 50000 && result.bytes_moved < 60000);
	expect_sound(store);
	compact_all(store, 50000, &result);
	assert_int_equal(result.packs_removed, 1);
	expect_sound(store);
	expect_trees(store, kept, count);
	store_close(store);
	assert_true(look(*state).bytes + (1 << 20) < before.bytes);
	ASSERT_OK(store_open(*state, &store, &err));
	expect_sound(store);
	expect_trees(store, kept, count);
	/* there is nothing more to gain */
	compact_all(store, UINT64_MAX, &result);
	assert_int_equal(result.bytes_moved, 0);
	store_close(store);
	free(kept);
}

static void the_index_can_be_made_again_between_steps(void **state)
{
	struct error err;
	struct store *store;
	struct store_compact_result result;
	char path[512];
	unsigned count;
	ASSERT_OK(store_open(*state, &store, &err));
	struct digest *kept = make_scattered(store, &count);
	ASSERT_OK(store_compact(store, 30000, &result, &err));
	assert_true(result.more);
	store_close(store);
	assert_int_equal(unlink(scratch_path(state, "index", path)), 0);
	ASSERT_OK(store_open(*state, &store, &err));
	struct store_usage usage;
	store_get_usage(store, &usage);
	assert_int_equal(usage.objects, 2 * count + 2);
	expect_sound(store);
	expect_trees(store, kept, count);
	compact_all(store, 30000, &result);
	assert_int_equal(result.packs_removed, 1);
	expect_sound(store);
	/* what is moved is collected like anything else */
	struct roots none = { 0 };
	struct store_collect_result collected;
	ASSERT_OK(store_collect(store, next_root, &none, &collected, &err));
	assert_int_equal(collected.objects_freed, 2 * count + 2);
	expect_sound(store);
	store_close(store);
	free(kept);
}

static void a_damaged_object_stays_where_it_is(void **state)
{
	struct error err;
	struct store *store;
	struct store_compact_result result;
	struct store_location location;
	atomic_store(&without_holes, true);
	ASSERT_OK(store_open(*state, &store, &err));
	struct store_session *session;
	ASSERT_OK(store_session_open(store, &session, &err));
	struct digest sound = put_block(session, 1), damaged = put_block(session, 2);
	struct digest kept[] = { put_tree(session, 0, &sound, &sound),
		put_tree(session, 1, &damaged, &damaged) };
	for (unsigned i = 3; i < 400; i++)
		put_block(session, i);
	store_session_close(session);
	ASSERT_OK(store_locate(store, &damaged, &location, &err));
	assert_int_equal(pwrite(location.fd, "?", 1, (off_t)location.offset), 1);
	store_return_pack(store, location.pack);
	struct roots roots = { .list = kept, .count = 2 };
	ASSERT_OK(store_collect(store, next_root, &roots, NULL, &err));
	compact_all(store, UINT64_MAX, &result);
	assert_int_equal(result.packs_removed, 0);
	assert_true(result.bytes_moved >= BLOCK && result.bytes_moved < 3 * BLOCK);
	uint8_t data[BLOCK];
	size_t size;
	ASSERT_OK(store_get(store, &sound, data, &size, &err));
	ASSERT_FAILS(store_get(store, &damaged, data, &size, &err), ERROR_CORRUPT);
	uint64_t faults;
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 1);
	store_close(store);
	atomic_store(&without_holes, false);
}

/* Reading while everything moves. */
struct reader {
	struct store *store;
	const struct digest *blocks;
	unsigned count;
	_Atomic bool *stop;
	unsigned rounds;
	unsigned seed;
};

static void *read_blocks(void *context)
{
	struct reader *reader = context;
	struct error err;
	uint8_t data[BLOCK], expected[BLOCK];
	uint64_t seed = reader->seed;
	while (!atomic_load(reader->stop) || reader->rounds < 1000) {
		unsigned i = (unsigned)(scratch_random(&seed) % reader->count);
		size_t size;
		ASSERT_OK(store_get(reader->store, &reader->blocks[i], data, &size, &err));
		scratch_fill(expected, sizeof expected, i);
		assert_memory_equal(data, expected, sizeof data);
		struct store_location location;
		for (;;) {
			uint64_t epoch = store_epoch(reader->store);
			ASSERT_OK(store_locate(reader->store, &reader->blocks[i], &location, &err));
			assert_int_equal(pread(location.fd, data, BLOCK, (off_t)location.offset), BLOCK);
			store_return_pack(reader->store, location.pack);
			if (store_epoch(reader->store) == epoch)
				break;
		}
		assert_memory_equal(data, expected, sizeof data);
		if (reader->rounds++ % 64 == 0)
			store_let_go(reader->store);
	}
	return NULL;
}

/* Garbage between the blocks, collected and compacted again and again, while two readers, of this store and of a store as another process has it, read and others put. */
static void readers_go_on_while_everything_moves(void **state)
{
	enum { BLOCKS = 64, ROUNDS = 12, GARBAGE = 512 };
	struct error err;
	struct store *store, *other;
	struct store_session *session;
	struct digest blocks[BLOCKS], kept[BLOCKS];
	struct store_compact_result result;
	_Atomic bool stop = false;
	unsigned removed = 0;
	atomic_store(&without_holes, true);
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_open_reader(*state, &other, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = put_block(session, i);
		kept[i] = put_tree(session, i, &blocks[i], &blocks[i]);
	}
	store_session_close(session);
	struct reader readers[] = { { store, blocks, BLOCKS, &stop, 0, 1 },
		{ other, blocks, BLOCKS, &stop, 0, 2 } };
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_blocks, &readers[i]), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		ASSERT_OK(store_session_open(store, &session, &err));
		for (unsigned i = 0; i < GARBAGE; i++)
			put_block(session, 1000 + round * GARBAGE + i);
		store_session_close(session);
		struct roots roots = { .list = kept, .count = BLOCKS };
		ASSERT_OK(store_collect(store, next_root, &roots, NULL, &err));
		compact_all(store, 100000, &result);
		removed += result.packs_removed;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(removed >= ROUNDS / 2);
	expect_sound(store);
	store_close(other);
	store_close(store);
	assert_true(look(*state).bytes < 8 << 20);
	atomic_store(&without_holes, false);
}

static bool holds_removed_pack(void)
{
	DIR *folder = opendir("/proc/self/fd");
	bool held = false;
	for (struct dirent *entry; (entry = readdir(folder));) {
		char target[512];
		ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
		if (size > 0) {
			target[size] = '\0';
			held |= strstr(target, ".pack (deleted)") != NULL;
		}
	}
	closedir(folder);
	return held;
}

static void a_removed_pack_is_let_go_when_nobody_reads_it(void **state)
{
	struct error err;
	struct store *store, *reader;
	struct store_session *session;
	struct store_location location;
	struct store_compact_result result;
	char data[BLOCK], expected[BLOCK];
	atomic_store(&without_holes, true);
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_open_reader(*state, &reader, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	struct digest block = put_block(session, 7), kept = put_tree(session, 0, &block, &block);
	for (unsigned i = 100; i < 500; i++)
		put_block(session, i);
	store_session_close(session);
	ASSERT_OK(store_locate(reader, &block, &location, &err));
	struct roots roots = { .list = &kept, .count = 1 };
	ASSERT_OK(store_collect(store, next_root, &roots, NULL, &err));
	uint64_t epoch = store_epoch(reader);
	compact_all(store, UINT64_MAX, &result);
	assert_int_equal(result.packs_removed, 1);
	assert_true(store_epoch(reader) != epoch);
	/* the lease keeps it readable, though it has no name any more */
	store_let_go(reader);
	assert_true(holds_removed_pack());
	assert_int_equal(pread(location.fd, data, BLOCK, (off_t)location.offset), BLOCK);
	scratch_fill(expected, sizeof expected, 7);
	assert_memory_equal(data, expected, BLOCK);
	store_return_pack(reader, location.pack);
	assert_false(holds_removed_pack());
	ASSERT_OK(store_locate(reader, &block, &location, &err));
	assert_int_equal(pread(location.fd, data, BLOCK, (off_t)location.offset), BLOCK);
	assert_memory_equal(data, expected, BLOCK);
	store_return_pack(reader, location.pack);
	store_close(reader);
	store_close(store);
	atomic_store(&without_holes, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(scattered_pages_are_brought_together),
		TEST(the_index_can_be_made_again_between_steps), TEST(a_damaged_object_stays_where_it_is),
		TEST(readers_go_on_while_everything_moves),
		TEST(a_removed_pack_is_let_go_when_nobody_reads_it) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
