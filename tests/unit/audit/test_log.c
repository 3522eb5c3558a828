/* The trail as it is written: durable, whole after every end, not to be changed unnoticed. */
#include "trail.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void records_are_durable_and_chained(void **state)
{
	struct trail *trail = *state;
	trail_fill(trail, 1, 1000);
	struct audit_verdict verdict = trail_verify(trail); /* while it is open */
	assert_true(verdict.whole);
	assert_int_equal(verdict.lines, 999);
	trail_close(trail);
	trail_open(trail);
	trail_fill(trail, 1000, 1010);
	verdict = trail_verify(trail);
	assert_true(verdict.whole);
	assert_int_equal(verdict.lines, 1009);
}

static void what_nobody_waits_for_is_written_all_the_same(void **state)
{
	struct trail *trail = *state;
	struct audit_verdict verdict;
	trail_append(trail, 1);
	for (int i = 0; i < 3000 && trail_verify(trail).lines < 1; i++)
		usleep(10000);
	verdict = trail_verify(trail);
	assert_int_equal(verdict.lines, 1);
	trail_append(trail, 2);
	trail_close(trail); /* at the latest */
	verdict = trail_verify(trail);
	assert_int_equal(verdict.lines, 2);
}

/* Whatever of the last lines is missing or torn behind what was synced: the next start goes on behind the last whole line. */
static void torn_end_is_cut_off(void **state)
{
	struct trail *trail = *state;
	char *whole, *head;
	size_t size, head_size;
	trail_fill(trail, 1, 4);
	char *head_path = arena_printf(trail->arena, "%s/head", trail->folder);
	trail_read(trail, head_path, &head, &head_size); /* of three lines */
	trail_fill(trail, 4, 7);
	trail_close(trail);
	char *path = trail_path(trail, 0);
	trail_read(trail, path, &whole, &size);
	size_t line = size / 6;
	for (size_t end = size / 2; end <= size; end += 61) {
		trail_write(head_path, head, head_size);
		trail_write(path, whole, end);
		if (end % 2) { /* as a power loss may leave it */
			int fd = open(path, O_WRONLY | O_CLOEXEC);
			assert_int_equal(ftruncate(fd, (off_t)end + 5000), 0);
			close(fd);
		}
		trail_open(trail);
		struct audit_verdict verdict = trail_verify(trail);
		assert_true(verdict.whole);
		assert_false(verdict.torn);
		assert_in_range(verdict.lines, end / (line + 1), end / (line - 1));
		trail_append(trail, 99);
		trail_close(trail);
		uint64_t before = verdict.lines;
		verdict = trail_verify(trail);
		assert_true(verdict.whole);
		assert_int_equal(verdict.lines, before + 1);
	}
}

static void every_changed_byte_is_found(void **state)
{
	struct trail *trail = *state;
	char *whole;
	size_t size;
	trail_fill(trail, 1, 4);
	trail_close(trail);
	char *path = trail_path(trail, 0);
	trail_read(trail, path, &whole, &size);
	for (size_t at = 0; at < size; at++) {
		char *changed = arena_memdup(trail->arena, whole, size);
		changed[at] ^= 1;
		trail_write(path, changed, size);
		if (trail_verify(trail).whole)
			fail_msg("byte %zu of %zu", at, size);
	}
	for (size_t cut = 0; cut < size; cut += 3) {
		trail_write(path, whole, cut);
		if (trail_verify(trail).whole)
			fail_msg("cut at %zu of %zu", cut, size);
	}
	trail_write(path, whole, size);
	assert_true(trail_verify(trail).whole);
	assert_int_equal(unlink(path), 0);
	assert_false(trail_verify(trail).whole);
}

/* What is missing stays missed, whatever is written afterwards. */
static void cut_end_is_found_after_the_next_start(void **state)
{
	struct trail *trail = *state;
	char *whole;
	size_t size;
	trail_fill(trail, 1, 8);
	trail_close(trail);
	char *path = trail_path(trail, 0);
	trail_read(trail, path, &whole, &size);
	trail_write(path, whole, size / 2);
	log_set_level((enum log_level) - 1);
	trail_open(trail);
	log_set_level(LOG_ERROR);
	trail_fill(trail, 8, 20);
	struct audit_verdict verdict = trail_verify(trail);
	assert_false(verdict.whole);
	assert_non_null(strstr(verdict.fault, "line 4"));
}

static void files_end_with_their_day_and_old_ones_go(void **state)
{
	struct trail *trail = *state;
	trail_fill(trail, 1, 10);
	char *first = trail_path(trail, 0);
	clock_advance(24LL * 3600 * 1000);
	trail_fill(trail, 10, 20);
	assert_string_not_equal(first, trail_path(trail, 1));
	struct audit_verdict verdict = trail_verify(trail);
	assert_true(verdict.whole);
	assert_int_equal(verdict.files, 2);
	clock_advance(90LL * 24 * 3600 * 1000);
	trail_fill(trail, 20, 30);
	assert_int_equal(access(first, F_OK), -1);
	verdict = trail_verify(trail);
	assert_true(verdict.whole);
	assert_int_equal(verdict.lines, 20);
	/* one that goes before its time is missed */
	assert_int_equal(unlink(trail_path(trail, 0)), 0);
	assert_false(trail_verify(trail).whole);
}

static void full_disk_refuses_calls_and_loses_no_record(void **state)
{
	struct trail *trail = *state;
	struct rlimit old, limit;
	struct stat status;
	struct error err;
	trail_fill(trail, 1, 10);
	assert_int_equal(audit_log_admit(trail->log, true, &err), 0);
	assert_int_equal(stat(trail_path(trail, 0), &status), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ (rlim_t)status.st_size + 10, old.rlim_max };
	log_set_level((enum log_level) - 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	uint64_t number = trail_append(trail, 10);
	assert_int_equal(audit_log_sync(trail->log, number, &err), -1);
	assert_int_equal(audit_log_admit(trail->log, true, &err), -1);
	assert_int_equal(audit_log_admit(trail->log, false, &err), 0); /* there is room in memory */
	trail_append(trail, 11);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	for (int i = 0; i < 3000 && audit_log_admit(trail->log, true, &err); i++)
		usleep(10000);
	log_set_level(LOG_ERROR);
	assert_int_equal(audit_log_admit(trail->log, true, &err), 0);
	trail_fill(trail, 12, 13);
	struct audit_verdict verdict = trail_verify(trail);
	assert_true(verdict.whole);
	assert_int_equal(verdict.lines, 12);
}

int main(void)
{
#define TRAIL_TEST(name) cmocka_unit_test_setup_teardown(name, trail_setup, trail_teardown)
	const struct CMUnitTest tests[] = {
		TRAIL_TEST(records_are_durable_and_chained),
		TRAIL_TEST(what_nobody_waits_for_is_written_all_the_same),
		TRAIL_TEST(torn_end_is_cut_off),
		TRAIL_TEST(every_changed_byte_is_found),
		TRAIL_TEST(cut_end_is_found_after_the_next_start),
		TRAIL_TEST(full_disk_refuses_calls_and_loses_no_record),
		TRAIL_TEST(files_end_with_their_day_and_old_ones_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
