/*
 * The checkpoint thread: moves the write-ahead log into the database, so that no commit pays for it.
 *
 * The writer wakes it when the log has grown to CHECKPOINT_PAGES. It copies the log with a connection of its own,
 * holding up neither readers nor the writer, and then has the writer copy what was committed meanwhile (see
 * finish_checkpoint in writer.c), after which the log file is written from its start again. The log grows beyond
 * that while a long read needs its old pages; a later round gets them. A checkpoint that fails for a full disk loses nothing: the log holds everything. After one that fails otherwise the writer refuses commits until the
 * file is opened again: what a failed sync was to make durable may be lost, silently.
 */
#include "meta/meta_internal.h"

#include "base/banned.h"
#include "base/log.h"

struct checkpointer {
	struct meta *meta;
	struct database *database; /* the thread's own; opened at its first round */
	char *path;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool due;
	bool stopping;
};

static int run_checkpoint(struct checkpointer *checkpointer, struct error *err)
{
	if (!checkpointer->database &&
		database_open(checkpointer->path, DATABASE_CHECKPOINTER, &checkpointer->database, err))
		return -1;
	if (database_checkpoint(checkpointer->database, err))
		return -1;
	writer_finish_checkpoint(checkpointer->meta->writer);
	return 0;
}

static void *checkpointer_run(void *context)
{
	struct checkpointer *checkpointer = context;
	for (;;) {
		pthread_mutex_lock(&checkpointer->lock);
		while (!checkpointer->due && !checkpointer->stopping)
			pthread_cond_wait(&checkpointer->wake, &checkpointer->lock);
		bool stopping = checkpointer->stopping;
		checkpointer->due = false;
		pthread_mutex_unlock(&checkpointer->lock);
		if (stopping)
			return NULL;
		struct error err;
		if (!run_checkpoint(checkpointer, &err))
			continue;
		log_warning("metadata-checkpoint-failed", "error=\"%s\"", err.message);
		if (err.code == ERROR_INTERNAL)
			writer_fail_checkpoint(checkpointer->meta->writer, &err);
	}
}

void checkpointer_wake(struct checkpointer *checkpointer)
{
	pthread_mutex_lock(&checkpointer->lock);
	checkpointer->due = true;
	pthread_cond_signal(&checkpointer->wake);
	pthread_mutex_unlock(&checkpointer->lock);
}

void checkpointer_destroy(struct checkpointer *checkpointer)
{
	if (!checkpointer)
		return;
	database_close(checkpointer->database);
	pthread_cond_destroy(&checkpointer->wake);
	pthread_mutex_destroy(&checkpointer->lock);
	free(checkpointer->path);
	free(checkpointer);
}

int checkpointer_create(const char *path, struct meta *meta, struct checkpointer **started, struct error *err)
{
	struct checkpointer *checkpointer = memory_alloc(sizeof *checkpointer);
	checkpointer->meta = meta;
	checkpointer->path = memory_strdup(path);
	pthread_mutex_init(&checkpointer->lock, NULL);
	pthread_cond_init(&checkpointer->wake, NULL);
	if (meta_start_thread(&checkpointer->thread, checkpointer_run, checkpointer, err)) {
		checkpointer_destroy(checkpointer);
		return -1;
	}
	*started = checkpointer;
	return 0;
}

void checkpointer_stop(struct checkpointer *checkpointer)
{
	if (!checkpointer)
		return;
	pthread_mutex_lock(&checkpointer->lock);
	checkpointer->stopping = true;
	pthread_cond_signal(&checkpointer->wake);
	pthread_mutex_unlock(&checkpointer->lock);
	pthread_join(checkpointer->thread, NULL);
}
