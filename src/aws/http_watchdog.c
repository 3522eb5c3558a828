/*
 * A list of watches and a thread that sleeps until the earliest deadline among them. Deadlines mostly move forward, so the thread is woken early only when a new one is earlier than
 * what it sleeps for; when it wakes up and nothing is due any more it computes its next sleep. The list is as long as the server has connections: a scan is cheap.
 *
 * The mutex guards everything. It is held while shutdown(2) is called, so that a connection cannot be closed, and its descriptor used again, in between.
 */
#include "aws/http_watchdog.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/banned.h"

enum { STACK_SIZE = 64 * 1024 };

struct http_watchdog {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	pthread_t thread;
	struct http_watch list; /* head of a ring */
	int64_t wake_ms;        /* when the thread will look again */
	bool closing;
};

/* Cuts off what is due; returns the earliest deadline of the others. */
static int64_t cut_off_due(struct http_watchdog *watchdog, int64_t now_ms)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int64_t earliest = HTTP_NO_DEADLINE;
	for (struct http_watch *watch = watchdog->list.next; watch != &watchdog->list; watch = watch->next) {
		if (watch->deadline_ms <= now_ms) {
			watch->deadline_ms = HTTP_NO_DEADLINE;
			/* Reset, not ended in order: what a client does not read must not stay in the kernel's buffers. */
			setsockopt(watch->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
			shutdown(watch->fd, SHUT_RDWR);
			log_debug("http-client-too-slow", "fd=%d", watch->fd);
		} else if (watch->deadline_ms < earliest) {
			earliest = watch->deadline_ms;
		}
	}
	return earliest;
}

static void *run(void *argument)
{
	struct http_watchdog *watchdog = argument;
	pthread_mutex_lock(&watchdog->mutex);
	while (!watchdog->closing) {
		watchdog->wake_ms = cut_off_due(watchdog, clock_monotonic_ms());
		if (watchdog->wake_ms == HTTP_NO_DEADLINE) {
			pthread_cond_wait(&watchdog->wake, &watchdog->mutex);
		} else {
			struct timespec until = { .tv_sec = watchdog->wake_ms / 1000,
				.tv_nsec = watchdog->wake_ms % 1000 * 1000000 };
			pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until);
		}
	}
	pthread_mutex_unlock(&watchdog->mutex);
	return NULL;
}

int http_watchdog_open(struct http_watchdog **watchdog, struct error *err)
{
	struct http_watchdog *made = memory_alloc(sizeof *made);
	*made = (struct http_watchdog){ .wake_ms = HTTP_NO_DEADLINE };
	made->list.next = made->list.previous = &made->list;
	pthread_mutex_init(&made->mutex, NULL);
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&made->wake, &clock);
	pthread_condattr_destroy(&clock);
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	int failed = pthread_create(&made->thread, &attributes, run, made);
	pthread_attr_destroy(&attributes);
	if (failed) {
		free(made);
		return error_set_errno(err, failed, "start of the thread that watches HTTP connections");
	}
	*watchdog = made;
	return 0;
}

void http_watchdog_close(struct http_watchdog *watchdog)
{
	if (!watchdog)
		return;
	pthread_mutex_lock(&watchdog->mutex);
	watchdog->closing = true;
	pthread_cond_signal(&watchdog->wake);
	pthread_mutex_unlock(&watchdog->mutex);
	pthread_join(watchdog->thread, NULL);
	pthread_cond_destroy(&watchdog->wake);
	pthread_mutex_destroy(&watchdog->mutex);
	free(watchdog);
}

/* Under the mutex. */
static void set_deadline(struct http_watchdog *watchdog, struct http_watch *watch, int64_t deadline_ms)
{
	watch->deadline_ms = deadline_ms;
	if (deadline_ms < watchdog->wake_ms)
		pthread_cond_signal(&watchdog->wake);
}

void http_watchdog_add(struct http_watchdog *watchdog, struct http_watch *watch, int fd, int64_t deadline_ms)
{
	pthread_mutex_lock(&watchdog->mutex);
	watch->fd = fd;
	watch->previous = &watchdog->list;
	watch->next = watchdog->list.next;
	watch->next->previous = watchdog->list.next = watch;
	set_deadline(watchdog, watch, deadline_ms);
	pthread_mutex_unlock(&watchdog->mutex);
}

void http_watchdog_set(struct http_watchdog *watchdog, struct http_watch *watch, int64_t deadline_ms)
{
	pthread_mutex_lock(&watchdog->mutex);
	set_deadline(watchdog, watch, deadline_ms);
	pthread_mutex_unlock(&watchdog->mutex);
}

void http_watchdog_remove(struct http_watchdog *watchdog, struct http_watch *watch)
{
	pthread_mutex_lock(&watchdog->mutex);
	watch->previous->next = watch->next;
	watch->next->previous = watch->previous;
	pthread_mutex_unlock(&watchdog->mutex);
}
