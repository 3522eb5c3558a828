/*
 * One epoll thread for all machines. Owns each watched descriptor until its source is gone.
 *
 * A source is referenced by its adder (until compute_loop_remove) and by the thread while it calls `ready`. epoll holds a bare pointer, which may come back
 * from epoll_wait after another thread removed the source: so the thread takes its reference under the lock and only if the source is still in the
 * list, and a removed source is freed by the thread between two waits, when no result that names it can be left.
 */
#include "compute/compute_loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/banned.h"

struct compute_loop_source {
	int fd;
	const struct compute_loop_handler *handler;
	void *context;
	bool removed, calling; /* under the lock; `release` runs once removed && !calling */
	struct compute_loop_source *next, **link; /* in loop->sources, or (next only) in loop->removed */
};

struct compute_loop_notice {
	void (*function)(void *context);
	void *context;
	struct compute_loop_notice *next;
};

struct compute_loop {
	int epoll_fd, wake_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	bool stopping;
	struct compute_loop_source *sources, *removed;
	struct compute_loop_notice *first_notice, **last_notice;
};

static void wake(struct compute_loop *loop)
{
	/* fails only if the counter is at its limit, and then the thread is awake anyway */
	if (eventfd_write(loop->wake_fd, 1))
		return;
}

/* Releases outside of the lock, for `release` may take others. */
static void finish_source(struct compute_loop_source *source)
{
	close(source->fd);
	if (source->handler->release)
		source->handler->release(source->context);
}

static void run_notices(struct compute_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct compute_loop_notice *notice = loop->first_notice;
	loop->first_notice = NULL;
	loop->last_notice = &loop->first_notice;
	pthread_mutex_unlock(&loop->lock);
	while (notice) {
		struct compute_loop_notice *next = notice->next;
		notice->function(notice->context);
		free(notice);
		notice = next;
	}
}

static void free_removed(struct compute_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct compute_loop_source *source = loop->removed;
	loop->removed = NULL;
	pthread_mutex_unlock(&loop->lock);
	while (source) {
		struct compute_loop_source *next = source->next;
		free(source);
		source = next;
	}
}

static void call_source(struct compute_loop *loop, struct compute_loop_source *source, uint32_t events)
{
	pthread_mutex_lock(&loop->lock);
	bool alive = !source->removed;
	source->calling = alive;
	pthread_mutex_unlock(&loop->lock);
	if (!alive)
		return;
	source->handler->ready(source->context, events);
	pthread_mutex_lock(&loop->lock);
	source->calling = false;
	bool finish = source->removed;
	pthread_mutex_unlock(&loop->lock);
	if (finish)
		finish_source(source);
}

static void *run_loop(void *argument)
{
	struct compute_loop *loop = argument;
	struct epoll_event events[16];
	for (;;) {
		int count = epoll_wait(loop->epoll_fd, events, 16, -1);
		assert(count >= 0 || errno == EINTR);
		for (int i = 0; i < count; i++) {
			eventfd_t ignored;
			if (events[i].data.ptr)
				call_source(loop, events[i].data.ptr, events[i].events);
			else if (eventfd_read(loop->wake_fd, &ignored))
				continue;
		}
		/* only now, that no result of epoll_wait can name them */
		free_removed(loop);
		run_notices(loop);
		pthread_mutex_lock(&loop->lock);
		bool stopping = loop->stopping && !loop->first_notice;
		pthread_mutex_unlock(&loop->lock);
		if (stopping)
			return NULL;
	}
}

static void free_loop(struct compute_loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

/* The thread needs little stack: a small one keeps the idle process small. */
static int start_thread(struct compute_loop *loop)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	int failed = pthread_create(&loop->thread, &attributes, run_loop, loop);
	pthread_attr_destroy(&attributes);
	return failed;
}

int compute_loop_create(struct compute_loop **result, struct error *err)
{
	struct compute_loop *loop = memory_alloc(sizeof *loop);
	*loop = (struct compute_loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	loop->last_notice = &loop->first_notice;
	pthread_mutex_init(&loop->lock, NULL);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event)) {
		error_set_errno(err, errno, "cannot make an epoll instance");
		free_loop(loop);
		return -1;
	}
	int failed = start_thread(loop);
	if (failed) {
		error_set_errno(err, failed, "cannot start the machines' thread");
		free_loop(loop);
		return -1;
	}
	*result = loop;
	return 0;
}

void compute_loop_destroy(struct compute_loop *loop)
{
	if (!loop)
		return;
	pthread_mutex_lock(&loop->lock);
	loop->stopping = true;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
	pthread_join(loop->thread, NULL);
	while (loop->sources)
		compute_loop_remove(loop, loop->sources);
	free_removed(loop);
	run_notices(loop);
	free_loop(loop);
}

int compute_loop_add(struct compute_loop *loop, int fd, const struct compute_loop_handler *handler,
	void *context, struct compute_loop_source **result, struct error *err)
{
	struct compute_loop_source *source = memory_alloc(sizeof *source);
	*source = (struct compute_loop_source){ .fd = fd, .handler = handler, .context = context };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };
	pthread_mutex_lock(&loop->lock);
	/* before `ready` can run, so that it finds *result set if that is where its context keeps it */
	*result = source;
	int failed = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? errno : 0;
	if (!failed) {
		source->next = loop->sources;
		source->link = &loop->sources;
		if (source->next)
			source->next->link = &source->next;
		loop->sources = source;
	}
	pthread_mutex_unlock(&loop->lock);
	if (!failed)
		return 0;
	*result = NULL;
	free(source);
	return error_set_errno(err, failed, "cannot watch descriptor %d", fd);
}

void compute_loop_remove(struct compute_loop *loop, struct compute_loop_source *source)
{
	pthread_mutex_lock(&loop->lock);
	assert(!source->removed);
	source->removed = true;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	*source->link = source->next;
	if (source->next)
		source->next->link = source->link;
	bool finish = !source->calling;
	pthread_mutex_unlock(&loop->lock);
	if (finish)
		finish_source(source);
	/*
	 * The thread may free it from here on, and not earlier: after finish_source, or while it is itself inside of `ready` and so before
	 * free_removed.
	 */
	pthread_mutex_lock(&loop->lock);
	source->next = loop->removed;
	loop->removed = source;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
}

void compute_loop_post(struct compute_loop *loop, void (*function)(void *context), void *context)
{
	struct compute_loop_notice *notice = memory_alloc(sizeof *notice);
	*notice = (struct compute_loop_notice){ .function = function, .context = context };
	pthread_mutex_lock(&loop->lock);
	*loop->last_notice = notice;
	loop->last_notice = &notice->next;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
}
