/*
 * Death at every step: compaction, compression and warming end before their first change of the disk, then before the second, and so on until one of them comes through. Each time the store is opened
 * again, as after the death of its process and as after a loss of power (the index says another boot), and must hold everything, be sound, and carry the same work through.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.h"
#include "base/disk.h"
#include "store/page.h"
#include "store/rewrite.h"
#include "store/tree.h"

int __real_disk_write(int fd, const void *data, size_t size, uint64_t offset);
int __real_disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset);
int __real_disk_sync(int fd);
int __real_disk_punch(int fd, uint64_t offset, uint64_t size);
int __wrap_disk_write(int fd, const void *data, size_t size, uint64_t offset);
int __wrap_disk_reserve(int fd, uint64_t offset, uint64_t size);
int __wrap_disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset);
int __wrap_disk_sync(int fd);
int __wrap_disk_punch(int fd, uint64_t offset, uint64_t size);

static unsigned steps_left; /* 0: no death */
static bool without_holes;

static void step(void)
{
	if (steps_left && !--steps_left)
		_exit(7);
}

int __wrap_disk_write(int fd, const void *data, size_t size, uint64_t offset)
{
	step();
	return __real_disk_write(fd, data, size, offset);
}

int __wrap_disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset)
{
	step();
	return __real_disk_write_parts(fd, parts, count, offset);
}

int __wrap_disk_sync(int fd)
{
	step();
	return __real_disk_sync(fd);
}

/* Only extends the file: filling a tmpfs would take most of the test's time. */
int __wrap_disk_reserve(int fd, uint64_t offset, uint64_t size)
{
	struct stat status;
	if (fstat(fd, &status))
		return -1;
	return (uint64_t)status.st_size < offset + size ? ftruncate(fd, (off_t)(offset + size)) : 0;
}

int __wrap_disk_punch(int fd, uint64_t offset, uint64_t size)
{
	step();
	if (!without_holes)
		return __real_disk_punch(fd, offset, size);
	errno = EOPNOTSUPP;
	return -1;
}

enum { BLOCKS = 6, GARBAGE = 300, BLOCK = 4096, STEPS_LIMIT = 400 };

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

static struct digest put(
	struct store_session *session, enum store_object_kind kind, const void *data, size_t size)
{
	struct error err;
	struct digest digest;
	digest_sha256(data, size, &digest);
	ASSERT_OK(store_put(session, kind, &digest, data, size, NULL, &err));
	return digest;
}

/* Half noise: it compresses, but not to nothing. */
static void make_block(unsigned number, uint8_t data[BLOCK])
{
	memset(data, (int)number, BLOCK);
	scratch_fill(data, 256, number);
}

/* A store with one tree of BLOCKS blocks, between garbage that was collected. Compressed to begin with, or not. */
static struct digest make_store(const char *folder)
{
	static struct page page;
	uint8_t data[BLOCK], bytes[PAGE_LIMIT];
	struct error err;
	struct store *store;
	struct store_session *session;
	ASSERT_OK(store_open(folder, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	memset(&page, 0, sizeof page);
	page.level = 1;
	for (unsigned i = 0; i < GARBAGE; i++) {
		make_block(i, data);
		struct digest digest = put(session, STORE_BLOCK, data, sizeof data);
		if (i % (GARBAGE / BLOCKS) == 0)
			page.ids[i / (GARBAGE / BLOCKS)] = digest;
	}
	size_t size = page_encode(&page, bytes);
	struct root root = { .size = PAGE_FANOUT * (uint64_t)STORE_BLOCK_SIZE,
		.levels = 1,
		.blocks = BLOCKS,
		.top = put(session, STORE_PAGE, bytes, size) };
	root_encode(&root, bytes);
	struct digest kept = put(session, STORE_ROOT, bytes, ROOT_SIZE);
	store_session_close(session);
	struct roots roots = { &kept, 1, 0 };
	ASSERT_OK(store_collect(store, next_root, &roots, NULL, &err));
	store_close(store);
	return kept;
}

static int compact(struct store *store, const struct digest *root, struct error *err)
{
	(void)root;
	return store_compact(store, UINT64_MAX, NULL, err);
}

static int compress(struct store *store, const struct digest *root, struct error *err)
{
	struct roots cold = { root, 1, 0 }, warm = { 0 };
	return store_compress(store, next_root, &cold, next_root, &warm, NULL, err);
}

static int warm(struct store *store, const struct digest *root, struct error *err)
{
	return store_warm(store, root, NULL, err);
}

typedef int operation(struct store *store, const struct digest *root, struct error *err);

/* Runs the operation in another process that dies at a step; whether it did. */
static bool dies_at(const char *folder, const struct digest *root, operation *run, unsigned steps)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct error err;
		struct store *store;
		if (store_open(folder, &store, &err))
			_exit(1);
		steps_left = steps;
		_exit(run(store, root, &err) ? 1 : 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
	return WEXITSTATUS(status) == 7;
}

static void pretend_loss_of_power(const char *folder)
{
	char path[600];
	snprintf(path, sizeof path, "%s/index", folder);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "another", 7, 80), 7); /* docs/design/store.md: the boot id */
	close(fd);
}

