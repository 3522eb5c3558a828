/*
 * The writer thread: group commit.
 *
 * Callers queue their batches and sleep. The thread takes what is queued, up to a bound, carries out each batch
 * in a savepoint of its own inside one transaction, and commits: one fsync for all of them. A batch that fails
 * is rolled back alone. While it waits for the disk the next group gathers, so the more load, the larger groups.
 *
 * When a commit fails for want of space, nothing of it is in the database, and the next may succeed. When it
 * fails for any other reason (an I/O error), what is on the disk is not known: the kernel may have dropped what
 * it could not write, and a later fsync would not tell. Then every later commit is refused until the process is
 * started again, which reads the log from the disk.
 *
 * The lock guards the queue and the flags; it is never held while a statement runs.
 */
#include "meta/meta_internal.h"

#include <string.h>

#include "base/banned.h"
#include "base/log.h"

enum { GROUP_CHANGES = 4096 }; /* a group takes no more batches once it has this many changes */

struct writer {
	struct meta *meta;
	struct database *database; /* the thread's own */
	pthread_t thread;
	int64_t sequence;          /* of the newest change that is durable; the thread's own */
	struct change_log changes; /* the thread's own */
	int checkpoint_mark; /* pages in the log when a checkpoint was last asked for; the thread's own */
	struct error broken; /* code ERROR_NONE: it works; the thread's own */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct meta_batch *first, **end;
	bool stopping;
	bool checkpoint_unfinished;
	struct error checkpoint_failure; /* of the checkpoint thread; code ERROR_NONE: none */
	meta_listener *listener;
	void *listener_context;
};

/* Where a caller sleeps. */
struct waiter {
	pthread_cond_t done;
	struct error *err;
	int result;
};

int writer_commit(struct writer *writer, struct meta_batch *batch, struct error *err)
{
	struct waiter waiter = { .done = PTHREAD_COND_INITIALIZER, .err = err };
	batch->waiter = &waiter;
	pthread_mutex_lock(&writer->lock);
	batch->next = NULL;
	*writer->end = batch;
	writer->end = &batch->next;
	pthread_cond_signal(&writer->wake);
	while (!batch->done)
		pthread_cond_wait(&waiter.done, &writer->lock);
	pthread_mutex_unlock(&writer->lock);
	pthread_cond_destroy(&waiter.done);
	return waiter.result;
}

static void set_result(struct meta_batch *batch, int result, const struct error *why)
{
	struct waiter *waiter = batch->waiter;
	waiter->result = result;
	if (result)
		*waiter->err = *why;
}

static bool has_failed(const struct meta_batch *batch)
{
	const struct waiter *waiter = batch->waiter;
	return waiter->result != 0;
}

/* Takes a group off the queue; NULL when stopping and there is nothing left. */
static struct meta_batch *take_group(struct writer *writer, bool *checkpoint)
{
	pthread_mutex_lock(&writer->lock);
	while (!writer->first && !writer->stopping && !writer->checkpoint_unfinished)
		pthread_cond_wait(&writer->wake, &writer->lock);
	*checkpoint = writer->checkpoint_unfinished;
	writer->checkpoint_unfinished = false;
	struct meta_batch *group = writer->first, **link = &writer->first;
	for (size_t changes = 0; *link && changes < GROUP_CHANGES; link = &(*link)->next)
		changes += (*link)->count;
	writer->first = *link;
	if (!writer->first)
		writer->end = &writer->first;
	if (group)
		*link = NULL;
	pthread_mutex_unlock(&writer->lock);
	return group;
}

/* One batch in its savepoint. -1 only if the whole transaction is lost. */
static int apply_batch(struct writer *writer, struct meta_batch *batch, int64_t *sequence, struct error *err)
{
	struct database *database = writer->database;
	int64_t before = *sequence;
	if (database_run(database, SAVEPOINT_SET, NO_ARGUMENTS, NULL, err))
		return -1;
	struct error why;
	int result = meta_batch_apply(database, batch, sequence, &why);
	if (result) {
		*sequence = before;
		set_result(batch, -1, &why);
		if (!database_in_transaction(database)) {
			*err = why;
			return -1;
		}
		if (database_run(database, SAVEPOINT_ROLLBACK, NO_ARGUMENTS, NULL, err))
			return -1;
	}
	return database_run(database, SAVEPOINT_RELEASE, NO_ARGUMENTS, NULL, err);
}

/* Refuses every later commit. */
static void set_broken(struct writer *writer, const struct error *why)
{
	log_error("metadata-writer-broken", "error=\"%s\" action=\"restart amid\"", why->message);
	error_set(&writer->broken, ERROR_UNAVAILABLE,
		"metadata cannot be written until amid is restarted: %s", why->message);
}

/*
 * A checkpoint whose sync of the log failed may have cost pages that commits before it have written behind their last frame, and without which no later frame is found: so nothing may follow them.
 */
static bool is_broken(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	struct error failure = writer->checkpoint_failure;
	pthread_mutex_unlock(&writer->lock);
	if (!writer->broken.code && failure.code)
		set_broken(writer, &failure);
	return writer->broken.code != ERROR_NONE;
}

/* What goes into a group's transaction. -1 if the whole of it is lost. */
static int apply_group(struct writer *writer, struct meta_batch *group, int64_t *sequence,
	struct change_log *changes, struct error *err)
{
	for (struct meta_batch *batch = group; batch; batch = batch->next)
		if (apply_batch(writer, batch, sequence, err))
			return -1;
	return meta_changes_trim(writer->database, changes, *sequence, err);
}

