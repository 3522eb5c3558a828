/*
 * The drivers' one thread: waits (epoll) for descriptors of all machines and calls back. Also runs notices that another thread wants delivered from it.
 * Safe from every thread.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct compute_loop;
struct compute_loop_source;

struct compute_loop_handler {
	/* On the loop's thread; never two at once. `events` as of epoll. */
	void (*ready)(void *context, uint32_t events);
	/* Once, when the source was removed and `ready` runs no more: gives up what context holds. May be NULL. */
	void (*release)(void *context);
};

int compute_loop_create(struct compute_loop **loop, struct error *err);
/* Ends the thread; delivers what was posted, releases what is left. NULL is legal. Not from the loop's thread. */
void compute_loop_destroy(struct compute_loop *loop);

/* Watches `fd` (EPOLLIN), which then belongs to the loop and is closed after the source was removed. On failure nothing is taken over. */
int compute_loop_add(struct compute_loop *loop, int fd, const struct compute_loop_handler *handler,
	void *context, struct compute_loop_source **source, struct error *err);
/*
 * No new call of `ready` begins after this; one that runs on the loop's thread may still end. Does not wait, so it may be called with locks held that `ready`
 * takes; `release` may run inside of it. Once for each source.
 */
void compute_loop_remove(struct compute_loop *loop, struct compute_loop_source *source);
/* Calls function(context) soon from the loop's thread. */
void compute_loop_post(struct compute_loop *loop, void (*function)(void *context), void *context);
