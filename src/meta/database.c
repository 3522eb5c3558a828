/*
 * A connection to SQLite.
 *
 * The file is in WAL mode with synchronous=FULL: a commit is one append to the log and one fsync of it. Nobody
 * checkpoints by the way (wal_autocheckpoint is 0 on every connection): see checkpoint.c. Memory is kept small:
 * page caches are bounded by role, and filled only by use. SQLite is used without its own mutexes
 * (SQLITE_OPEN_NOMUTEX), since each connection belongs to one thread at a time.
 */
#include "meta/database.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/banned.h"
#include "base/log.h"

/* "amid": in the file's header, so that file(1) and we can tell it from any other SQLite file */
#define APPLICATION_ID 0x616d6964

enum { BUSY_TIMEOUT_MS = 10000, READER_PATIENCE_MS = 50, LOG_FILE_LIMIT = 32 << 20 };

struct database {
	sqlite3 *handle;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	char *path;
	int log_pages;
};

static const char *const statement_texts[STATEMENT_COUNT] = {
#define META_STATEMENT(symbol, text) [symbol] = text,
#include "meta/statements.h"
#undef META_STATEMENT
};

static enum error_code error_code_of(sqlite3 *handle, int result)
{
	switch (result & 0xff) {
	case SQLITE_FULL:
		return ERROR_NO_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERROR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_NOMEM:
		return ERROR_UNAVAILABLE;
	case SQLITE_TOOBIG:
		return ERROR_INVALID;
	case SQLITE_IOERR:
		/* a sync that failed, also for a full disk, may have lost what was written before it: nothing may build on that */
		if (result == SQLITE_IOERR_FSYNC || result == SQLITE_IOERR_DIR_FSYNC)
			return ERROR_INTERNAL;
		return handle && sqlite3_system_errno(handle) == ENOSPC ? ERROR_NO_SPACE : ERROR_INTERNAL;
	default:
		return ERROR_INTERNAL;
	}
}

static int set_error(struct database *database, int result, const char *doing, struct error *err)
{
	enum error_code code = error_code_of(database->handle, result);
	return error_set(err, code, "metadata %s: cannot %s: %s (%d)", database->path, doing,
		database->handle ? sqlite3_errmsg(database->handle) : sqlite3_errstr(result), result);
}

int database_execute(struct database *database, const char *sql, struct error *err)
{
	int result = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
	return result == SQLITE_OK ? 0 : set_error(database, result, sql, err);
}

static int remember_log_pages(void *context, sqlite3 *handle, const char *name, int pages)
{
	struct database *database = context;
	database->log_pages = pages;
	return SQLITE_OK;
}

/* A file without a single table is new; any other must carry our mark. */
static int check_owner(struct database *database, struct error *err)
{
	struct cursor mark CURSOR_SCOPED = { 0 };
	if (database_query_text(database, "PRAGMA application_id", &mark, err) || cursor_next(&mark, err) < 0)
		return -1;
	int64_t id = cursor_number(&mark, 0);
	if (id == APPLICATION_ID)
		return 0;
	struct cursor tables CURSOR_SCOPED = { 0 };
	if (database_query_text(database, "SELECT COUNT(*) FROM sqlite_schema", &tables, err) ||
		cursor_next(&tables, err) < 0)
		return -1;
	if (id || cursor_number(&tables, 0))
		return error_set(
			err, ERROR_INVALID, "%s is a SQLite file, but not amid's metadata", database->path);
	return 0;
}

