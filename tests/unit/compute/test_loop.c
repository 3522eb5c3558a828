/* The loop: readiness, removal from anywhere, notices, and that everything is released exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "compute/compute_loop.h"
#include "base/banned.h"

struct probe {
	struct compute_loop *loop;
	struct compute_loop_source *source;
	int fd;
	bool remove_itself;
	_Atomic int calls, releases;
	sem_t called;
};

static void on_ready(void *context, uint32_t events)
{
	struct probe *probe = context;
	eventfd_t value;
	eventfd_read(probe->fd, &value);
	atomic_fetch_add(&probe->calls, 1);
	if (probe->remove_itself)
		compute_loop_remove(probe->loop, probe->source);
	sem_post(&probe->called);
}

static void on_release(void *context)
{
	atomic_fetch_add(&((struct probe *)context)->releases, 1);
}

static const struct compute_loop_handler handler = { .ready = on_ready, .release = on_release };

static void begin(struct probe *probe, struct compute_loop *loop, bool remove_itself)
{
	struct error err;
	*probe = (struct probe){
		.loop = loop, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .remove_itself = remove_itself
	};
	sem_init(&probe->called, 0, 0);
	assert_int_equal(compute_loop_add(loop, probe->fd, &handler, probe, &probe->source, &err), 0);
}

static void wakes_and_removes(void **state)
{
	struct compute_loop *loop;
	struct error err;
	struct probe kept, self, other;
	assert_int_equal(compute_loop_create(&loop, &err), 0);
	begin(&kept, loop, false);
	begin(&self, loop, true);
	begin(&other, loop, false);
	for (int i = 0; i < 3; i++) {
		eventfd_write(kept.fd, 1);
		sem_wait(&kept.called);
	}
	eventfd_write(self.fd, 1);
	sem_wait(&self.called);
	compute_loop_remove(loop, other.source);
	assert_int_equal(other.releases, 1);
	compute_loop_destroy(loop);
	assert_int_equal(kept.calls, 3);
	assert_int_equal(kept.releases, 1);
	assert_int_equal(self.calls, 1);
	assert_int_equal(self.releases, 1);
	assert_int_equal(other.calls, 0);
	assert_int_equal(other.releases, 1);
}

static void removal_races_with_readiness(void **state)
{
	struct compute_loop *loop;
	struct error err;
	assert_int_equal(compute_loop_create(&loop, &err), 0);
	enum { ROUNDS = 2000 };
	static struct probe probes[ROUNDS];
	for (int i = 0; i < ROUNDS; i++) {
		begin(&probes[i], loop, false);
		eventfd_write(probes[i].fd, 1);
		compute_loop_remove(loop, probes[i].source);
	}
	compute_loop_destroy(loop);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(probes[i].releases, 1);
		assert_true(probes[i].calls <= 1);
	}
}

static void count(void *context)
{
	++*(int *)context;
}

static void notices_are_all_delivered(void **state)
{
	struct compute_loop *loop;
	struct error err;
	int counter = 0;
	assert_int_equal(compute_loop_create(&loop, &err), 0);
	for (int i = 0; i < 100; i++)
		compute_loop_post(loop, count, &counter);
	compute_loop_destroy(loop);
	assert_int_equal(counter, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wakes_and_removes),
		cmocka_unit_test(removal_races_with_readiness),
		cmocka_unit_test(notices_are_all_delivered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
