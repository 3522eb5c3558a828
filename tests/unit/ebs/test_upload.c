/* Uploads through their handlers: what is promised holds over restarts, collections and time. */
#include "scene.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "svc/ebs/upload_internal.h"

#define BLOCKS(...) ((const int[]){ __VA_ARGS__, -1 })
#define FILLS(...) ((const unsigned char[]){ __VA_ARGS__ })
static const int none[] = { -1 };

static void written_blocks_are_read_again(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	ebs_put(s, id, 5, 'a');
	ebs_put(s, id, 2047, 'b');
	ebs_put(s, id, 0, 'c');
	ebs_put(s, id, 5, 'd');
	ebs_complete(s, id, 3);
	ebs_assert_blocks(s, id, BLOCKS(0, 5, 2047), FILLS('c', 'd', 'b'));
	assert_string_equal(ebs_record(s, id)->state, "completed");
	assert_int_equal(ebs_record(s, id)->full_bytes.value, 3 * STORE_BLOCK_SIZE);
}

static void an_empty_snapshot_is_one(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 65536, NULL);
	ebs_complete(s, id, 0);
	ebs_assert_blocks(s, id, none, NULL);
}

static void zeros_are_not_stored_but_replace_what_was_there(void **state)
{
	struct scene *s = *state;
	const char *parent = ebs_start(s, 1, NULL);
	ebs_put(s, parent, 1, 'a');
	ebs_put(s, parent, 2, 'b');
	ebs_put(s, parent, 3, 0);
	ebs_complete(s, parent, 3);
	ebs_assert_blocks(s, parent, BLOCKS(1, 2), FILLS('a', 'b'));
	const char *child = ebs_start(s, 2, parent);
	ebs_put(s, child, 1, 0);
	ebs_put(s, child, 4000, 'c');
	ebs_complete(s, child, 2);
	ebs_assert_blocks(s, child, BLOCKS(2, 4000), FILLS('b', 'c'));
	ebs_assert_blocks(s, parent, BLOCKS(1, 2), FILLS('a', 'b'));
}

static void an_upload_goes_on_after_a_restart(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL), *untouched = ebs_start(s, 1, NULL);
	ebs_put(s, id, 1, 'a');
	ebs_put(s, id, 2, 'b');
	for (int i = 0; i < 2; i++) {
		ebs_restart(s);
		ebs_collect(s);
		ebs_put(s, id, 10 + i, 'c');
	}
	ebs_put(s, untouched, 7, 'd');
	ebs_collect(s);
	ebs_complete(s, id, 4);
	ebs_complete(s, untouched, 1);
	ebs_collect(s);
	ebs_assert_blocks(s, id, BLOCKS(1, 2, 10, 11), FILLS('a', 'b', 'c', 'c'));
	ebs_assert_blocks(s, untouched, BLOCKS(7), FILLS('d'));
}

static void more_puts_at_once_than_allowed_are_throttled(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	struct upload *upload = NULL;
	for (int i = 0; i < UPLOAD_PUTS_MAX; i++)
		upload = upload_take(s->amid.uploads, ebs_record(s, id));
	assert_int_equal(ebs_try_put(s, id, 1, 'a'), ERROR_REQUEST_THROTTLED);
	upload_release(s->amid.uploads, upload);
	ebs_put(s, id, 1, 'a');
	for (int i = 1; i < UPLOAD_PUTS_MAX; i++)
		upload_release(s->amid.uploads, upload);
	ebs_complete(s, id, 1);
}

static void delete_record(struct scene *s, const char *id)
{
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_snapshot, ebs_record(s, id));
	assert_int_equal(meta_commit(s->meta, batch, &s->err), 0);
}

static void a_parent_may_be_deleted_meanwhile(void **state)
{
	struct scene *s = *state;
	const char *parent = ebs_start(s, 1, NULL);
	ebs_put(s, parent, 1, 'a');
	ebs_complete(s, parent, 1);
	const char *child = ebs_start(s, 1, parent);
	delete_record(s, parent);
	ebs_collect(s);
	ebs_put(s, child, 2, 'b');
	ebs_restart(s);
	ebs_collect(s);
	ebs_complete(s, child, 1);
	ebs_assert_blocks(s, child, BLOCKS(1, 2), FILLS('a', 'b'));
}

static bool has_journal(struct scene *s, const char *id)
{
	return access(arena_printf(s->arena, "%s/%s.journal", s->regions[0].uploads_folder, id), F_OK) == 0;
}

