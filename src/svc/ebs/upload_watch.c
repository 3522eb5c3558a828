/*
 * Ends uploads whose snapshot is gone or no longer pending, and those that nothing was put into for too long. One thread; it looks once a second while there are uploads (their time is the wall clock, which the
 * operator may move without telling anyone) and sleeps while there are none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/ebs/upload_internal.h"
#include "base/banned.h"

static bool is_idle(const struct upload *upload)
{
	return clock_now_ms() - atomic_load(&upload->used_ms) > upload->timeout_ms;
}

static int look_at(struct uploads *uploads, struct upload *upload, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct snapshot_record *snapshot;
	if (meta_get(uploads->amid->meta, &record_snapshot, upload->account, upload->region->name, upload->id,
		    arena, &snapshot, err))
		return -1;
	bool over = !snapshot || strcmp(snapshot->state, "pending") != 0;
	if (!over && !is_idle(upload))
		return 0;
	int result = 0;
	pthread_rwlock_wrlock(&upload->lock);
	if (!upload->ended && over)
		upload_end(uploads, upload);
	else if (!upload->ended && is_idle(upload))
		result = upload_fail(uploads, upload, snapshot,
			"No block was written within the snapshot's timeout.", arena, err);
	pthread_rwlock_unlock(&upload->lock);
	return result;
}

/* All uploads there are, each taken once more. Called with the table's lock. */
static struct upload **take_all(struct uploads *uploads, size_t *count)
{
	struct upload **all;
	*count = 0;
	for (struct upload *upload = uploads->first; upload; upload = upload->next)
		++*count;
	all = memory_alloc((*count + 1) * sizeof *all);
	*count = 0;
	for (struct upload *upload = uploads->first; upload; upload = upload->next) {
		upload->users++;
		all[(*count)++] = upload;
	}
	return all;
}

static void look_at_all(struct uploads *uploads)
{
	size_t count;
	pthread_mutex_lock(&uploads->lock);
	struct upload **all = take_all(uploads, &count);
	pthread_mutex_unlock(&uploads->lock);
	for (size_t i = 0; i < count; i++) {
		struct error err;
		/* a record changed meanwhile is looked at again in a second */
		if (look_at(uploads, all[i], &err) && err.code != ERROR_CONFLICT)
			log_warning(
				"upload-watch-failed", "snapshot=%s error=\"%s\"", all[i]->id, err.message);
		upload_release(uploads, all[i]);
	}
	free(all);
}

/* Called with the table's lock. */
static void wait_for_work(struct uploads *uploads)
{
	struct timespec until;
	while (!uploads->first && !uploads->closing)
		pthread_cond_wait(&uploads->changed, &uploads->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!uploads->closing &&
		pthread_cond_timedwait(&uploads->changed, &uploads->lock, &until) != ETIMEDOUT)
		;
}

static void *watch(void *context)
{
	struct uploads *uploads = context;
	for (;;) {
		pthread_mutex_lock(&uploads->lock);
		wait_for_work(uploads);
		bool closing = uploads->closing;
		pthread_mutex_unlock(&uploads->lock);
		if (closing)
			return NULL;
		look_at_all(uploads);
	}
}

int upload_watcher_start(struct uploads *uploads, struct error *err)
{
	int failed = pthread_create(&uploads->watcher, NULL, watch, uploads);
	if (failed)
		return error_set_errno(err, failed, "cannot start the watcher of uploads");
	uploads->watcher_runs = true;
	return 0;
}

void upload_watcher_stop(struct uploads *uploads)
{
	pthread_mutex_lock(&uploads->lock);
	uploads->closing = true;
	pthread_cond_broadcast(&uploads->changed);
	pthread_mutex_unlock(&uploads->lock);
	if (uploads->watcher_runs)
		pthread_join(uploads->watcher, NULL);
}
