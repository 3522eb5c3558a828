/*
 * Disks that fail: SQLite's calls of the system are led through here, and some made to fail. What must hold: a
 * full disk fails the commit and nothing else; after a failed fsync nothing is acknowledged until the file is
 * opened again; every acknowledged commit was synced.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "things.h"
#include "base/clock.h"

static struct {
	sqlite3_vfs shim;
	sqlite3_vfs *real;
	sqlite3_io_methods methods[2]; /* of files with and without locks */
	const sqlite3_io_methods *replaced[2];
	_Atomic int write_result, sync_result; /* what to fail with; SQLITE_OK: not */
	_Atomic int checkpoint_sync_result;    /* the same, for syncs of all files but the writer's log */
	_Atomic int log_syncs;                 /* syncs of the write-ahead log that succeeded */
	sqlite3_file *_Atomic log;
} faults;

static int faulty_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	int result = atomic_load(&faults.write_result);
	return result ? result : faults.replaced[0]->xWrite(file, data, size, offset);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
	int result = atomic_load(&faults.sync_result);
	if (!result && file != atomic_load(&faults.log))
		result = atomic_load(&faults.checkpoint_sync_result);
	if (!result)
		result = faults.replaced[0]->xSync(file, flags);
	if (!result && file == atomic_load(&faults.log))
		atomic_fetch_add(&faults.log_syncs, 1);
	return result;
}

/* The files' tables of methods are shared by kind of file; each gets a copy with two entries of ours. */
static int faulty_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
	int result = faults.real->xOpen(faults.real, name, file, flags, out);
	if (result || !file->pMethods)
		return result;
	sqlite3_file *none = NULL;
	if (flags & SQLITE_OPEN_WAL)
		atomic_compare_exchange_strong(&faults.log, &none, file); /* the writer's: it opens first */
	for (int i = 0; i < 2; i++) {
		if (!faults.replaced[i]) {
			faults.replaced[i] = file->pMethods;
			faults.methods[i] = *file->pMethods;
			faults.methods[i].xWrite = faulty_write;
			faults.methods[i].xSync = faulty_sync;
		}
		if (faults.replaced[i] == file->pMethods) {
			file->pMethods = &faults.methods[i];
			return result;
		}
	}
	return result;
}

static int install_shim(void **state)
{
	faults.real = sqlite3_vfs_find(NULL);
	faults.shim = *faults.real;
	faults.shim.zName = "faulty";
	faults.shim.xOpen = faulty_open;
	return sqlite3_vfs_register(&faults.shim, 1);
}

static int clear_faults(void **state)
{
	atomic_store(&faults.write_result, SQLITE_OK);
	atomic_store(&faults.sync_result, SQLITE_OK);
	atomic_store(&faults.checkpoint_sync_result, SQLITE_OK);
	atomic_store(&faults.log, NULL);
	return scratch_teardown(state);
}

static void a_commit_is_synced_before_it_is_acknowledged(void **state)
{
	struct scratch *s = *state;
	for (int i = 0; i < 20; i++) {
		int before = atomic_load(&faults.log_syncs);
		assert_int_equal(
			thing_put(s, thing_create(s, arena_printf(s->arena, "t-%d", i), NULL, NULL)), 0);
		assert_true(atomic_load(&faults.log_syncs) > before);
	}
}

static void a_full_disk_fails_the_commit_and_no_later_one(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "a", "on")), 0);
	atomic_store(&faults.write_result, SQLITE_FULL);
	assert_int_equal(thing_put(s, thing_create(s, "t-2", "b", "on")), ERROR_NO_SPACE);
	assert_int_equal(thing_put(s, thing_create(s, "t-2", "b", "on")), ERROR_NO_SPACE);
	assert_string_equal(thing_ids(s, NULL), "t-1 ");
	assert_int_equal(meta_last_change(s->meta), 1);
	atomic_store(&faults.write_result, SQLITE_OK);
	assert_int_equal(thing_put(s, thing_create(s, "t-3", "b", "on")), 0);
	assert_int_equal(meta_last_change(s->meta), 2);
	assert_int_equal(scratch_faults(s), 0);
	scratch_reopen(s);
	assert_string_equal(thing_ids(s, NULL), "t-1 t-3 ");
}

