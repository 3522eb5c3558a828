/*
 * The pool of reading connections. The one used last is given out first, so that under light load one warm
 * connection serves; others are opened only while readers overlap, up to READERS_LIMIT, then a reader waits for
 * one to come back. Any thread; the lock is not held while a connection is opened.
 */
#include "meta/meta_internal.h"

#include "base/banned.h"

enum { READERS_LIMIT = 8 };

struct readers {
	char *path;
	pthread_mutex_t lock;
	pthread_cond_t returned;
	struct database *idle[READERS_LIMIT];
	int idle_count;
	int open_count; /* idle or given out */
};

struct readers *readers_create(const char *path)
{
	struct readers *readers = memory_alloc(sizeof *readers);
	readers->path = memory_strdup(path);
	pthread_mutex_init(&readers->lock, NULL);
	pthread_cond_init(&readers->returned, NULL);
	return readers;
}

void readers_destroy(struct readers *readers)
{
	if (!readers)
		return;
	for (int i = 0; i < readers->idle_count; i++)
		database_close(readers->idle[i]);
	pthread_cond_destroy(&readers->returned);
	pthread_mutex_destroy(&readers->lock);
	free(readers->path);
	free(readers);
}

struct database *readers_acquire(struct readers *readers, struct error *err)
{
	struct database *database = NULL;
	pthread_mutex_lock(&readers->lock);
	while (!readers->idle_count && readers->open_count == READERS_LIMIT)
		pthread_cond_wait(&readers->returned, &readers->lock);
	if (readers->idle_count)
		database = readers->idle[--readers->idle_count];
	else
		readers->open_count++;
	pthread_mutex_unlock(&readers->lock);
	if (database || !database_open(readers->path, DATABASE_READER, &database, err))
		return database;
	pthread_mutex_lock(&readers->lock);
	readers->open_count--;
	pthread_cond_signal(&readers->returned);
	pthread_mutex_unlock(&readers->lock);
	return NULL;
}

void readers_release(struct readers *readers, struct database *database)
{
	pthread_mutex_lock(&readers->lock);
	readers->idle[readers->idle_count++] = database;
	pthread_cond_signal(&readers->returned);
	pthread_mutex_unlock(&readers->lock);
}
