/*
 * The event loop: see loop.h.
 *
 * epoll_wait hands out pointers to sources before the thread takes the lock, and in between a source may be removed. So a removed source is only put on a list, which the thread empties when it is through
 * with what epoll_wait gave it: nothing that it still holds is freed.
 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/banned.h"

enum { BATCH = 64 };

struct loop {
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below, and what the sources' owners keep under it */
	int epoll_fd;
	int wake_fd;
	bool ending;
	struct loop_source *removed;
};

static void release_removed(struct loop *loop)
{
	while (loop->removed) {
		struct loop_source *source = loop->removed;
		loop->removed = source->next_removed;
		source->release(source);
	}
}

static void handle_batch(struct loop *loop, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].data.ptr;
		if (source && source->fd >= 0)
			source->ready(source, events[i].events);
		if (!source) {
			uint64_t value;
			/* Only to be emptied: that it was readable was the message. */
			ssize_t ignored = read(loop->wake_fd, &value, sizeof value);
			(void)ignored;
		}
	}
	release_removed(loop);
}

static void *loop_thread(void *context)
{
	struct loop *loop = context;
	struct epoll_event events[BATCH];
	pthread_setname_np(pthread_self(), "net");
	for (bool ending = false; !ending;) {
		int count = epoll_wait(loop->epoll_fd, events, BATCH, -1);
		loop_lock(loop);
		handle_batch(loop, events, count);
		ending = loop->ending;
		loop_unlock(loop);
	}
	return NULL;
}

static int start_thread(struct loop *loop, struct error *err)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int failure = pthread_create(&loop->thread, NULL, loop_thread, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return failure ? error_set_errno(err, failure, "cannot start the network thread") : 0;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;
	ssize_t ignored = write(loop->wake_fd, &one, sizeof one);
	(void)ignored; /* fails only if it is already readable */
}

static void free_loop(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int loop_open(struct loop **out, struct error *err)
{
	struct loop *loop = memory_alloc(sizeof *loop);
	*loop = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	pthread_mutex_init(&loop->lock, NULL);
	struct epoll_event event = { .events = EPOLLIN };
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event)) {
		error_set_errno(err, errno, "cannot make an event loop");
		free_loop(loop);
		return -1;
	}
	if (start_thread(loop, err)) {
		free_loop(loop);
		return -1;
	}
	*out = loop;
	return 0;
}

void loop_close(struct loop *loop)
{
	if (!loop)
		return;
	loop_lock(loop);
	loop->ending = true;
	wake(loop);
	loop_unlock(loop);
	pthread_join(loop->thread, NULL);
	release_removed(loop);
	free_loop(loop);
}

void loop_lock(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
}

void loop_unlock(struct loop *loop)
{
	pthread_mutex_unlock(&loop->lock);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct error *err)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	assert(source->fd >= 0 && source->ready && source->release);
	source->events = events;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event))
		return error_set_errno(err, errno, "cannot wait for a socket");
	return 0;
}

void loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	if (source->fd < 0 || source->events == events)
		return;
	/* Out of epoll while nothing is waited for: it would go on to report a hang-up that nobody can act on yet, and the thread would spin. */
	int operation = events == 0 ? EPOLL_CTL_DEL : source->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	source->events = events;
	int failure = epoll_ctl(loop->epoll_fd, operation, source->fd, &event);
	assert(failure == 0);
	(void)failure;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	close(source->fd);
	source->fd = -1;
	source->next_removed = loop->removed;
	loop->removed = source;
	wake(loop); /* so that it is freed soon */
}