static void print_fault(void *context, const char *line)
{
	(void)context;
	print_message("fault: %s\n", line);
}

static void expect_whole(struct store *store, const struct digest *root)
{
	uint8_t data[BLOCK], expected[BLOCK];
	struct error err;
	struct tree *tree;
	struct digest digest;
	uint64_t faults;
	size_t size;
	struct store_usage usage;
	ASSERT_OK(tree_open(store, root, &tree, &err));
	for (unsigned i = 0; i < GARBAGE; i += GARBAGE / BLOCKS) {
		ASSERT_OK(tree_lookup(tree, i / (GARBAGE / BLOCKS), &digest, &err));
		ASSERT_OK(store_get(store, &digest, data, &size, &err));
		make_block(i, expected);
		assert_memory_equal(data, expected, sizeof data);
	}
	tree_close(tree);
	ASSERT_OK(store_check(store, print_fault, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	store_get_usage(store, &usage);
	assert_int_equal(usage.objects, BLOCKS + 2);
}

/* A reader in another process that had everything before finds everything while the index is made again, and after. */
static void expect_readable(struct store *reader, const struct digest *root)
{
	uint8_t data[BLOCK], expected[BLOCK];
	struct error err;
	struct tree *tree;
	struct digest digest;
	size_t size;
	ASSERT_OK(tree_open(reader, root, &tree, &err));
	for (unsigned i = 0; i < GARBAGE; i += GARBAGE / BLOCKS) {
		ASSERT_OK(tree_lookup(tree, i / (GARBAGE / BLOCKS), &digest, &err));
		ASSERT_OK(store_get(reader, &digest, data, &size, &err));
		make_block(i, expected);
		assert_memory_equal(data, expected, sizeof data);
	}
	tree_close(tree);
}

static void die_at_every_step(const char *parent, operation *prepare, operation *run, bool power)
{
	char folder[512];
	struct error err;
	struct store *store, *reader;
	bool died = true;
	for (unsigned steps = 1; died; steps++) {
		assert_true(steps < STEPS_LIMIT);
		snprintf(folder, sizeof folder, "%s/%u", parent, steps);
		struct digest root = make_store(folder);
		if (prepare) {
			ASSERT_OK(store_open(folder, &store, &err));
			ASSERT_OK(prepare(store, &root, &err));
			store_close(store);
		}
		ASSERT_OK(store_open_reader(folder, &reader, &err));
		died = dies_at(folder, &root, run, steps);
		expect_readable(reader, &root);
		if (power)
			pretend_loss_of_power(folder);
		ASSERT_OK(store_open(folder, &store, &err));
		expect_readable(reader, &root);
		expect_whole(store, &root);
		ASSERT_OK(run(store, &root, &err));
		expect_whole(store, &root);
		expect_readable(reader, &root);
		store_close(reader);
		/* nothing is left behind that a collection would stumble over */
		struct roots none = { 0 };
		ASSERT_OK(store_collect(store, next_root, &none, NULL, &err));
		uint64_t faults;
		ASSERT_OK(store_check(store, print_fault, NULL, &faults, &err));
		assert_int_equal(faults, 0);
		store_close(store);
		assert_int_equal(file_remove_tree(folder, &err), 0);
	}
}

static void compaction_may_die_at_every_step(void **state)
{
	without_holes = true;
	die_at_every_step(*state, NULL, compact, false);
	die_at_every_step(*state, NULL, compact, true);
	without_holes = false;
}

static void compression_may_die_at_every_step(void **state)
{
	die_at_every_step(*state, NULL, compress, false);
	die_at_every_step(*state, NULL, compress, true);
}

static void warming_may_die_at_every_step(void **state)
{
	die_at_every_step(*state, compress, warm, false);
	die_at_every_step(*state, compress, warm, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	/* a process dies here, not the machine: so the disk need not be a slow one */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	const struct CMUnitTest tests[] = { TEST(compaction_may_die_at_every_step),
		TEST(compression_may_die_at_every_step), TEST(warming_may_die_at_every_step) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
