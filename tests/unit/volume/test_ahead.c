/* Space ahead of sequential writers: only of them, bounded, and never beyond the file. */
#include <fcntl.h>
#include <sys/stat.h>

#include "place.h"
#include "volume/ahead.h"

enum { MIB = 1 << 20, FILE_MIB = 256 };

static struct ahead ahead;
static struct space_reserve kept;
static const char *folder;

static int make_file(void **state)
{
	char path[300];
	folder = *state;
	kept = SPACE_RESERVE_DEFAULT;
	snprintf(path, sizeof path, "%s/file", (char *)*state);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)FILE_MIB * MIB), 0);
	ahead_init(&ahead);
	return fd;
}

static uint64_t reserved(int fd)
{
	struct stat status;
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, (off_t)FILE_MIB * MIB);
	return (uint64_t)status.st_blocks * 512;
}

static void note(int fd, uint64_t offset, uint64_t size)
{
	ahead_note_write(&ahead, fd, (uint64_t)FILE_MIB * MIB, offset, size, folder, &kept);
}

static void a_run_gets_half_of_its_length(void **state)
{
	int fd = make_file(state);
	/* as four requests in flight arrive */
	static const unsigned order[] = { 1, 0, 3, 2, 5, 4, 7, 6 };
	for (unsigned i = 0; i < 8; i++)
		note(fd, (uint64_t)order[i] * MIB, MIB);
	uint64_t got = reserved(fd);
	/* up to half of the run beyond its end, without its beginning */
	assert_true(got >= 2 * MIB && got <= 12 * MIB);
	for (unsigned i = 8; i < 64; i++)
		note(fd, (uint64_t)i * MIB, MIB);
	/* nothing of it was written here, so this is what was reserved in front of each write, and ahead of the last */
	got = reserved(fd);
	assert_true(got >= 48ULL * MIB && got <= 96ULL * MIB);
	close(fd);
	ahead_destroy(&ahead);
}

static void what_is_no_run_gets_nothing(void **state)
{
	int fd = make_file(state);
	for (unsigned i = 0; i < 20; i++)
		note(fd, (uint64_t)(i * 89 % 23) * 11 * MIB, 64 << 10);
	for (unsigned i = 0; i < 10000; i++)
		note(fd, (uint64_t)i * 4096, 4096);
	assert_int_equal(reserved(fd), 0);
	close(fd);
	ahead_destroy(&ahead);
}

static void nothing_is_reserved_beyond_the_end(void **state)
{
	int fd = make_file(state);
	for (unsigned i = FILE_MIB - 16; i < FILE_MIB; i++)
		note(fd, (uint64_t)i * MIB, MIB);
	uint64_t got = reserved(fd);
	assert_true(got > 0 && got <= 16 * MIB);
	close(fd);
	ahead_destroy(&ahead);
}

static void nothing_is_reserved_of_the_reserve(void **state)
{
	int fd = make_file(state);
	kept = (struct space_reserve){ .bytes = UINT64_MAX }; /* all of the disk */
	for (unsigned i = 0; i < 64; i++)
		note(fd, (uint64_t)i * MIB, MIB);
	assert_int_equal(reserved(fd), 0);
	close(fd);
	ahead_destroy(&ahead);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_run_gets_half_of_its_length),
		TEST(what_is_no_run_gets_nothing), TEST(nothing_is_reserved_beyond_the_end),
		TEST(nothing_is_reserved_of_the_reserve) };
	return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
