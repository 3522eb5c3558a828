/*
 * The one thread that waits for all of net's sockets (epoll): DHCP and public addresses. A source's `ready` is called on that thread with the loop's lock held; the tables that it reads are changed
 * under the same lock, which is only held for moments.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/error.h"

struct loop;

/* Part of a larger object, found from here by its address. */
struct loop_source {
	int fd; /* -1 once removed */
	void (*ready)(struct loop_source *source,
		uint32_t events); /* EPOLLIN, EPOLLOUT; EPOLLERR and EPOLLHUP always come */
	void (*release)(struct loop_source *source); /* frees the object; called once, after loop_remove */
	uint32_t events;
	struct loop_source *next_removed;
};

int loop_open(struct loop **loop, struct error *err);
/* Ends the thread. All sources have been removed before. */
void loop_close(struct loop *loop);

void loop_lock(struct loop *loop);
void loop_unlock(struct loop *loop);

/* These three are called with the lock held. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct error *err);
/* What to wait for from now on; 0: nothing, not even errors. */
void loop_change(struct loop *loop, struct loop_source *source, uint32_t events);
/* Closes its descriptor; `ready` is not called again. Legal twice. */
void loop_remove(struct loop *loop, struct loop_source *source);