/* The transaction of a group. *sequence and *changes follow what it appends and forgets. */
static int run_transaction(struct writer *writer, struct meta_batch *group, int64_t *sequence,
	struct change_log *changes, struct error *err)
{
	if (is_broken(writer)) {
		*err = writer->broken;
		return -1;
	}
	if (database_begin(writer->database, err))
		return -1;
	if (apply_group(writer, group, sequence, changes, err)) {
		database_rollback(writer->database);
		return -1;
	}
	if (!database_commit(writer->database, err)) {
		if (!is_broken(writer))
			return 0;
		*err = writer->broken; /* the checkpoint failed meanwhile: nobody knows whether this will be found */
		return -1;
	}
	if (err->code != ERROR_NO_SPACE)
		set_broken(writer, err);
	return -1;
}

static void tell_listener(struct writer *writer, struct meta_batch *group)
{
	pthread_mutex_lock(&writer->lock);
	meta_listener *listener = writer->listener;
	void *context = writer->listener_context;
	pthread_mutex_unlock(&writer->lock);
	if (!listener)
		return;
	for (struct meta_batch *batch = group; batch; batch = batch->next)
		for (size_t i = 0; !has_failed(batch) && i < batch->log_count; i++)
			listener(context, &batch->log[i]);
}

static void wake_callers(struct writer *writer, struct meta_batch *group)
{
	pthread_mutex_lock(&writer->lock);
	for (struct meta_batch *batch = group, *next; batch; batch = next) {
		next = batch->next; /* the batch is its caller's again once the lock is open */
		struct waiter *waiter = batch->waiter;
		batch->done = true;
		pthread_cond_signal(&waiter->done);
	}
	pthread_mutex_unlock(&writer->lock);
}

/* Each time the log has grown by so much: it does not start over while a reader needs its pages. */
static void ask_for_checkpoint(struct writer *writer)
{
	int pages = database_log_pages(writer->database);
	if (pages < writer->checkpoint_mark)
		writer->checkpoint_mark = 0; /* it has started over */
	if (pages - writer->checkpoint_mark < CHECKPOINT_PAGES)
		return;
	writer->checkpoint_mark = pages;
	checkpointer_wake(writer->meta->checkpointer);
}

static void commit_group(struct writer *writer, struct meta_batch *group)
{
	int64_t sequence = writer->sequence;
	struct change_log changes = writer->changes;
	struct error why = { 0 };
	if (run_transaction(writer, group, &sequence, &changes, &why)) {
		for (struct meta_batch *batch = group; batch; batch = batch->next)
			if (!has_failed(batch))
				set_result(batch, -1, &why);
	} else {
		writer->sequence = sequence;
		writer->changes = changes;
		atomic_store(&writer->meta->last_change, sequence);
		tell_listener(writer, group);
	}
	wake_callers(writer, group);
	ask_for_checkpoint(writer);
}

/*
 * The checkpoint thread has copied most of the log, but as long as commits follow each other it never reaches the
 * end; between two of them there is little left. Reads that began before are given a moment to end, those that
 * begin now no longer need the log: so it starts over even if there is always some reader.
 */
static void finish_checkpoint(struct writer *writer)
{
	struct error err;
	if (!database_restart_log(writer->database, &err))
		return;
	log_warning("metadata-checkpoint-failed", "error=\"%s\"", err.message);
	if (err.code == ERROR_INTERNAL)
		set_broken(writer, &err);
}

static void *writer_run(void *context)
{
	struct writer *writer = context;
	for (;;) {
		bool checkpoint;
		struct meta_batch *group = take_group(writer, &checkpoint);
		if (!group && !checkpoint)
			return NULL;
		if (checkpoint)
			finish_checkpoint(writer);
		if (group)
			commit_group(writer, group);
	}
}

void writer_set_listener(struct writer *writer, meta_listener *listener, void *context)
{
	pthread_mutex_lock(&writer->lock);
	writer->listener = listener;
	writer->listener_context = context;
	pthread_mutex_unlock(&writer->lock);
}

void writer_finish_checkpoint(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->checkpoint_unfinished = true;
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
}

void writer_fail_checkpoint(struct writer *writer, const struct error *why)
{
	pthread_mutex_lock(&writer->lock);
	if (!writer->checkpoint_failure.code)
		writer->checkpoint_failure = *why;
	pthread_mutex_unlock(&writer->lock);
}

static int read_change_log(struct writer *writer, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(writer->database, CHANGE_ENDS, NO_ARGUMENTS, &rows, err) ||
		cursor_next(&rows, err) < 0)
		return -1;
	writer->changes.first = cursor_number(&rows, 0);
	writer->sequence = cursor_number(&rows, 1);
	atomic_store(&writer->meta->last_change, writer->sequence);
	return 0;
}

static void writer_destroy(struct writer *writer)
{
	database_close(writer->database);
	pthread_cond_destroy(&writer->wake);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

int writer_start(const char *path, struct meta *meta, struct writer **started, struct error *err)
{
	struct writer *writer = memory_alloc(sizeof *writer);
	writer->meta = meta;
	writer->end = &writer->first;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->wake, NULL);
	if (database_open(path, DATABASE_WRITER, &writer->database, err) ||
		schema_migrate(writer->database, schema_migrations, schema_migration_count, err) ||
		meta_index_refresh(writer->database, record_kinds, err) || read_change_log(writer, err) ||
		meta_start_thread(&writer->thread, writer_run, writer, err)) {
		writer_destroy(writer);
		return -1;
	}
	*started = writer;
	return 0;
}

void writer_stop(struct writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stopping = true;
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	writer_destroy(writer);
}
