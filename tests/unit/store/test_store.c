/* Putting and getting, recovery, readers in other processes. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "scratch.h"
#include "store/checksum.h"
#include "store/format.h"
#include "store/store.h"
#include "store/wire.h"

static uint8_t block[STORE_BLOCK_SIZE], copy[STORE_BLOCK_SIZE];

static struct digest put_random(struct store_session *session, uint64_t seed, size_t size, uint64_t *added)
{
	struct error err;
	struct digest digest;
	scratch_fill(block, size, seed);
	digest_sha256(block, size, &digest);
	ASSERT_OK(store_put(session, STORE_BLOCK, &digest, block, size, added, &err));
	return digest;
}

static void expect_random(struct store *store, uint64_t seed, size_t size)
{
	struct error err;
	struct digest digest;
	size_t found;
	scratch_fill(block, size, seed);
	digest_sha256(block, size, &digest);
	ASSERT_OK(store_get(store, &digest, copy, &found, &err));
	assert_int_equal(found, size);
	assert_memory_equal(block, copy, size);
}

static void put_is_once_and_get_is_whole(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	struct store_usage usage;
	struct store_location location;
	uint64_t added;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	struct digest digest = put_random(session, 1, STORE_BLOCK_SIZE, &added);
	assert_int_equal(added, STORE_BLOCK_SIZE + 4096);
	put_random(session, 1, STORE_BLOCK_SIZE, &added);
	assert_int_equal(added, 0);
	put_random(session, 2, 64, &added);
	ASSERT_OK(store_sync(store, &err));
	expect_random(store, 1, STORE_BLOCK_SIZE);
	expect_random(store, 2, 64);
	ASSERT_OK(store_locate(store, &digest, &location, &err));
	assert_int_equal(location.offset % 4096, 0);
	assert_int_equal(
		pread(location.fd, copy, STORE_BLOCK_SIZE, (off_t)location.offset), STORE_BLOCK_SIZE);
	scratch_fill(block, STORE_BLOCK_SIZE, 1);
	assert_memory_equal(block, copy, STORE_BLOCK_SIZE);
	store_get_usage(store, &usage);
	assert_int_equal(usage.objects, 2);
	digest.bytes[0] ^= 1;
	size_t size;
	ASSERT_FAILS(store_stat(store, &digest, &size, &err), ERROR_NOT_FOUND);
	struct store *second;
	ASSERT_FAILS(store_open(*state, &second, &err), ERROR_CONFLICT);
	store_session_close(session);
	store_close(store);
	ASSERT_OK(store_open(*state, &store, &err));
	expect_random(store, 1, STORE_BLOCK_SIZE);
	store_get_usage(store, &usage);
	assert_int_equal(usage.objects, 2);
	store_close(store);
}

static void index_grows_with_its_objects(void **state)
{
	struct error err;
	struct store *store, *reader;
	struct store_session *session;
	uint64_t faults;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_open_reader(*state, &reader, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	for (uint64_t i = 0; i < 3000; i++)
		put_random(session, i + 1, 64, NULL);
	for (uint64_t i = 0; i < 3000; i += 7) {
		expect_random(store, i + 1, 64);
		expect_random(reader, i + 1, 64);
	}
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	store_session_close(session);
	store_close(reader);
	store_close(store);
}

/* A process that puts and dies without closing; `cut` bytes are then torn off each pack's data. */
static void put_and_die(const char *folder, uint64_t from, uint64_t count, bool sync)
{
	pid_t child = fork();
	if (child == 0) {
		struct error err;
		struct store *store;
		struct store_session *session;
		if (store_open(folder, &store, &err) || store_session_open(store, &session, &err))
			_exit(1);
		for (uint64_t i = from; i < from + count; i++) {
			struct digest digest;
			scratch_fill(block, STORE_BLOCK_SIZE, i);
			digest_sha256(block, STORE_BLOCK_SIZE, &digest);
			if (store_put(session, STORE_BLOCK, &digest, block, STORE_BLOCK_SIZE, NULL, &err))
				_exit(2);
		}
		if (sync && store_sync(store, &err))
			_exit(3);
		kill(getpid(), SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void killed_writer_loses_nothing(void **state)
{
	struct error err;
	struct store *store;
	put_and_die(*state, 1, 5, true);
	put_and_die(*state, 6, 5, false);
	ASSERT_OK(store_open(*state, &store, &err));
	for (uint64_t i = 1; i <= 10; i++)
		expect_random(store, i, STORE_BLOCK_SIZE);
	store_close(store);
}

/* Bytes of the pack at an object's payload are lost, as a power cut does with what was not synced; `index` says what becomes of the index. */
static void tear(const char *folder, unsigned object, bool drop_index)
{
	char path[512];
	static const uint8_t junk[4096];
	snprintf(path, sizeof path, "%s/packs/0000000001.pack", folder);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	off_t at = 4096 + (off_t)object * (4096 + STORE_BLOCK_SIZE) + 4096 + 65536;
	assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
	close(fd);
	if (drop_index) {
		snprintf(path, sizeof path, "%s/index", folder);
		assert_int_equal(unlink(path), 0);
	}
}

static void torn_objects_are_cut_and_can_be_put_again(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	uint64_t faults, added;
	struct store_usage usage;
	put_and_die(*state, 1, 4, false);
	tear(*state, 1, true);
	tear(*state, 3, false);
	ASSERT_OK(store_open(*state, &store, &err));
	expect_random(store, 1, STORE_BLOCK_SIZE);
	expect_random(store, 3, STORE_BLOCK_SIZE);
	store_get_usage(store, &usage);
	assert_int_equal(usage.objects, 2);
	ASSERT_OK(store_session_open(store, &session, &err));
	put_random(session, 2, STORE_BLOCK_SIZE, &added);
	assert_int_not_equal(added, 0);
	put_random(session, 4, STORE_BLOCK_SIZE, &added);
	store_session_close(session);
	for (uint64_t i = 1; i <= 4; i++)
		expect_random(store, i, STORE_BLOCK_SIZE);
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	store_close(store);
	ASSERT_OK(store_open(*state, &store, &err));
	for (uint64_t i = 1; i <= 4; i++)
		expect_random(store, i, STORE_BLOCK_SIZE);
	store_close(store);
}

/* Makes the index look as if another boot had left it. */
static void pretend_reboot(const char *folder)
{
	char path[512], id[512], boot[36];
	int boot_fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
	assert_int_equal(read(boot_fd, boot, sizeof boot), sizeof boot);
	close(boot_fd);
	snprintf(path, sizeof path, "%s/index", folder);
	int fd = open(path, O_RDWR);
	assert_true(pread(fd, id, sizeof id, 0) == sizeof id);
	char *found = memmem(id, sizeof id, boot, sizeof boot);
	assert_non_null(found);
	memset(found, '#', 1);
	assert_true(pwrite(fd, id, sizeof id, 0) == sizeof id);
	close(fd);
}

static void after_a_loss_of_power_unsynced_entries_count_for_nothing(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	uint64_t added;
	put_and_die(*state, 1, 4, true);
	pretend_reboot(*state);
	tear(*state, 3, false);
	ASSERT_OK(store_open(*state, &store, &err));
	for (uint64_t i = 1; i <= 3; i++)
		expect_random(store, i, STORE_BLOCK_SIZE);
	ASSERT_OK(store_session_open(store, &session, &err));
	put_random(session, 4, STORE_BLOCK_SIZE, &added);
	assert_int_not_equal(added, 0);
	expect_random(store, 4, STORE_BLOCK_SIZE);
	store_session_close(session);
	store_close(store);
}

static void a_flipped_bit_is_found_and_not_handed_out(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	uint64_t faults;
	size_t size;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	struct digest digest = put_random(session, 1, STORE_BLOCK_SIZE, NULL);
	store_session_close(session);
	tear(*state, 0, false);
	ASSERT_FAILS(store_get(store, &digest, copy, &size, &err), ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "0000000001.pack"));
	ASSERT_OK(store_check(store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 1);
	store_close(store);
}

static void reader_in_another_process_sees_new_objects(void **state)
{
	struct error err;
	struct store *store;
	struct store_session *session;
	int to_child[2], from_child[2];
	char byte = 0;
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	assert_int_equal(pipe(to_child) | pipe(from_child), 0);
	pid_t child = fork();
	if (child == 0) {
		struct store *reader;
		struct digest digest;
		size_t size;
		close(to_child[1]);
		if (store_open_reader(*state, &reader, &err) || write(from_child[1], &byte, 1) != 1 ||
			read(to_child[0], &byte, 1) != 1)
			_exit(1);
		for (uint64_t i = 1; i <= 2000; i += 13) {
			scratch_fill(block, 64, i);
			digest_sha256(block, 64, &digest);
			if (store_get(reader, &digest, copy, &size, &err) || memcmp(block, copy, 64))
				_exit(2);
		}
		store_close(reader);
		_exit(0);
	}
	assert_int_equal(read(from_child[0], &byte, 1), 1);
	for (uint64_t i = 1; i <= 2000; i++) /* the index grows meanwhile */
		put_random(session, i, 64, NULL);
	assert_int_equal(write(to_child[1], &byte, 1), 1);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
	store_session_close(session);
	store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

static bool is_cached(int fd, uint64_t offset)
{
	struct iovec part = { .iov_base = copy, .iov_len = 4096 };
	return preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT) > 0;
}

/* Where the file system can: blocks that lie aligned do not pass through the page cache. What lies otherwise, and the small objects, do. */
static void streamed_blocks_pass_by_the_page_cache(void **state)
{
	enum { EXT4 = 0xEF53 };
	struct error err;
	struct store *store;
	struct store_session *session;
	struct store_location location;
	struct statfs where;
	uint8_t *aligned = aligned_alloc(4096, 2 * STORE_BLOCK_SIZE);
	struct digest digests[3];
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	store_session_stream(session);
	for (int i = 0; i < 3; i++) {
		uint8_t *data = aligned + (i == 1 ? 512 : 0);
		size_t size = i == 2 ? 1000 : STORE_BLOCK_SIZE;
		scratch_fill(data, size, 70 + (uint64_t)i);
		digest_sha256(data, size, &digests[i]);
		ASSERT_OK(store_put(session, STORE_BLOCK, &digests[i], data, size, NULL, &err));
	}
	ASSERT_OK(store_sync(store, &err));
	assert_int_equal(statfs(*state, &where), 0);
	for (int i = 0; i < 3; i++) {
		ASSERT_OK(store_locate(store, &digests[i], &location, &err));
		if (where.f_type == EXT4)
			assert_int_equal(is_cached(location.fd, location.offset), i != 0);
		store_return_pack(store, location.pack);
	}
	for (uint64_t i = 0; i < 3; i++)
		expect_random(store, 70 + i, i == 2 ? 1000 : STORE_BLOCK_SIZE);
	store_session_close(session);
	store_close(store);
	ASSERT_OK(store_open(*state, &store, &err));
	for (uint64_t i = 0; i < 3; i++)
		expect_random(store, 70 + i, i == 2 ? 1000 : STORE_BLOCK_SIZE);
	store_close(store);
	free(aligned);
}

/* Makes the pack one of an earlier version: the header's checksum is of no version. */
static void make_older(const char *path)
{
	uint8_t header[OBJECT_HEADER_SIZE];
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
	wire_put(header + 8, 4, 1);
	wire_put(header + 60, 4, checksum_crc32c(0, header, 60));
	assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
	close(fd);
}

/* At once and with one message, by writers and readers, index or not; and nothing is changed. */
static void a_store_of_another_version_is_refused(void **state)
{
	static const char message[] = "/packs is of format 1, which this version does not read (it reads 3)";
	struct store *store;
	struct store_session *session;
	struct error err;
	struct stat before, after;
	char path[512];
	ASSERT_OK(store_open(*state, &store, &err));
	ASSERT_OK(store_session_open(store, &session, &err));
	put_random(session, 1, 4096, NULL);
	store_session_close(session);
	store_close(store);
	make_older(scratch_path(state, "packs/0000000001.pack", path));
	ASSERT_FAILS(store_open(*state, &store, &err), ERROR_UNSUPPORTED);
	assert_non_null(strstr(err.message, message));
	ASSERT_FAILS(store_open_reader(*state, &store, &err), ERROR_UNSUPPORTED);
	/* a pack that was never begun says nothing, so the one before it does */
	close(open(scratch_path(state, "packs/0000000002.pack", path), O_WRONLY | O_CREAT, 0600));
	assert_int_equal(stat(scratch_path(state, "index", path), &before), 0);
	ASSERT_FAILS(store_open(*state, &store, &err), ERROR_UNSUPPORTED);
	assert_non_null(strstr(err.message, message));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(unlink(path), 0);
	ASSERT_FAILS(store_open(*state, &store, &err), ERROR_UNSUPPORTED);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(put_is_once_and_get_is_whole),
		TEST(a_store_of_another_version_is_refused), TEST(index_grows_with_its_objects),
		TEST(killed_writer_loses_nothing), TEST(torn_objects_are_cut_and_can_be_put_again),
		TEST(after_a_loss_of_power_unsynced_entries_count_for_nothing),
		TEST(a_flipped_bit_is_found_and_not_handed_out),
		TEST(reader_in_another_process_sees_new_objects),
		TEST(streamed_blocks_pass_by_the_page_cache) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