static int configure(struct database *database, enum database_role role, struct error *err)
{
	static const char *const settings[] = {
		[DATABASE_WRITER] =
			"PRAGMA cache_size=-8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;",
		[DATABASE_READER] = "PRAGMA cache_size=-512; PRAGMA query_only=ON;",
		[DATABASE_CHECKPOINTER] = "PRAGMA cache_size=-64; PRAGMA synchronous=FULL;",
	};
	sqlite3_extended_result_codes(database->handle, 1);
	sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS);
	sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_wal_autocheckpoint(database->handle, 0);
	sqlite3_wal_hook(database->handle, remember_log_pages, database);
	if (database_execute(database, "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;", err))
		return -1;
	if (role == DATABASE_WRITER && check_owner(database, err))
		return -1;
	if (database_execute(database, settings[role], err))
		return -1;
	if (role != DATABASE_WRITER)
		return 0;
	char limit[64];
	sqlite3_snprintf(sizeof limit, limit, "PRAGMA journal_size_limit=%d", LOG_FILE_LIMIT);
	return database_execute(database, limit, err);
}

/*
 * What an earlier process failed to sync may still be in memory, where it looks as if it were on the disk: a log that is read with it, and written on behind it, would lose what follows with the next loss of power. So the file is read from the
 * disk. Nothing in this process has it open yet, so there are no locks that closing it here would drop.
 */
static int forget_unwritten(const char *path, struct error *err)
{
	int fd FILE_SCOPED = disk_open(path, O_RDWR, 0);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || disk_sync(fd))
		return error_set_errno(err, errno, "cannot sync %s", path);
	disk_forget_cached(fd);
	return 0;
}

static int forget_all_unwritten(const char *path, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	return forget_unwritten(path, err) || forget_unwritten(arena_printf(scratch, "%s-wal", path), err) ||
			forget_unwritten(arena_printf(scratch, "%s-journal", path), err)
		? -1
		: 0;
}

int database_open(const char *path, enum database_role role, struct database **opened, struct error *err)
{
	if (role == DATABASE_WRITER && forget_all_unwritten(path, err))
		return -1;
	struct database *database = memory_alloc(sizeof *database);
	database->path = memory_strdup(path);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int result = sqlite3_open_v2(path, &database->handle, flags, NULL);
	if (result != SQLITE_OK)
		set_error(database, result, "open", err);
	if (result != SQLITE_OK || configure(database, role, err)) {
		database_close(database);
		return -1;
	}
	*opened = database;
	return 0;
}

void database_close(struct database *database)
{
	if (!database)
		return;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(database->statements[i]);
	int result = sqlite3_close(database->handle);
	if (result != SQLITE_OK)
		log_error(
			"metadata-close-failed", "path=%s error=%s", database->path, sqlite3_errstr(result));
	free(database->path);
	free(database);
}

struct argument text_argument(const char *text)
{
	return bytes_argument(text, strlen(text));
}

struct argument bytes_argument(const char *text, size_t size)
{
	return (struct argument){ .text = text, .size = size };
}

struct argument number_argument(int64_t number)
{
	return (struct argument){ .number = number };
}

/* The prepared statement, bound. On failure it is reset, so that it can be used again. */
static sqlite3_stmt *prepare(struct database *database, enum statement id, const struct argument *arguments,
	size_t count, struct error *err)
{
	sqlite3_stmt **slot = &database->statements[id];
	int result = SQLITE_OK;
	if (!*slot)
		result = sqlite3_prepare_v3(
			database->handle, statement_texts[id], -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
	for (size_t i = 0; i < count && result == SQLITE_OK; i++) {
		const struct argument *argument = &arguments[i];
		int place = (int)i + 1;
		result = argument->text ? sqlite3_bind_text64(*slot, place, argument->text, argument->size,
						  SQLITE_STATIC, SQLITE_UTF8)
					: sqlite3_bind_int64(*slot, place, argument->number);
	}
	if (result == SQLITE_OK)
		return *slot;
	set_error(database, result, statement_texts[id], err);
	if (*slot)
		sqlite3_reset(*slot);
	return NULL;
}

int database_run(struct database *database, enum statement id, const struct argument *arguments, size_t count,
	int64_t *changed, struct error *err)
{
	sqlite3_stmt *statement = prepare(database, id, arguments, count, err);
	if (!statement)
		return -1;
	int result = sqlite3_step(statement);
	if (result != SQLITE_DONE)
		set_error(database, result, statement_texts[id], err);
	else if (changed)
		*changed = sqlite3_changes64(database->handle);
	sqlite3_reset(statement);
	return result == SQLITE_DONE ? 0 : -1;
}

int database_query(struct database *database, enum statement id, const struct argument *arguments,
	size_t count, struct cursor *cursor, struct error *err)
{
	sqlite3_stmt *statement = prepare(database, id, arguments, count, err);
	*cursor = (struct cursor){ database, statement };
	return statement ? 0 : -1;
}

int database_query_text(struct database *database, const char *sql, struct cursor *cursor, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL);
	*cursor = (struct cursor){ database, statement };
	return result == SQLITE_OK ? 0 : set_error(database, result, sql, err);
}

