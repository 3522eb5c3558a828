/*
 * Work queue of the controllers: what has to be looked at again, by key (kind and id). A key is looked at by one thread at a time, and once more if it was enqueued while being looked at. Nothing here is durable: a controller
 * compares what is with what the metadata says should be, so whatever was queued at a crash is found again by the scan at the next start.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct work;

/*
 * Brings one thing to where it should be, as far as that goes now. Returns 0 when there is nothing left to do until it is enqueued again, or -1 with an error: it is then run again after a pause that doubles
 * from 100 ms to 10 s with each failure in a row (ERROR_CONFLICT, a concurrent change: at once). *again_ms >= 0 asks for another look after so many milliseconds.
 */
typedef int work_function(void *context, const char *id, int64_t *again_ms, struct error *err);

struct work_kind {
	const char *name; /* "instance" */
	work_function *run;
};

/* Starts `threads` workers. `kinds` ends with a NULL name and stays the caller's. */
int work_open(const struct work_kind *kinds, unsigned threads, void *context, struct work **work,
	struct error *err);
/* Waits for the functions that are running; no other is run any more. Whoever may still enqueue something can go on doing so, in vain, until work_close. */
void work_stop(struct work *work);
/* Stops, if that was not done, and gives up the queue. NULL is legal. */
void work_close(struct work *work);
/* Safe from every thread, quick. An id already waiting stays once in the queue, at the earlier of both times. */
void work_enqueue(struct work *work, const char *kind, const char *id);
void work_enqueue_after(struct work *work, const char *kind, const char *id, int64_t delay_ms);
/* How many keys wait or run now. */
unsigned work_pending(struct work *work);