/* The watcher looks once a second. */
static bool journal_goes(struct scene *s, const char *id)
{
	for (int i = 0; i < 500 && has_journal(s, id); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	return !has_journal(s, id);
}

static void a_deleted_snapshot_takes_no_more_blocks(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	ebs_put(s, id, 1, 'a');
	assert_true(has_journal(s, id));
	delete_record(s, id);
	assert_error(ebs_try_put(s, id, 2, 'b'), ERROR_RESOURCE_NOT_FOUND);
	assert_error(ebs_try_complete(s, id, 1), ERROR_RESOURCE_NOT_FOUND);
	assert_true(journal_goes(s, id));
}

static void journals_of_snapshots_that_are_gone_go_at_the_start(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	ebs_put(s, id, 1, 'a');
	uploads_close(s->amid.uploads);
	delete_record(s, id);
	assert_int_equal(uploads_open(&s->amid, &s->amid.uploads, &s->err), 0);
	assert_false(has_journal(s, id));
}

static void an_idle_upload_becomes_an_error(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	ebs_put(s, id, 1, 'a');
	clock_advance(59 * 60 * 1000);
	ebs_put(s, id, 2, 'a');
	clock_advance(59 * 60 * 1000);
	ebs_put(s, id, 3, 'a');
	clock_advance(61 * 60 * 1000);
	assert_true(journal_goes(s, id));
	assert_string_equal(ebs_record(s, id)->state, "error");
	assert_non_null(ebs_record(s, id)->state_message);
	assert_error(ebs_try_put(s, id, 4, 'a'), ERROR_VALIDATION);
}

static void a_damaged_journal_fails_its_upload_only(void **state)
{
	struct scene *s = *state;
	const char *bad = ebs_start(s, 1, NULL), *good = ebs_start(s, 1, NULL);
	ebs_put(s, bad, 1, 'a');
	ebs_put(s, good, 1, 'b');
	uploads_close(s->amid.uploads);
	assert_int_equal(
		truncate(arena_printf(s->arena, "%s/%s.journal", s->regions[0].uploads_folder, bad), 3), 0);
	if (uploads_open(&s->amid, &s->amid.uploads, &s->err))
		fail_msg("%s", s->err.message);
	assert_string_equal(ebs_record(s, bad)->state, "error");
	ebs_complete(s, good, 1);
}

static void wrong_counts_are_refused_and_can_be_corrected(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	ebs_put(s, id, 1, 'a');
	assert_error(ebs_try_complete(s, id, 2), ERROR_VALIDATION);
	ebs_complete(s, id, 1);
	ebs_complete(s, id, 1); /* asked again */
	assert_error(ebs_try_put(s, id, 2, 'b'), ERROR_VALIDATION);
}

static void blocks_outside_of_the_volume_are_refused(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	assert_error(ebs_try_put(s, id, 2048, 'a'), ERROR_VALIDATION);
	assert_error(ebs_try_put(s, "snap-00000000000000000", 0, 'a'), ERROR_RESOURCE_NOT_FOUND);
	assert_error(ebs_try_put(s, "snap-x", 0, 'a'), ERROR_VALIDATION);
}

static void other_accounts_do_not_see_it(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	s->call.account = "222222222222";
	assert_error(ebs_try_put(s, id, 1, 'a'), ERROR_RESOURCE_NOT_FOUND);
	assert_error(ebs_try_complete(s, id, 0), ERROR_RESOURCE_NOT_FOUND);
}

struct putter {
	struct uploads *uploads;
	struct snapshot_record *snapshot;
	uint64_t first;
};

enum { PUTTERS = 8, PUTS = 40, PUTS_AT_ONCE = 4 };

struct source {
	uint64_t index, end;
	uint8_t *data;
};

static int next_block(void *context, struct upload_block *block, struct error *err)
{
	struct source *source = context;
	(void)err;
	if (source->index == source->end)
		return 0;
	memset(source->data, 1, STORE_BLOCK_SIZE);
	memcpy(source->data, &source->index, sizeof source->index);
	*block = (struct upload_block){ .index = source->index++, .data = source->data };
	digest_sha256(block->data, STORE_BLOCK_SIZE, &block->digest);
	return 1;
}

static void *put_blocks(void *context)
{
	const struct putter *putter = context;
	struct source source = { .index = putter->first, .data = malloc(STORE_BLOCK_SIZE) };
	struct error err;
	void *failed = NULL;
	while (source.index < putter->first + PUTS && !failed) {
		source.end = source.index + PUTS_AT_ONCE;
		if (upload_put(putter->uploads, putter->snapshot, next_block, &source, &err))
			failed = context;
	}
	free(source.data);
	return failed;
}

static void many_blocks_are_put_at_once(void **state)
{
	struct scene *s = *state;
	const char *id = ebs_start(s, 1, NULL);
	struct putter putters[PUTTERS];
	pthread_t threads[PUTTERS];
	int64_t begun_ms = clock_monotonic_ms();
	for (unsigned i = 0; i < PUTTERS; i++) {
		putters[i] = (struct putter){ s->amid.uploads, ebs_record(s, id), i * PUTS };
		assert_int_equal(pthread_create(&threads[i], NULL, put_blocks, &putters[i]), 0);
	}
	for (unsigned i = 0; i < PUTTERS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	print_message("%d blocks of 512 KiB by %d threads: %lld ms\n", PUTTERS * PUTS, PUTTERS,
		(long long)(clock_monotonic_ms() - begun_ms));
	ebs_complete(s, id, PUTTERS * PUTS);
	assert_int_equal(ebs_record(s, id)->full_bytes.value, (int64_t)PUTTERS * PUTS * STORE_BLOCK_SIZE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ebs_scene_setup, ebs_scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_blocks_are_read_again),
		TEST(an_empty_snapshot_is_one),
		TEST(zeros_are_not_stored_but_replace_what_was_there),
		TEST(an_upload_goes_on_after_a_restart),
		TEST(more_puts_at_once_than_allowed_are_throttled),
		TEST(a_parent_may_be_deleted_meanwhile),
		TEST(a_deleted_snapshot_takes_no_more_blocks),
		TEST(journals_of_snapshots_that_are_gone_go_at_the_start),
		TEST(an_idle_upload_becomes_an_error),
		TEST(a_damaged_journal_fails_its_upload_only),
		TEST(wrong_counts_are_refused_and_can_be_corrected),
		TEST(blocks_outside_of_the_volume_are_refused),
		TEST(other_accounts_do_not_see_it),
		TEST(many_blocks_are_put_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
