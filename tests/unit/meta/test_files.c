/* The file: its mode and lock, foreign and newer files, migrations, changed index declarations, the check, plans. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "meta/meta_internal.h"
#include "things.h"

static void close_store(struct scratch *s)
{
	meta_close(s->meta);
	s->meta = NULL;
}

static enum error_code open_store(struct scratch *s)
{
	return meta_open(s->path, &s->meta, &s->err) ? s->err.code : ERROR_NONE;
}

static mode_t mode_of(struct scratch *s, const char *suffix)
{
	struct stat status;
	assert_int_equal(stat(arena_printf(s->arena, "%s%s", s->path, suffix), &status), 0);
	return status.st_mode & 07777;
}

static void the_files_are_for_their_owner_only(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", NULL, NULL));
	assert_int_equal(mode_of(s, ""), 0600);
	assert_int_equal(mode_of(s, "-wal"), 0600);
	assert_int_equal(mode_of(s, "-shm"), 0600);
	assert_int_equal(mode_of(s, "-lock"), 0600);
	close_store(s);
	assert_int_equal(chmod(s->path, 0644), 0);
	assert_int_equal(open_store(s), 0);
	assert_int_equal(mode_of(s, ""), 0600);
}

static void a_clean_close_leaves_one_file(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", NULL));
	close_store(s);
	assert_int_not_equal(access(arena_printf(s->arena, "%s-wal", s->path), F_OK), 0);
	assert_int_equal(open_store(s), 0);
	assert_string_equal(thing_get(s, "t-1")->name, "a");
}

/* Sealed keys and secrets are among what is deleted. */
static void what_was_deleted_is_overwritten(void **state)
{
	struct scratch *s = *state;
	static const char *const markers[] = { "deleted-for-good", "replaced-by-another" };
	char *data;
	size_t size;
	thing_put(s, thing_create(s, "t-1", markers[0], NULL));
	thing_put(s, thing_create(s, "t-2", markers[1], NULL));
	close_store(s); /* both are in the file now, not in its log only */
	assert_int_equal(open_store(s), 0);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_thing, thing_get(s, "t-1"));
	assert_done(meta_commit(s->meta, batch, &s->err), s->err);
	struct thing_record *changed = thing_get(s, "t-2");
	changed->name = "x";
	thing_put(s, changed);
	close_store(s);
	assert_int_equal(file_read(s->path, 1 << 20, s->arena, &data, &size, &s->err), 0);
	for (size_t i = 0; i < sizeof markers / sizeof *markers; i++)
		assert_null(memmem(data, size, markers[i], strlen(markers[i])));
	assert_int_equal(open_store(s), 0);
}

static void the_folder_may_be_a_symbolic_link(void **state)
{
	struct scratch *s = *state;
	close_store(s);
	const char *link = arena_printf(s->arena, "%s/link", s->folder);
	assert_int_equal(symlink(s->folder, link), 0);
	snprintf(s->path, sizeof s->path, "%s/metadata.db", link);
	assert_int_equal(open_store(s), 0);
	assert_int_equal(thing_put(s, thing_create(s, "t-1", NULL, NULL)), 0);
	assert_non_null(thing_get(s, "t-1"));
}

