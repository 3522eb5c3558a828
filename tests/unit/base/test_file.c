/* Reading whole files: of any size up to the limit, of none that is known beforehand, and of too much. */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "scratch.h"

static const char *make(void **state, size_t size, bool sparse)
{
	static char path[512];
	static uint8_t bytes[70000];
	scratch_path(state, "file", path);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	if (sparse) {
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
	} else {
		scratch_fill(bytes, size, size);
		assert_int_equal(file_write_full(fd, bytes, size), 0);
	}
	close(fd);
	return path;
}

static void reads_what_is_there(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 65536, 70000 };
	static uint8_t expected[70000];
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct error err;
		char *data;
		size_t size;
		const char *path = make(state, sizes[i], false);
		scratch_fill(expected, sizes[i], sizes[i]);
		ASSERT_OK(file_read(path, sizes[i], arena, &data, &size, &err));
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(data, expected, size);
		assert_int_equal(data[size], 0);
		if (sizes[i])
			ASSERT_FAILS(file_read(path, sizes[i] - 1, arena, &data, &size, &err), ERROR_INVALID);
	}
}

/* Pipes and files below /proc say that they are empty. */
static void reads_what_says_no_size(void **state)
{
	(void)state;
	static uint8_t bytes[60000];
	struct error err;
	for (unsigned round = 0; round < 2; round++) {
		struct arena *arena ARENA_SCOPED = arena_create();
		char path[64], *data;
		size_t size;
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		scratch_fill(bytes, sizeof bytes, 3);
		assert_int_equal(file_write_full(ends[1], bytes, sizeof bytes), 0);
		close(ends[1]);
		snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
		if (round) {
			ASSERT_FAILS(file_read(path, 5000, arena, &data, &size, &err), ERROR_INVALID);
		} else {
			ASSERT_OK(file_read(path, 1 << 20, arena, &data, &size, &err));
			assert_int_equal(size, sizeof bytes);
			assert_memory_equal(data, bytes, size);
		}
		close(ends[0]);
	}
}

static void takes_no_memory_for_what_is_too_large(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct error err;
	char *data;
	size_t size;
	ASSERT_FAILS(
		file_read(make(state, 1ULL << 42, true), 1000, arena, &data, &size, &err), ERROR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(reads_what_is_there), TEST(reads_what_says_no_size),
		TEST(takes_no_memory_for_what_is_too_large) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