int cursor_next(struct cursor *cursor, struct error *err)
{
	int result = sqlite3_step(cursor->statement);
	if (result == SQLITE_ROW)
		return 1;
	if (result == SQLITE_DONE)
		return 0;
	return set_error(cursor->database, result, sqlite3_sql(cursor->statement), err);
}

const char *cursor_text(struct cursor *cursor, int column)
{
	const char *text = (const char *)sqlite3_column_text(cursor->statement, column);
	return text ? text : "";
}

size_t cursor_size(struct cursor *cursor, int column)
{
	return (size_t)sqlite3_column_bytes(cursor->statement, column);
}

int64_t cursor_number(struct cursor *cursor, int column)
{
	return sqlite3_column_int64(cursor->statement, column);
}

/* A statement of the table goes back to it; any other is done for. */
void cursor_close(struct cursor *cursor)
{
	if (!cursor->statement)
		return;
	bool cached = false;
	for (int i = 0; i < STATEMENT_COUNT && !cached; i++)
		cached = cursor->database->statements[i] == cursor->statement;
	if (cached)
		sqlite3_reset(cursor->statement);
	else
		sqlite3_finalize(cursor->statement);
	cursor->statement = NULL;
}

int database_begin(struct database *database, struct error *err)
{
	return database_execute(database, "BEGIN IMMEDIATE", err);
}

int database_begin_read(struct database *database, struct error *err)
{
	return database_execute(database, "BEGIN", err);
}

int database_commit(struct database *database, struct error *err)
{
	if (!database_execute(database, "COMMIT", err))
		return 0;
	database_rollback(database);
	return -1;
}

void database_rollback(struct database *database)
{
	if (database_in_transaction(database))
		sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
}

bool database_in_transaction(struct database *database)
{
	return !sqlite3_get_autocommit(database->handle);
}

int database_log_pages(struct database *database)
{
	return database->log_pages;
}

static int checkpoint(struct database *database, int mode, struct error *err)
{
	int result = sqlite3_wal_checkpoint_v2(database->handle, NULL, mode, NULL, NULL);
	/* busy: a reader still needs old pages, or another connection is at it; a later round gets them */
	if (result == SQLITE_OK || (result & 0xff) == SQLITE_BUSY)
		return 0;
	return set_error(database, result, "checkpoint", err);
}

int database_checkpoint(struct database *database, struct error *err)
{
	return checkpoint(database, SQLITE_CHECKPOINT_PASSIVE, err);
}

int database_restart_log(struct database *database, struct error *err)
{
	sqlite3_busy_timeout(database->handle, READER_PATIENCE_MS);
	int result = checkpoint(database, SQLITE_CHECKPOINT_RESTART, err);
	sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS);
	return result;
}

int database_check(struct database *database, void (*report)(void *context, const char *line), void *context,
	uint64_t *faults, struct error *err)
{
	struct cursor lines CURSOR_SCOPED = { 0 };
	if (database_query_text(database, "PRAGMA integrity_check", &lines, err))
		return -1;
	int more;
	while ((more = cursor_next(&lines, err)) > 0) {
		if (!strcmp(cursor_text(&lines, 0), "ok"))
			continue;
		++*faults;
		report(context, cursor_text(&lines, 0));
	}
	return more;
}