static void after_a_failed_sync_nothing_is_acknowledged_until_reopened(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "a", "on")), 0);
	atomic_store(&faults.sync_result, SQLITE_IOERR_FSYNC);
	assert_int_equal(thing_put(s, thing_create(s, "t-2", "b", "on")), ERROR_INTERNAL);
	/* the kernel reports a failed write-back once, then fsync succeeds although data is gone */
	atomic_store(&faults.sync_result, SQLITE_OK);
	assert_int_equal(thing_put(s, thing_create(s, "t-3", "c", "on")), ERROR_UNAVAILABLE);
	assert_string_equal(thing_ids(s, NULL), "t-1 ");
	assert_int_equal(meta_last_change(s->meta), 1);
	scratch_reopen(s);
	assert_int_equal(scratch_faults(s), 0);
	assert_int_equal(thing_put(s, thing_create(s, "t-3", "c", "on")), 0);
	assert_non_null(thing_get(s, "t-1"));
	assert_null(thing_get(s, "t-9"));
}

/* Puts records of 100 KiB until `bytes` are in. */
static void put_bulk(struct scratch *s, const char *prefix, size_t bytes)
{
	enum { SIZE = 100 << 10 };
	struct arena *arena ARENA_SCOPED = arena_create();
	uint8_t *data = arena_alloc(arena, SIZE);
	for (size_t i = 0; i < bytes / SIZE; i++) {
		struct thing_record *thing =
			thing_create(s, arena_printf(s->arena, "%s-%zu", prefix, i), NULL, NULL);
		thing->bytes = (struct shape_blob){ data, SIZE };
		assert_int_equal(thing_put(s, thing), 0);
	}
}

static int64_t log_bytes(struct scratch *s)
{
	char path[128];
	snprintf(path, sizeof path, "%s-wal", s->path);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	fclose(file);
	return size;
}

/* What the log's header says of its present run (salt-1 of the WAL format): another number once it was begun anew. */
static uint32_t log_salt(struct scratch *s)
{
	char path[128];
	uint8_t header[32];
	snprintf(path, sizeof path, "%s-wal", s->path);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(header, sizeof header, 1, file), 1);
	fclose(file);
	return (uint32_t)header[16] << 24 | (uint32_t)header[17] << 16 | (uint32_t)header[18] << 8 |
		header[19];
}

/* Commits little things until the log is begun anew; how long the checkpoint before that takes is the machine's business. */
static void wait_for_new_log(struct scratch *s, const char *prefix, uint32_t salt)
{
	enum { LIMIT_MS = 240000 };
	int64_t end_ms = clock_monotonic_ms() + LIMIT_MS;
	for (int i = 0; log_salt(s) == salt; i++) {
		assert_true(clock_monotonic_ms() < end_ms);
		assert_int_equal(
			thing_put(s,
				thing_create(s, arena_printf(s->arena, "%s-wait-%d", prefix, i), NULL, NULL)),
			0);
	}
}

static _Atomic bool stop_reading;

static void *read_on(void *context)
{
	struct scratch *s = context;
	struct meta_query query = { .limit = 5 };
	while (!atomic_load(&stop_reading)) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct meta_rows rows;
		if (meta_list(s->meta, &record_thing, &query, arena, &rows, NULL))
			return s;
	}
	return NULL;
}

/* The kernel may have forgotten pages of the log that were to be synced, and tells the checkpoint thread alone. */
static void after_a_failed_checkpoint_nothing_is_acknowledged_until_reopened(void **state)
{
	struct scratch *s = *state;
	enum { BYTES = 20 << 20, LIMIT_MS = 240000 };
	int64_t end_ms = clock_monotonic_ms() + LIMIT_MS;
	size_t acknowledged = 0;
	put_bulk(s, "bulk", BYTES);
	atomic_store(&faults.checkpoint_sync_result, SQLITE_IOERR_FSYNC);
	int code = 0;
	while (!code) {
		assert_true(clock_monotonic_ms() < end_ms);
		struct thing_record *thing =
			thing_create(s, arena_printf(s->arena, "t-%zu", acknowledged), NULL, NULL);
		thing->bytes = (struct shape_blob){ arena_alloc(s->arena, 100 << 10), 100 << 10 };
		code = thing_put(s, thing);
		acknowledged += !code;
	}
	assert_int_equal(code, ERROR_UNAVAILABLE);
	atomic_store(&faults.checkpoint_sync_result, SQLITE_OK);
	assert_int_equal(thing_put(s, thing_create(s, "late", NULL, NULL)), ERROR_UNAVAILABLE);
	scratch_reopen(s);
	assert_int_equal(thing_put(s, thing_create(s, "later", NULL, NULL)), 0);
	for (size_t i = 0; i < acknowledged; i++)
		assert_non_null(thing_get(s, arena_printf(s->arena, "t-%zu", i)));
	assert_int_equal(scratch_faults(s), 0);
}