static void a_second_process_is_refused(void **state)
{
	struct scratch *s = *state;
	pid_t child = fork();
	if (child == 0) {
		struct meta *meta;
		struct error err;
		_exit(meta_open(s->path, &meta, &err) && err.code == ERROR_UNAVAILABLE &&
					strstr(err.message, "in use")
				? 0
				: 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void files_that_are_not_ours_are_refused_untouched(void **state)
{
	struct scratch *s = *state;
	close_store(s);
	unlink(s->path);
	scratch_sql(s, "CREATE TABLE accounts (name TEXT); INSERT INTO accounts VALUES ('x')");
	assert_int_equal(open_store(s), ERROR_INVALID);
	assert_int_equal(scratch_sql(s, "SELECT COUNT(*) FROM sqlite_schema"), 1);
	assert_done(file_replace(s->path, "not a database at all, but long enough to be looked at\n", 55,
			    0600, &s->err),
		s->err);
	assert_int_equal(open_store(s), ERROR_CORRUPT);
	unlink(s->path);
	assert_int_equal(symlink("/dev/null", s->path), 0);
	assert_int_not_equal(open_store(s), 0);
}

static void a_file_of_a_newer_program_is_refused(void **state)
{
	struct scratch *s = *state;
	close_store(s);
	scratch_sql(s, "INSERT INTO schema_version (version) VALUES (99)");
	assert_int_equal(open_store(s), ERROR_INVALID);
	assert_non_null(strstr(s->err.message, "99"));
}

/* Migrations of a later program, made up: the last one fails half-way. */
static const char *const second[] = { "ALTER TABLE records ADD COLUMN colour TEXT",
	"UPDATE records SET colour = 'red'", NULL };
static const char *const third[] = { "ALTER TABLE records ADD COLUMN weight INTEGER",
	"INSERT INTO nowhere VALUES (1)", NULL };
static const struct schema_migration later[] = { { 2, second }, { 3, third } };

static void migrations_run_once_each_and_whole(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", NULL));
	close_store(s);
	struct database *database;
	assert_done(database_open(s->path, DATABASE_WRITER, &database, &s->err), s->err);
	assert_done(schema_migrate(database, later, 1, &s->err), s->err);
	assert_done(schema_migrate(database, later, 1, &s->err), s->err);
	assert_int_equal(schema_migrate(database, later, 2, &s->err), -1);
	assert_non_null(strstr(s->err.message, "migration to schema version 3"));
	assert_false(database_in_transaction(database));
	database_close(database);
	assert_int_equal(scratch_sql(s, "SELECT MAX(version) FROM schema_version"), 2);
	assert_int_equal(scratch_sql(s, "SELECT COUNT(*) FROM records WHERE colour = 'red'"), 1);
	assert_int_equal(
		scratch_sql(s, "SELECT COUNT(*) FROM pragma_table_info('records') WHERE name = 'weight'"), 0);
}

static void declare_as_before(struct scratch *s)
{
	static const struct record_kind *const before[] = { &record_thing_before, NULL };
	struct database *database;
	assert_done(database_open(s->path, DATABASE_WRITER, &database, &s->err), s->err);
	assert_done(meta_index_refresh(database, before, &s->err), s->err);
	database_close(database);
}

static void a_new_index_finds_old_records(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	thing_put(s, thing_create(s, "t-2", "b", "on"));
	close_store(s);
	declare_as_before(s);
	assert_int_equal(scratch_sql(s, "SELECT COUNT(*) FROM record_index"), 2);
	assert_int_equal(open_store(s), 0);
	assert_string_equal(
		thing_ids(s, &(struct meta_query){ .index = "state", .value = "on" }), "t-1 t-2 ");
	assert_int_equal(thing_put(s, thing_create(s, "t-3", "a", NULL)), ERROR_DUPLICATE);
	assert_int_equal(scratch_faults(s), 0);
}

static void an_index_that_cannot_become_unique_is_refused_whole(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	close_store(s);
	declare_as_before(s);
	scratch_sql(s, "INSERT INTO records SELECT kind, account, region, 't-2', version, body FROM records");
	assert_int_equal(open_store(s), ERROR_DUPLICATE);
	assert_non_null(strstr(s->err.message, "indexes of thing"));
	assert_int_equal(scratch_sql(s, "SELECT COUNT(*) FROM record_index"), 1);
}

static void the_check_finds_what_is_wrong(void **state)
{
	static const char *const damages[] = {
		"DELETE FROM record_index WHERE name = 'state'",
		"UPDATE record_index SET value = 'off' WHERE name = 'state'",
		"UPDATE record_index SET is_unique = 0 WHERE name = 'name'",
		"INSERT INTO record_index VALUES ('thing', 'label', 'x', '1', 'r', 't-1', 0)",
		"DELETE FROM records",
		"UPDATE records SET body = '{'",
		"UPDATE records SET kind = 'nothing'",
		"UPDATE records SET version = 0",
		"DELETE FROM change_log WHERE sequence = 2",
	};
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	thing_put(s, thing_get(s, "t-1"));
	thing_put(s, thing_get(s, "t-1"));
	assert_int_equal(scratch_faults(s), 0);
	close_store(s);
	char *sound, *copy = arena_printf(s->arena, "%s.sound", s->path);
	size_t size;
	assert_done(file_read(s->path, 1 << 20, s->arena, &sound, &size, &s->err), s->err);
	assert_done(file_replace(copy, sound, size, 0600, &s->err), s->err);
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		assert_done(file_replace(s->path, sound, size, 0600, &s->err), s->err);
		scratch_sql(s, damages[i]);
		assert_int_equal(open_store(s), 0);
		if (!scratch_faults(s))
			fail_msg("not found: %s", damages[i]);
		close_store(s);
	}
}

static void the_check_finds_a_damaged_page(void **state)
{
	struct scratch *s = *state;
	for (int i = 0; i < 200; i++)
		thing_put(s, thing_create(s, arena_printf(s->arena, "t-%d", i), NULL, "on"));
	close_store(s);
	/* a page within the table of records, all of it */
	int64_t root = scratch_sql(s, "SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_id'");
	int fd = open(s->path, O_WRONLY | O_CLOEXEC);
	char noise[4096];
	memset(noise, 0x5a, sizeof noise);
	assert_int_equal(file_pwrite_full(fd, noise, sizeof noise, (root - 1) * 4096), 0);
	close(fd);
	assert_int_equal(open_store(s), 0);
	assert_true(scratch_faults(s) > 0);
}

/* Makes the log longer by entries up to `last`, as old as the first one. */
static void lengthen_log(struct scratch *s, int64_t last)
{
	close_store(s);
	scratch_sql(s,
		arena_printf(s->arena,
			"INSERT INTO change_log WITH RECURSIVE n(i) AS (SELECT MAX(sequence) + 1 FROM change_log UNION ALL"
			" SELECT i + 1 FROM n WHERE i < %lld) SELECT i, time_ms, kind, account, region, id, deleted FROM n,"
			" (SELECT * FROM change_log ORDER BY sequence LIMIT 1)",
			(long long)last));
	assert_int_equal(open_store(s), 0);
	assert_int_equal(meta_last_change(s->meta), last);
}

static int64_t first_kept(struct scratch *s)
{
	return scratch_sql(s, "SELECT MIN(sequence) FROM change_log");
}

static void the_log_keeps_a_number_of_entries(void **state)
{
	struct scratch *s = *state;
	struct meta_change *changes;
	size_t count;
	const int64_t long_ago = 5000;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	lengthen_log(s, META_CHANGES_KEPT + long_ago);
	thing_put(s, thing_get(s, "t-1"));
	assert_int_equal(first_kept(s), 4097); /* not all at once */
	thing_put(s, thing_get(s, "t-1"));
	assert_int_equal(meta_last_change(s->meta), META_CHANGES_KEPT + long_ago + 2);
	assert_int_equal(first_kept(s), long_ago + 3);
	assert_int_equal(
		meta_changes_after(s->meta, long_ago + 1, 1, s->arena, &changes, &count, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_NOT_FOUND);
	assert_done(
		meta_changes_after(s->meta, long_ago + 2, 0, s->arena, &changes, &count, &s->err), s->err);
	assert_int_equal(count, META_CHANGES_KEPT);
	for (int i = 0; i < 3; i++)
		thing_put(s, thing_get(s, "t-1"));
	assert_int_equal(first_kept(s), long_ago + 3); /* only now and then */
	assert_int_equal(scratch_faults(s), 0);
}

static void the_log_keeps_no_old_entries(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	lengthen_log(s, 1000);
	close_store(s);
	const char *old =
		arena_printf(s->arena, "UPDATE change_log SET time_ms = time_ms - %d", META_CHANGES_KEPT_MS);
	scratch_sql(s, arena_printf(s->arena, "%s WHERE sequence < 500 OR sequence > 900", old));
	assert_int_equal(open_store(s), 0);
	thing_put(s, thing_get(s, "t-1"));
	assert_int_equal(first_kept(s), 500); /* those behind a newer one stay: no gaps */
	assert_int_equal(scratch_faults(s), 0);
	close_store(s);
	scratch_sql(s, old);
	assert_int_equal(open_store(s), 0);
	thing_put(s, thing_get(s, "t-1"));
	assert_int_equal(first_kept(s), 1002);
	assert_int_equal(meta_last_change(s->meta), 1002);
	close_store(s);
	scratch_sql(s, old);
	assert_int_equal(open_store(s), 0);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	struct thing_record *stale = thing_get(s, "t-1");
	stale->record.version = 1;
	meta_batch_put(batch, &record_thing, stale);
	assert_int_equal(meta_commit(s->meta, batch, &s->err), -1); /* appends nothing: the newest stays */
	assert_int_equal(first_kept(s), 1002);
	scratch_reopen(s);
	assert_int_equal(meta_last_change(s->meta), 1002);
}

static const char *const statement_texts[] = {
#define META_STATEMENT(symbol, text) [symbol] = text,
#include "meta/statements.h"
#undef META_STATEMENT
};

#define WHOLE_KEY "(kind=? AND account=? AND id=? AND region=?)"
#define ENTRIES "(kind=? AND name=? AND value=?"

/* The columns by which each statement of a call must find its rows: SQLite would take worse ones to save a sort. */
static const struct {
	enum statement id;
	const char *columns;
	bool may_sort;
} plans[] = {
	{ RECORD_UPDATE, WHOLE_KEY },
	{ RECORD_DELETE, WHOLE_KEY },
	{ RECORD_VERSION, WHOLE_KEY },
	{ RECORD_GET, WHOLE_KEY },
	{ RECORD_GET_ANY, "(kind=? AND id=?)" },
	{ RECORD_GET_ANY_IN_REGION, "(kind=? AND id=?)" },
	{ LIST_ALL, "(kind=? AND id>?)" },
	{ LIST_ACCOUNT, "(kind=? AND account=? AND id>?)" },
	{ LIST_REGION, "(kind=? AND id>?)" },
	{ LIST_ACCOUNT_REGION, "(kind=? AND account=? AND id>?)" },
	{ LIST_INDEX, ENTRIES ")", true },
	{ LIST_INDEX_ACCOUNT, ENTRIES " AND account=? AND id>?)" },
	{ LIST_INDEX_REGION, ENTRIES ")", true },
	{ LIST_INDEX_ACCOUNT_REGION, ENTRIES " AND account=? AND id>?)" },
	{ COUNT_INDEX, ENTRIES " AND account=?)" },
	{ INDEX_OF_RECORD, WHOLE_KEY },
	{ INDEX_DELETE, ENTRIES " AND account=? AND id=? AND region=?)" },
	{ INDEX_DELETE_RECORD, WHOLE_KEY },
	{ CHANGES_AFTER, "(sequence>?)" },
	{ CHANGE_RECENT, "(sequence>? AND sequence<?)" },
	{ CHANGES_FORGET, "(sequence<?)" },
};

static void each_statement_finds_its_rows_by_an_index(void **state)
{
	struct scratch *s = *state;
	close_store(s);
	struct database *database;
	assert_done(database_open(s->path, DATABASE_READER, &database, &s->err), s->err);
	for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
		const char *text = statement_texts[plans[i].id];
		struct cursor plan CURSOR_SCOPED = { 0 };
		const char *sql = arena_printf(s->arena, "EXPLAIN QUERY PLAN %s", text);
		assert_done(database_query_text(database, sql, &plan, &s->err), s->err);
		assert_int_equal(cursor_next(&plan, &s->err), 1);
		do {
			const char *step = cursor_text(&plan, 3);
			bool joined = strstr(text, "JOIN") && strstr(step, WHOLE_KEY);
			bool sorts = strstr(step, "TEMP B-TREE");
			if (sorts ? !plans[i].may_sort : !joined && !strstr(step, plans[i].columns))
				fail_msg("%s: %s", text, step);
		} while (cursor_next(&plan, &s->err) > 0);
		cursor_close(&plan);
	}
	database_close(database);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(the_files_are_for_their_owner_only),
		SCRATCH_TEST(a_clean_close_leaves_one_file),
		SCRATCH_TEST(what_was_deleted_is_overwritten),
		SCRATCH_TEST(the_folder_may_be_a_symbolic_link),
		SCRATCH_TEST(a_second_process_is_refused),
		SCRATCH_TEST(files_that_are_not_ours_are_refused_untouched),
		SCRATCH_TEST(a_file_of_a_newer_program_is_refused),
		SCRATCH_TEST(migrations_run_once_each_and_whole),
		SCRATCH_TEST(a_new_index_finds_old_records),
		SCRATCH_TEST(an_index_that_cannot_become_unique_is_refused_whole),
		SCRATCH_TEST(the_check_finds_what_is_wrong),
		SCRATCH_TEST(the_check_finds_a_damaged_page),
		SCRATCH_TEST(the_log_keeps_a_number_of_entries),
		SCRATCH_TEST(the_log_keeps_no_old_entries),
		SCRATCH_TEST(each_statement_finds_its_rows_by_an_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
