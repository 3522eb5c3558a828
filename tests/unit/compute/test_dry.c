/* The dry driver: states, events from its own thread, and what a restart knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "compute/compute.h"
#include "folder.h"
#include "base/banned.h"

static const struct compute_driver *driver = &compute_driver_dry;
static sem_t told;
static pthread_t teller;

static void on_event(void *context, const char *id, enum machine_event event)
{
	assert_string_equal(id, "i-1");
	assert_int_equal(event, EVENT_MACHINE_SHUT_DOWN);
	teller = pthread_self();
	sem_post(&told);
}

static struct compute *open_driver(void)
{
	struct compute *compute;
	struct error err;
	assert_int_equal(driver->open(test_folder, test_folder, on_event, NULL, &compute, &err), 0);
	return compute;
}

static enum machine_state state_of(struct compute *compute)
{
	enum machine_state state;
	struct error err;
	assert_int_equal(driver->state(compute, "i-1", test_folder, &state, &err), 0);
	return state;
}

static void life(void **state)
{
	struct machine_spec spec = {
		.id = "i-1", .instance_type = "t3.micro", .vcpus = 1, .memory_mib = 128, .folder = test_folder
	};
	struct error err;
	int count;
	struct compute *compute = open_driver();
	assert_int_equal(state_of(compute), MACHINE_ABSENT);
	assert_int_equal(driver->power_button(compute, "i-1", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(driver->start(compute, &spec, &err), 0);
	assert_int_equal(driver->start(compute, &spec, &err), 0);
	assert_int_equal(driver->freeze_file_systems(compute, "i-1", 1000, &count, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	driver->close(compute);

	compute = open_driver();
	assert_int_equal(state_of(compute), MACHINE_RUNNING);
	assert_int_equal(driver->power_button(compute, "i-1", &err), 0);
	sem_wait(&told);
	assert_false(pthread_equal(teller, pthread_self()));
	assert_int_equal(state_of(compute), MACHINE_SHUT_DOWN);
	driver->close(compute);

	compute = open_driver();
	assert_int_equal(state_of(compute), MACHINE_SHUT_DOWN);
	assert_int_equal(driver->start(compute, &spec, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_int_equal(driver->destroy(compute, "i-1", test_folder, &err), 0);
	assert_int_equal(driver->destroy(compute, "i-1", test_folder, &err), 0);
	assert_int_equal(state_of(compute), MACHINE_ABSENT);

	struct arena *arena ARENA_SCOPED = arena_create();
	char *data;
	size_t size;
	int64_t modified_ms;
	assert_int_equal(
		driver->console(compute, "i-1", test_folder, 1000, arena, &data, &size, &modified_ms, &err),
		0);
	assert_non_null(strstr(data, "dry machine"));
	driver->close(compute);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(life) };
	sem_init(&told, 0, 0);
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
