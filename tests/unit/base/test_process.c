/* Spawning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/banned.h"

static bool runs_as(const struct process *process, const char *name)
{
	char path[64], line[64] = "";
	snprintf(path, sizeof path, "/proc/%d/comm", (int)process->pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	bool read = fgets(line, sizeof line, file);
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return read && strcmp(line, name) == 0;
}

/* nbdkit, for one, asks at its start for SIGTERM at its parent's death. The race is lost by a few in a hundred if it can be lost. */
static void nobody_takes_our_middle_child_for_its_parent(void **state)
{
	enum { ROUNDS = 100 };
	const char *const argv[] = { "setpriv", "--pdeathsig", "TERM", "sleep", "100", NULL };
	for (int i = 0; i < ROUNDS; i++) {
		struct process process;
		struct error err;
		assert_int_equal(process_spawn(argv, NULL, NULL, 0, &process, &err), 0);
		while (process_is_alive(&process) && !runs_as(&process, "sleep"))
			;
		assert_true(process_is_alive(&process));
		process_signal(&process, SIGKILL);
		assert_int_equal(process_wait_end(&process, 10000, &err), 0);
	}
}

static void a_program_that_is_missing_is_an_error(void **state)
{
	const char *const argv[] = { "/nonexistent/program", NULL };
	struct process process;
	struct error err;
	assert_int_equal(process_spawn(argv, NULL, NULL, 0, &process, &err), -1);
	assert_non_null(strstr(err.message, "/nonexistent/program"));
}

static void a_process_has_a_user(void **state)
{
	const char *const argv[] = { "sleep", "100", NULL };
	struct process process;
	struct error err;
	uid_t user = 12345;
	assert_int_equal(process_spawn(argv, NULL, NULL, 0, &process, &err), 0);
	assert_int_equal(process_user(&process, &user, &err), 0);
	assert_int_equal(user, geteuid());
	process_signal(&process, SIGKILL);
	assert_int_equal(process_wait_end(&process, 10000, &err), 0);
	assert_int_equal(process_user(&process, &user, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_takes_our_middle_child_for_its_parent),
		cmocka_unit_test(a_process_has_a_user),
		cmocka_unit_test(a_program_that_is_missing_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
