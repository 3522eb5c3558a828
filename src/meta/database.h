/*
 * One connection to the database, and the only interface through which this folder speaks SQL: a PostgreSQL
 * connection would be another file behind it. Internal to src/meta.
 *
 * A connection is used by one thread at a time. Statements are named by the table in statements.h and prepared
 * on first use. Texts given and read must be valid until the statement is done: arguments until database_run
 * returns or the cursor is closed, columns until the next cursor_next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum statement {
#define META_STATEMENT(symbol, text) symbol,
#include "meta/statements.h"
#undef META_STATEMENT
	STATEMENT_COUNT
};

enum database_role {
	DATABASE_WRITER,       /* may write; the only one that does, and the first to be opened */
	DATABASE_READER,       /* cannot write */
	DATABASE_CHECKPOINTER, /* only moves the log into the database */
};

struct database;

/* Opens a connection to a file that exists. Refuses a file that is not amid's (ERROR_INVALID). */
int database_open(const char *path, enum database_role role, struct database **database, struct error *err);
void database_close(struct database *database); /* NULL is legal */

/* A value for a placeholder. */
struct argument {
	const char *text; /* NULL: a number */
	size_t size;
	int64_t number;
};
struct argument text_argument(const char *text);
struct argument bytes_argument(const char *text, size_t size);
struct argument number_argument(int64_t number);
#define ARGUMENTS(...) \
	(const struct argument[]){ __VA_ARGS__ }, \
		sizeof((const struct argument[]){ __VA_ARGS__ }) / sizeof(struct argument)
#define NO_ARGUMENTS NULL, 0

/* Runs a statement that returns no rows; *changed (if not NULL): how many rows it changed. */
int database_run(struct database *database, enum statement id, const struct argument *arguments, size_t count,
	int64_t *changed, struct error *err);
/* Runs SQL that is not in the table: a step of a migration. */
int database_execute(struct database *database, const char *sql, struct error *err);

/* The rows of a statement. struct cursor rows CURSOR_SCOPED = { 0 }; one cursor per statement at a time. */
struct cursor {
	struct database *database;
	void *statement;
};
int database_query(struct database *database, enum statement id, const struct argument *arguments,
	size_t count, struct cursor *cursor, struct error *err);
/* The same for SQL outside the table (migrations, tests). */
int database_query_text(struct database *database, const char *sql, struct cursor *cursor, struct error *err);
int cursor_next(struct cursor *cursor, struct error *err);  /* 1: a row, 0: no more, -1 */
const char *cursor_text(struct cursor *cursor, int column); /* "" for NULL */
size_t cursor_size(struct cursor *cursor, int column);      /* bytes of a text, after cursor_text */
int64_t cursor_number(struct cursor *cursor, int column);
void cursor_close(struct cursor *cursor);
#define CURSOR_SCOPED __attribute__((cleanup(cursor_close)))

/* A transaction that will write; waits for none, since there is one writer. */
int database_begin(struct database *database, struct error *err);
/* A transaction that sees one state throughout. */
int database_begin_read(struct database *database, struct error *err);
/* Durable when it returns 0. After -1 nothing of it is visible, and the transaction is over. */
int database_commit(struct database *database, struct error *err);
void database_rollback(struct database *database);
/* Whether a transaction is open: a severe error (disk full, I/O) may have ended it. */
bool database_in_transaction(struct database *database);

/* Pages in the write-ahead log at this connection's last commit. */
int database_log_pages(struct database *database);
/* Copies what it can of the log into the database, waiting for nobody. */
int database_checkpoint(struct database *database, struct error *err);
/* Copies the rest too, so that the next commit writes the log from its start; waits a moment for readers of it. */
int database_restart_log(struct database *database, struct error *err);
/* The database's own check of its structure; `report` gets a line for each fault. */
int database_check(struct database *database, void (*report)(void *context, const char *line), void *context,
	uint64_t *faults, struct error *err);
