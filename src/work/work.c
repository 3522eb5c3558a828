/*
 * The work queue: items in a hash table by key; waiting ones are found by scanning for the earliest due time (there are rarely more than some hundred). Workers sleep on a condition variable until the next
 * item is due. One mutex guards everything; it is never held while a function runs.
 *
 * An item's life: waiting (due at a time) -> running -> waiting again (failed, asked for, or enqueued while running) or gone.
 */
#include "work/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/banned.h"

enum { BUCKETS = 1024, FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 10000 };

struct item {
	struct item *next; /* in its bucket */
	const struct work_kind *kind;
	char *id;
	int64_t due_ms; /* monotonic; INT64_MAX: not waiting */
	bool running;
	unsigned failures; /* in a row */
};

struct work {
	const struct work_kind *kinds;
	void *context;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closing;
	unsigned thread_count;
	unsigned item_count;
	pthread_t *threads;
	struct item *buckets[BUCKETS];
};

static unsigned hash_key(const struct work_kind *kind, const char *id)
{
	uint32_t hash = 2166136261U ^ (uint32_t)(uintptr_t)kind;
	for (; *id; id++)
		hash = (hash ^ (uint8_t)*id) * 16777619U;
	return hash % BUCKETS;
}

static struct item *find_or_add(struct work *work, const struct work_kind *kind, const char *id)
{
	struct item **slot = &work->buckets[hash_key(kind, id)];
	for (struct item *item = *slot; item; item = item->next)
		if (item->kind == kind && strcmp(item->id, id) == 0)
			return item;
	struct item *item = memory_alloc(sizeof *item);
	*item = (struct item){ .next = *slot, .kind = kind, .id = memory_strdup(id), .due_ms = INT64_MAX };
	*slot = item;
	work->item_count++;
	return item;
}

static void remove_item(struct work *work, struct item *item)
{
	struct item **slot = &work->buckets[hash_key(item->kind, item->id)];
	while (*slot != item)
		slot = &(*slot)->next;
	*slot = item->next;
	work->item_count--;
	free(item->id);
	free(item);
}

static struct item *earliest_waiting(struct work *work)
{
	struct item *earliest = NULL;
	if (!work->item_count)
		return NULL;
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct item *item = work->buckets[i]; item; item = item->next)
			if (!item->running && item->due_ms != INT64_MAX &&
				(!earliest || item->due_ms < earliest->due_ms))
				earliest = item;
	return earliest;
}

/* Runs one item's function, without the lock, and says when it is to run again: a delay, or -1. */
static int64_t run_item(struct work *work, struct item *item)
{
	struct error err = { 0 };
	int64_t again_ms = -1;
	char context[128];
	snprintf(context, sizeof context, "%s=%s", item->kind->name, item->id);
	log_set_context(context);
	int64_t delay_ms;
	if (item->kind->run(work->context, item->id, &again_ms, &err) == 0) {
		item->failures = 0;
		delay_ms = again_ms;
	} else if (err.code == ERROR_CONFLICT && item->failures < 100) {
		item->failures++;
		delay_ms = 0;
	} else {
		unsigned shift = item->failures < 7 ? item->failures : 7;
		delay_ms = FIRST_PAUSE_MS << shift;
		if (delay_ms > LONGEST_PAUSE_MS)
			delay_ms = LONGEST_PAUSE_MS;
		item->failures++;
		log_warning("controller-failed", "failures=%u again_ms=%lld error=\"%s\"", item->failures,
			(long long)delay_ms, err.message);
	}
	log_set_context(NULL);
	return delay_ms;
}

static void wait_until(struct work *work, int64_t due_ms)
{
	struct timespec until = { .tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 };
	pthread_cond_timedwait(&work->changed, &work->lock, &until);
}

static void *run_worker(void *argument)
{
	struct work *work = argument;
	pthread_mutex_lock(&work->lock);
	while (!work->closing) {
		struct item *item = earliest_waiting(work);
		if (!item) {
			pthread_cond_wait(&work->changed, &work->lock);
			continue;
		}
		if (item->due_ms > clock_monotonic_ms()) {
			wait_until(work, item->due_ms);
			continue;
		}
		item->running = true;
		item->due_ms = INT64_MAX;
		pthread_mutex_unlock(&work->lock);
		int64_t delay_ms = run_item(work, item);
		pthread_mutex_lock(&work->lock);
		item->running = false;
		int64_t due_ms = delay_ms < 0 ? INT64_MAX : clock_monotonic_ms() + delay_ms;
		if (due_ms < item->due_ms)
			item->due_ms = due_ms;
		if (item->due_ms == INT64_MAX)
			remove_item(work, item);
		else
			pthread_cond_signal(&work->changed);
	}
	pthread_mutex_unlock(&work->lock);
	return NULL;
}

int work_open(const struct work_kind *kinds, unsigned threads, void *context, struct work **result,
	struct error *err)
{
	struct work *work = memory_alloc(sizeof *work);
	work->kinds = kinds;
	work->context = context;
	work->threads = memory_alloc(threads * sizeof *work->threads);
	pthread_mutex_init(&work->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&work->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (; work->thread_count < threads; work->thread_count++) {
		int failed = pthread_create(&work->threads[work->thread_count], NULL, run_worker, work);
		if (failed) {
			error_set_errno(err, failed, "cannot start a worker");
			work_close(work);
			return -1;
		}
	}
	*result = work;
	return 0;
}

void work_stop(struct work *work)
{
	pthread_mutex_lock(&work->lock);
	work->closing = true;
	pthread_cond_broadcast(&work->changed);
	pthread_mutex_unlock(&work->lock);
	for (unsigned i = 0; i < work->thread_count; i++)
		pthread_join(work->threads[i], NULL);
	work->thread_count = 0;
}

void work_close(struct work *work)
{
	if (!work)
		return;
	work_stop(work);
	for (unsigned i = 0; i < BUCKETS; i++)
		while (work->buckets[i])
			remove_item(work, work->buckets[i]);
	pthread_cond_destroy(&work->changed);
	pthread_mutex_destroy(&work->lock);
	free(work->threads);
	free(work);
}

void work_enqueue_after(struct work *work, const char *kind_name, const char *id, int64_t delay_ms)
{
	const struct work_kind *kind = work->kinds;
	while (kind->name && strcmp(kind->name, kind_name) != 0)
		kind++;
	if (!kind->name)
		return; /* no controller for this kind */
	int64_t due_ms = clock_monotonic_ms() + delay_ms;
	pthread_mutex_lock(&work->lock);
	struct item *item = find_or_add(work, kind, id);
	if (due_ms < item->due_ms)
		item->due_ms = due_ms;
	pthread_cond_signal(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

void work_enqueue(struct work *work, const char *kind, const char *id)
{
	work_enqueue_after(work, kind, id, 0);
}

unsigned work_pending(struct work *work)
{
	pthread_mutex_lock(&work->lock);
	unsigned count = work->item_count;
	pthread_mutex_unlock(&work->lock);
	return count;
}
