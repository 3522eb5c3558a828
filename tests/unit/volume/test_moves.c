/* Volumes read on while the store moves the blocks below them: compressed, plain again, from pack to pack. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "place.h"
#include "base/disk.h"
#include "store/rewrite.h"

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

enum { BLOCKS = 24, SIZE = BLOCKS * STORE_BLOCK_SIZE, READ = 4096 };

struct scene {
	struct place place;
	struct store *reader; /* the store as a volume server has it */
	struct volume *volume;
	struct digest root;
	_Atomic bool stop;
};

/* What the disk holds at an offset: compresses well, and differs everywhere. */
static void expected_at(uint64_t offset, uint8_t out[READ])
{
	memset(out, (int)(offset / READ), READ);
	memcpy(out, &offset, sizeof offset);
}

static void scene_open(struct scene *scene, void **state)
{
	struct error err;
	static uint8_t data[READ];
	place_open(&scene->place, state);
	ASSERT_OK(store_open_reader(scene->place.store_folder, &scene->reader, &err));
	ASSERT_OK(volume_create(scene->place.folder, SIZE, NULL, &err));
	ASSERT_OK(
		volume_open(scene->place.folder, scene->place.runtime, scene->reader, &scene->volume, &err));
	for (uint64_t at = 0; at < SIZE; at += READ) {
		expected_at(at, data);
		ASSERT_OK(volume_write(scene->volume, data, at, READ, &err));
	}
	scene->root = place_snapshot(&scene->place, scene->volume, &(struct volume_seal_result){ 0 });
	atomic_store(&scene->stop, false);
}

static void scene_close(struct scene *scene)
{
	volume_close(scene->volume);
	store_close(scene->reader);
	place_close(&scene->place);
}

static int one_root(void *context, struct digest *root, struct error *err)
{
	const struct digest **left = context;
	(void)err;
	if (!*left)
		return 0;
	*root = **left;
	*left = NULL;
	return 1;
}

static void compress(struct scene *scene)
{
	struct error err;
	const struct digest *cold = &scene->root, *warm = NULL;
	struct store_rewrite_result result;
	ASSERT_OK(store_compress(scene->place.store, one_root, &cold, one_root, &warm, &result, &err));
	assert_int_equal(result.blocks, BLOCKS);
}

static void warm(struct scene *scene)
{
	struct error err;
	struct store_rewrite_result result;
	ASSERT_OK(store_warm(scene->place.store, &scene->root, &result, &err));
	assert_int_equal(result.blocks, BLOCKS);
}

static void expect_whole(struct scene *scene)
{
	struct error err;
	uint8_t data[READ], expected[READ];
	for (uint64_t at = 0; at < SIZE; at += READ) {
		ASSERT_OK(volume_read(scene->volume, data, at, READ, &err));
		expected_at(at, expected);
		assert_memory_equal(data, expected, READ);
	}
}

static void *read_for_ever(void *context)
{
	struct scene *scene = context;
	struct error err;
	uint8_t data[READ], expected[READ];
	uint64_t seed = (uint64_t)(uintptr_t)&data;
	for (unsigned reads = 0; !atomic_load(&scene->stop) || reads < 100; reads++) {
		uint64_t at = scratch_random(&seed) % (SIZE / READ) * READ;
		ASSERT_OK(volume_read(scene->volume, data, at, READ, &err));
		expected_at(at, expected);
		assert_memory_equal(data, expected, READ);
	}
	return NULL;
}

static void reads_go_on_while_blocks_are_compressed_and_brought_back(void **state)
{
	static struct scene scene;
	struct error err;
	pthread_t threads[2];
	scene_open(&scene, state);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_for_ever, &scene), 0);
	for (int round = 0; round < 4; round++) {
		compress(&scene);
		if (round % 2)
			ASSERT_OK(volume_let_go(scene.volume, &err));
		warm(&scene);
		ASSERT_OK(volume_let_go(scene.volume, &err));
	}
	atomic_store(&scene.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	expect_whole(&scene);
	scene_close(&scene);
}

static void a_volume_of_compressed_blocks_is_read_written_and_sealed(void **state)
{
	static struct scene scene;
	struct error err;
	uint8_t data[READ];
	bool zero;
	uint64_t length;
	scene_open(&scene, state);
	expect_whole(&scene);
	compress(&scene);
	expect_whole(&scene);
	ASSERT_OK(volume_extent(scene.volume, 0, SIZE, &zero, &length, &err));
	assert_false(zero);
	/* a part of a grain brings in the rest from a compressed block, and the seal reads the block */
	ASSERT_OK(volume_write(scene.volume, "written", 100000, 7, &err));
	struct volume_seal_result sealed;
	struct digest root = place_snapshot(&scene.place, scene.volume, &sealed);
	assert_int_equal(sealed.changed_blocks, 1);
	assert_memory_not_equal(&root, &scene.root, sizeof root);
	ASSERT_OK(volume_read(scene.volume, data, 100000, 7, &err));
	assert_memory_equal(data, "written", 7);
	scene_close(&scene);
}

static bool holds_removed_file(void)
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

/* Without holes in files the old places of compressed blocks take space until their pack goes. */
static void a_volume_lets_go_of_packs_that_were_removed(void **state)
{
	static struct scene scene;
	struct error err;
	struct store_compact_result result;
	atomic_store(&without_holes, true);
	scene_open(&scene, state);
	expect_whole(&scene);
	compress(&scene);
	ASSERT_OK(store_compact(scene.place.store, UINT64_MAX, &result, &err));
	assert_int_equal(result.packs_removed, 1);
	/* its descriptor belongs to what the volume remembers, until it is told and its readers are out */
	assert_true(holds_removed_file());
	ASSERT_OK(volume_let_go(scene.volume, &err));
	assert_false(holds_removed_file());
	expect_whole(&scene);
	scene_close(&scene);
	atomic_store(&without_holes, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(reads_go_on_while_blocks_are_compressed_and_brought_back),
		TEST(a_volume_of_compressed_blocks_is_read_written_and_sealed),
		TEST(a_volume_lets_go_of_packs_that_were_removed) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
