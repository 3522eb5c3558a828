/*
 * What the files of src/meta share. The parts of a store and who uses them:
 *
 *   writer thread       the queue of batches, the writing connection (writer.c, apply.c)
 *   checkpoint thread   a connection that moves the log into the database (checkpoint.c)
 *   any thread          a pool of reading connections (readers.c, query.c), encoding of batches (batch.c)
 *
 * Locks: each part has one of its own, held for a few instructions and never while another is taken; none is
 * held during I/O. So a commit never waits for a reader, nor a reader for a commit.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "meta/database.h"
#include "meta/meta.h"

enum {
	BODY_SIZE_LIMIT = 1 << 20, /* bytes of a record's JSON */
	KEY_LIMIT = 500,           /* bytes of an id, account or region */
	INDEX_VALUE_LIMIT = 1400,  /* bytes; with the key it fits PostgreSQL's index entries of 2,704 */
};

struct writer;
struct checkpointer;
struct readers;

struct meta {
	int lock_fd; /* flock: one process has the file open */
	struct readers *readers;
	struct checkpointer *checkpointer;
	struct writer *writer;
	_Atomic int64_t last_change;
};

/* An index entry that a record asks for; sorted by name, then value, without duplicates. */
struct index_entry {
	const char *name;
	const char *value;
	bool unique;
	bool stored; /* already in the database */
};
struct index_entries {
	struct index_entry *items;
	size_t count;
};

enum change_action { CHANGE_PUT, CHANGE_DELETE, CHANGE_EXPECT };

struct batch_change {
	enum change_action action;
	const char *kind, *account, *region, *id;
	int64_t version;
	const char *body;
	size_t body_size;
	struct index_entries entries;
	struct index_entries lost; /* the writer's: those that the change has taken away */
};

/* Until it is queued a batch belongs to the thread that made it; then to the writer, until `done`. */
struct meta_batch {
	struct arena *arena;
	struct batch_change *changes;
	size_t count;
	const char *forget_account; /* NULL; else: every record of it is deleted too */
	const char *const *forget_keep;
	struct error failure; /* code ERROR_NONE: none */
	bool committed;       /* given to meta_commit */
	/* the writer's */
	struct meta_batch *next;
	struct meta_change *log; /* what it appended to the change log */
	size_t log_count;
	bool done;
	void *waiter;
};

/* batch.c: what can be found wrong with a batch before the writer sees it. */
int meta_batch_check(struct meta_batch *batch, struct error *err);
/* apply.c: carries out a batch inside a transaction; log entries are numbered after *sequence, which follows. */
int meta_batch_apply(
	struct database *database, struct meta_batch *batch, int64_t *sequence, struct error *err);

/* trim.c: where the change log begins, and its end when it was last looked at. */
struct change_log {
	int64_t first;
	int64_t looked_at;
};
/* Forgets the oldest entries of a log that ends at `last`, a bounded number; called in the transaction of every group. *log follows: if the transaction is lost, what it was before holds. */
int meta_changes_trim(struct database *database, struct change_log *log, int64_t last, struct error *err);

/* index.c: the entries that the declared indexes of `kind` ask for. */
int meta_index_entries(const struct record_kind *kind, const void *record, struct arena *arena,
	struct index_entries *entries, struct error *err);
/* Inserts the entries not marked as stored. ERROR_DUPLICATE if a unique one is taken. */
int meta_index_insert(struct database *database, const struct batch_change *change, struct error *err);
/* Deletes the record's entries that are not among change->entries, which are change->lost then, and marks those that are stored. */
int meta_index_reconcile(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err);
/* Deletes all entries of the record; they are change->lost then. */
int meta_index_forget(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err);
/* reindex.c: rebuilds the entries of kinds whose declared indexes have changed since the file was last open. */
int meta_index_refresh(struct database *database, const struct record_kind *const *kinds, struct error *err);

/* record.c: a record's C struct from its row. */
int meta_record_decode(const struct record_kind *kind, const struct record *head, const char *body,
	size_t size, struct arena *arena, void **record, struct error *err);
/* The same from a cursor on (account, region, id, version, body). */
int meta_record_read(const struct record_kind *kind, struct cursor *row, struct arena *arena, void **record,
	struct error *err);

/* schema.c: a step from one version of the schema to the next. */
struct schema_migration {
	int version;                   /* after it */
	const char *const *statements; /* NULL-terminated */
};
extern const struct schema_migration schema_migrations[];
extern const size_t schema_migration_count;
/* Carries out the steps that are missing, each in a transaction. ERROR_INVALID if the file is newer than they. */
int schema_migrate(struct database *database, const struct schema_migration *migrations, size_t count,
	struct error *err);

/* writer.c */
int writer_start(const char *path, struct meta *meta, struct writer **writer, struct error *err);
void writer_stop(struct writer *writer); /* after what is queued; NULL is legal */
int writer_commit(struct writer *writer, struct meta_batch *batch, struct error *err);
void writer_set_listener(struct writer *writer, meta_listener *listener, void *context);
/* Asks for the rest of a checkpoint to be done between two commits. */
void writer_finish_checkpoint(struct writer *writer);
/* The checkpoint thread met an I/O error: refuses commits from now on, also one that is under way. */
void writer_fail_checkpoint(struct writer *writer, const struct error *why);

/* checkpoint.c */
int checkpointer_create(
	const char *path, struct meta *meta, struct checkpointer **checkpointer, struct error *err);
void checkpointer_stop(
	struct checkpointer *checkpointer); /* ends the thread; it may still be woken in vain */
void checkpointer_destroy(struct checkpointer *checkpointer); /* NULL is legal, here and above */
void checkpointer_wake(struct checkpointer *checkpointer);
/* The log is moved into the database when it has this many pages (of 4 KiB). */
enum { CHECKPOINT_PAGES = 4096 };

/* readers.c: connections are opened when needed, up to a bound; then acquire waits for one. */
struct readers *readers_create(const char *path);
void readers_destroy(struct readers *readers); /* NULL is legal */
struct database *readers_acquire(struct readers *readers, struct error *err);
void readers_release(struct readers *readers, struct database *database);

/* A thread with a small stack and all signals blocked: they are main's to handle. */
int meta_start_thread(pthread_t *thread, void *(*run)(void *), void *context, struct error *err);
