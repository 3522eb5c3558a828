/* Finding a machine's process by the lock that it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>

#include "compute/process_lock.h"
#include "folder.h"
#include "base/banned.h"

static void start(const char *script, struct process *process)
{
	struct error err;
	int lock_fd;
	assert_int_equal(process_lock_take(test_folder, &lock_fd, &err), 0);
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *file = arena_printf(arena, "%s/%s", test_folder, process_lock_identity_file);
	const char *const argv[] = { "/bin/sh", "-c", script, file, NULL };
	assert_int_equal(process_spawn(argv, NULL, &lock_fd, 1, process, &err), 0);
	close(lock_fd);
}

static void found_while_it_lives(void **state)
{
	struct process process, found;
	struct error err;
	int lock_fd;
	assert_int_equal(process_lock_find(test_folder, &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	start("read -r line </proc/$$/stat && echo \"$line\" >\"$0\" && exec sleep 100", &process);
	assert_int_equal(process_lock_find(test_folder, &found, &err), 0);
	assert_int_equal(found.pid, process.pid);
	assert_int_equal(found.start_ticks, process.start_ticks);
	assert_int_equal(process_lock_take(test_folder, &lock_fd, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	process_signal(&process, SIGKILL);
	assert_int_equal(process_wait_end(&process, 10000, &err), 0);
	/* its identity is still in the file: that alone means nothing */
	assert_int_equal(process_lock_find(test_folder, &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void a_process_that_has_not_said_who_it_is_counts(void **state)
{
	struct process process, found;
	struct error err;
	start("exec sleep 100", &process);
	assert_int_equal(process_lock_find(test_folder, &found, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	process_signal(&process, SIGKILL);
	assert_int_equal(process_wait_end(&process, 10000, &err), 0);
	assert_int_equal(process_lock_find(test_folder, &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_while_it_lives),
		cmocka_unit_test(a_process_that_has_not_said_who_it_is_counts),
	};
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
