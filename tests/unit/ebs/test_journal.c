/* Journals of uploads: what is read again after which damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/file.h"
#include "svc/ebs/journal.h"

#define SNAPSHOT "snap-0123456789abcdef0"
enum { RECORD = 64 };

struct scene {
	char folder[64], path[128];
	struct error err;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	snprintf(s->folder, sizeof s->folder, "/tmp/amid-journal-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->path, sizeof s->path, "%s/j", s->folder);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	assert_int_equal(file_remove_tree(s->folder, &s->err), 0);
	free(s);
	return 0;
}

static struct journal *reopen(struct scene *s)
{
	struct journal *journal;
	if (journal_open(s->path, SNAPSHOT, &journal, &s->err))
		fail_msg("%s", s->err.message);
	return journal;
}

static void append(struct scene *s, struct journal *journal, uint64_t index, unsigned char fill)
{
	struct journal_entry entry = { .index = index, .added = fill, .zero = fill == 0 };
	memset(entry.digest.bytes, fill, DIGEST_SIZE);
	if (journal_append(journal, &entry, 1, &s->err))
		fail_msg("%s", s->err.message);
}

/* Writes the first `count` blocks, filled with 1, 2, ... */
static void write_some(struct scene *s, unsigned count)
{
	struct journal *journal = reopen(s);
	for (unsigned i = 0; i < count; i++)
		append(s, journal, i, (unsigned char)(i + 1));
	journal_close(journal);
}

static size_t count_entries(struct scene *s)
{
	struct journal *journal = reopen(s);
	struct journal_entry *entries;
	size_t count;
	assert_int_equal(journal_load(journal, &entries, &count, &s->err), 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(entries[i].index, i);
		assert_int_equal(entries[i].digest.bytes[31], i + 1);
		assert_int_equal(entries[i].added, i + 1);
	}
	free(entries);
	journal_close(journal);
	return count;
}

static void damage(struct scene *s, off_t at)
{
	int fd = open(s->path, O_RDWR);
	uint8_t byte;
	assert_int_equal(file_pread_full(fd, &byte, 1, at), 0);
	byte ^= 0x10;
	assert_int_equal(file_pwrite_full(fd, &byte, 1, at), 0);
	close(fd);
}

static void entries_are_there_after_reopening(void **state)
{
	write_some(*state, 5);
	assert_int_equal(count_entries(*state), 5);
}

static void many_entries_are_there_after_reopening(void **state)
{
	struct scene *s = *state;
	struct journal *journal = reopen(s);
	struct journal_entry *entries;
	size_t count;
	for (unsigned i = 0; i < 2500; i++)
		append(s, journal, i, 7);
	journal_close(journal);
	journal = reopen(s);
	assert_int_equal(journal_load(journal, &entries, &count, &s->err), 0);
	assert_int_equal(count, 2500);
	assert_int_equal(entries[2499].index, 2499);
	free(entries);
	journal_close(journal);
}

static void the_latest_of_a_block_counts_and_order_is_by_index(void **state)
{
	struct scene *s = *state;
	struct journal *journal = reopen(s);
	struct journal_entry *entries;
	size_t count;
	append(s, journal, 9, 1);
	append(s, journal, 3, 2);
	append(s, journal, 9, 0);
	assert_int_equal(journal_load(journal, &entries, &count, &s->err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(entries[0].index, 3);
	assert_int_equal(entries[1].index, 9);
	assert_true(entries[1].zero);
	assert_false(entries[0].zero);
	free(entries);
	journal_close(journal);
}

static void a_torn_end_is_cut_and_written_over(void **state)
{
	struct scene *s = *state;
	for (off_t byte = 0; byte < RECORD; byte += 7) {
		unlink(s->path);
		write_some(s, 5);
		damage(s, RECORD + 4 * RECORD + byte);
		assert_int_equal(count_entries(s), 4);
		struct journal *journal = reopen(s);
		append(s, journal, 4, 5);
		journal_close(journal);
		assert_int_equal(count_entries(s), 5);
	}
}

static void what_stood_behind_a_torn_record_does_not_come_back(void **state)
{
	struct scene *s = *state;
	write_some(s, 5);
	damage(s, RECORD + 2 * RECORD + 3);
	assert_int_equal(count_entries(s), 2);
	struct journal *journal = reopen(s);
	append(s, journal, 2, 3);
	journal_close(journal);
	assert_int_equal(count_entries(s), 3);
}

static void a_file_cut_anywhere_keeps_its_whole_records(void **state)
{
	struct scene *s = *state;
	for (off_t size = RECORD; size <= 4 * RECORD; size += 13) {
		unlink(s->path);
		write_some(s, 5);
		assert_int_equal(truncate(s->path, size), 0);
		assert_int_equal(count_entries(s), size / RECORD - 1);
	}
}

static void another_snapshots_journal_is_refused(void **state)
{
	struct scene *s = *state;
	struct journal *journal;
	write_some(s, 1);
	assert_int_equal(journal_open(s->path, "snap-0123456789abcdef1", &journal, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
}

static void a_damaged_header_is_refused(void **state)
{
	struct scene *s = *state;
	struct journal *journal;
	write_some(s, 1);
	damage(s, 1);
	assert_int_equal(journal_open(s->path, SNAPSHOT, &journal, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
	assert_int_equal(truncate(s->path, 0), 0);
	assert_int_equal(journal_open(s->path, SNAPSHOT, &journal, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
}

struct writer {
	struct scene *scene;
	struct journal *journal;
	unsigned first;
};

static void *write_hundred(void *context)
{
	struct writer *writer = context;
	for (unsigned i = 0; i < 100; i++) {
		struct journal_entry entry = { .index = writer->first + i };
		struct error err;
		if (journal_append(writer->journal, &entry, 1, &err))
			return context;
	}
	return NULL;
}

static void threads_append_at_the_same_time(void **state)
{
	struct scene *s = *state;
	pthread_t threads[8];
	struct writer writers[8];
	struct journal *journal = reopen(s);
	struct journal_entry *entries;
	size_t count;
	for (unsigned i = 0; i < 8; i++) {
		writers[i] = (struct writer){ s, journal, i * 100 };
		assert_int_equal(pthread_create(&threads[i], NULL, write_hundred, &writers[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	journal_close(journal);
	journal = reopen(s);
	assert_int_equal(journal_load(journal, &entries, &count, &s->err), 0);
	assert_int_equal(count, 800);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(entries[i].index, i);
	free(entries);
	journal_close(journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(entries_are_there_after_reopening),
		TEST(many_entries_are_there_after_reopening),
		TEST(the_latest_of_a_block_counts_and_order_is_by_index),
		TEST(a_torn_end_is_cut_and_written_over),
		TEST(what_stood_behind_a_torn_record_does_not_come_back),
		TEST(a_file_cut_anywhere_keeps_its_whole_records),
		TEST(another_snapshots_journal_is_refused),
		TEST(a_damaged_header_is_refused),
		TEST(threads_append_at_the_same_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
