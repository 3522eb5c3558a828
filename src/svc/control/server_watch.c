/*
 * A pidfd for each volume server of a running instance, in an event loop of its own. A server outlives amid and is not its child, so nobody else would tell that one was killed; the guest meanwhile waits
 * for its disk, and QEMU gives up after a minute.
 *
 * `ready` runs on the loop's thread, server_watch_add on the controllers' threads; the lock protects the list.
 */
#include "svc/control/server_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "compute/compute_loop.h"
#include "work/work.h"
#include "base/banned.h"

struct watched_server {
	struct watched_server *next;
	struct server_watch *watch;
	struct compute_loop_source *source;
	struct process process;
	char *instance_id;
};

struct server_watch {
	struct work *work;
	struct compute_loop *loop;
	pthread_mutex_t lock;
	struct watched_server *servers;
};

static struct watched_server **find(struct server_watch *watch, const struct process *process)
{
	struct watched_server **link = &watch->servers;
	while (*link &&
		((*link)->process.pid != process->pid ||
			(*link)->process.start_ticks != process->start_ticks))
		link = &(*link)->next;
	return link;
}

/* The process has ended. */
static void on_ready(void *context, uint32_t events)
{
	struct watched_server *server = context;
	struct server_watch *watch = server->watch;
	pthread_mutex_lock(&watch->lock);
	*find(watch, &server->process) = server->next;
	pthread_mutex_unlock(&watch->lock);
	work_enqueue(watch->work, "instance", server->instance_id);
	compute_loop_remove(watch->loop, server->source);
}

static void on_release(void *context)
{
	struct watched_server *server = context;
	free(server->instance_id);
	free(server);
}

static const struct compute_loop_handler handler = { on_ready, on_release };

int server_watch_open(struct work *work, struct server_watch **result, struct error *err)
{
	struct server_watch *watch = memory_alloc(sizeof *watch);
	*watch = (struct server_watch){ .work = work };
	if (compute_loop_create(&watch->loop, err)) {
		free(watch);
		return -1;
	}
	pthread_mutex_init(&watch->lock, NULL);
	*result = watch;
	return 0;
}

void server_watch_close(struct server_watch *watch)
{
	if (!watch)
		return;
	compute_loop_destroy(watch->loop);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

/* With the lock held. */
static int add(
	struct server_watch *watch, const struct process *process, const char *instance_id, struct error *err)
{
	int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (fd < 0 && errno != ESRCH)
		return error_set_errno(err, errno, "cannot watch process %d", (int)process->pid);
	/* asked after the descriptor was made: from here on it is that very process, not one with its number */
	if (fd < 0 || !process_is_alive(process)) {
		if (fd >= 0)
			close(fd);
		work_enqueue(watch->work, "instance", instance_id);
		return 0;
	}
	struct watched_server *server = memory_alloc(sizeof *server);
	*server = (struct watched_server){ .next = watch->servers,
		.watch = watch,
		.process = *process,
		.instance_id = memory_strdup(instance_id) };
	if (compute_loop_add(watch->loop, fd, &handler, server, &server->source, err)) {
		close(fd);
		on_release(server);
		return -1;
	}
	watch->servers = server;
	return 0;
}

int server_watch_add(
	struct server_watch *watch, const struct process *process, const char *instance_id, struct error *err)
{
	pthread_mutex_lock(&watch->lock);
	int result = *find(watch, process) ? 0 : add(watch, process, instance_id, err);
	pthread_mutex_unlock(&watch->lock);
	return result;
}