static void the_log_starts_over_instead_of_growing_though_there_are_readers(void **state)
{
	struct scratch *s = *state;
	enum { READERS = 3, ROUNDS_OF_LOG = 3, ROUND_BYTES = 20 << 20 };
	pthread_t readers[READERS];
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_on, s), 0);
	for (int round = 0; round < ROUNDS_OF_LOG; round++) {
		char *prefix = arena_printf(s->arena, "t%d", round);
		assert_int_equal(thing_put(s, thing_create(s, prefix, NULL, NULL)), 0);
		uint32_t salt = log_salt(s);
		put_bulk(s, prefix, ROUND_BYTES);
		wait_for_new_log(s, prefix, salt);
	}
	atomic_store(&stop_reading, true);
	for (int i = 0; i < READERS; i++) {
		void *failure;
		pthread_join(readers[i], &failure);
		assert_null(failure);
	}
	assert_true(log_bytes(s) <= 48 << 20);
	assert_int_equal(scratch_faults(s), 0);
}

enum { THREADS = 8, ROUNDS = 40 };

static void *put_many(void *context)
{
	struct scratch *s = context;
	static _Atomic int next;
	size_t acknowledged = 0;
	for (int i = 0; i < ROUNDS; i++) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct thing_record thing = { { "1", "r", NULL, 0 }, .state = "on" };
		thing.record.id = arena_printf(arena, "t-%d", atomic_fetch_add(&next, 1));
		struct meta_batch *batch = meta_batch_create(s->meta, arena);
		meta_batch_put(batch, &record_thing, &thing);
		struct error err;
		if (!meta_commit(s->meta, batch, &err))
			acknowledged++;
		else if (err.code != ERROR_NO_SPACE)
			return (void *)-1;
		/* the disk is full every now and then, whoever commits */
		atomic_store(&faults.write_result, i % 8 == 3 ? SQLITE_FULL : SQLITE_OK);
	}
	return (void *)acknowledged;
}

static void what_is_acknowledged_under_a_full_disk_is_there(void **state)
{
	struct scratch *s = *state;
	pthread_t threads[THREADS];
	size_t acknowledged = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, s), 0);
	for (int i = 0; i < THREADS; i++) {
		void *count;
		pthread_join(threads[i], &count);
		assert_true((intptr_t)count >= 0);
		acknowledged += (size_t)count;
	}
	atomic_store(&faults.write_result, SQLITE_OK);
	assert_true(acknowledged > 0 && acknowledged < THREADS * ROUNDS);
	scratch_reopen(s);
	struct meta_rows rows;
	assert_done(meta_list(s->meta, &record_thing, NULL, s->arena, &rows, &s->err), s->err);
	assert_int_equal(rows.count, acknowledged);
	assert_int_equal(meta_last_change(s->meta), acknowledged);
	assert_int_equal(scratch_faults(s), 0);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, clear_faults)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(a_commit_is_synced_before_it_is_acknowledged),
		FAULT_TEST(a_full_disk_fails_the_commit_and_no_later_one),
		FAULT_TEST(after_a_failed_sync_nothing_is_acknowledged_until_reopened),
		FAULT_TEST(after_a_failed_checkpoint_nothing_is_acknowledged_until_reopened),
		FAULT_TEST(the_log_starts_over_instead_of_growing_though_there_are_readers),
		FAULT_TEST(what_is_acknowledged_under_a_full_disk_is_there),
	};
	return cmocka_run_group_tests(tests, install_shim, NULL);
}
