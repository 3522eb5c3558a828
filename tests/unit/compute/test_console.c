/* The console's file: the newest output, and the bound on its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "compute/console.h"
#include "folder.h"
#include "base/banned.h"

static void write_lines(int fd, int from, int to)
{
	char line[64];
	for (int i = from; i < to; i++) {
		int size = snprintf(line, sizeof line, "line %09d .................\n", i);
		assert_int_equal(file_write_full(fd, line, (size_t)size), 0);
	}
}

static void the_newest_stays(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct error err;
	struct stat status;
	char *data;
	size_t size;
	int64_t modified_ms;
	assert_int_equal(console_read(test_folder, 100, arena, &data, &size, &modified_ms, &err), 0);
	assert_int_equal(size, 0);
	assert_int_equal(console_trim(test_folder, &err), 0);
	int fd FILE_SCOPED =
		open(console_path(arena, test_folder), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int lines = 0;
	for (int round = 0; round < 5; round++) {
		write_lines(fd, lines, lines + 100000);
		lines += 100000;
		assert_int_equal(console_trim(test_folder, &err), 0);
		assert_int_equal(fstat(fd, &status), 0);
		assert_true(status.st_size <= CONSOLE_TRIM && status.st_size >= CONSOLE_KEEP);
	}
	write_lines(fd, lines, lines + 1); /* through the descriptor that was open all the time */
	assert_int_equal(console_read(test_folder, 64 << 10, arena, &data, &size, &modified_ms, &err), 0);
	assert_int_equal(size, 64 << 10);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(
		modified_ms, (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000);
	int expected = lines;
	for (char *end = data + size; end - data > 64; expected--) {
		end -= 33;
		char line[64];
		snprintf(line, sizeof line, "line %09d .................\n", expected);
		assert_memory_equal(end, line, 33);
	}
}

static void trimming_is_not_output(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct error err;
	const char *path = console_path(arena, test_folder);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1700000000 } };
	struct stat status;
	int fd FILE_SCOPED = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	write_lines(fd, 0, 100000);
	assert_int_equal(futimens(fd, times), 0);
	assert_int_equal(console_trim(test_folder, &err), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mtim.tv_sec, 1700000000);
	assert_true(status.st_size < CONSOLE_TRIM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_stays),
		cmocka_unit_test(trimming_is_not_output),
	};
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
