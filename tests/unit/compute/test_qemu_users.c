/* Which user a machine is to be. What QEMU then is: tests/vm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compute/qemu_internal.h"
#include "base/banned.h"

enum { FIRST = 1879048192, LAST = FIRST + (1 << 27) - 1 };

static struct compute make_compute(void)
{
	return (struct compute){ .own_users = true, .lock = PTHREAD_MUTEX_INITIALIZER };
}

static uid_t promise(struct compute *compute, const char *id)
{
	struct error err;
	uid_t user;
	assert_int_equal(qemu_users_promise(compute, id, &user, &err), 0);
	assert_true(!compute->own_users || (user >= FIRST && user <= LAST));
	return user;
}

static void a_promise_holds_until_it_is_released(void **state)
{
	struct compute compute = make_compute();
	uid_t user = promise(&compute, "i-1");
	assert_int_equal(promise(&compute, "i-1"), user);
	assert_int_not_equal(promise(&compute, "i-2"), user);
	qemu_users_release(&compute, "i-2");
	qemu_users_release(&compute, "i-2");
	assert_int_equal(promise(&compute, "i-1"), user);
	qemu_users_release(&compute, "i-1");
	assert_null(compute.users);
	/* it follows from the id: whoever comes later finds the same */
	assert_int_equal(promise(&compute, "i-1"), user);
	qemu_users_close(&compute);
}

struct candidate {
	uid_t user;
	char id[16];
};

static int compare(const void *one, const void *two)
{
	const struct candidate *a = one, *b = two;
	return (a->user > b->user) - (a->user < b->user);
}

/* Among so many ids some lead to the same number. */
static void machines_whose_ids_lead_to_one_number_get_two(void **state)
{
	enum { COUNT = 60000 };
	static struct candidate candidates[COUNT];
	struct compute compute = make_compute();
	unsigned pairs = 0;
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(candidates[i].id, sizeof candidates[i].id, "i-%u", i);
		candidates[i].user = promise(&compute, candidates[i].id);
		qemu_users_release(&compute, candidates[i].id);
	}
	qsort(candidates, COUNT, sizeof *candidates, compare);
	for (unsigned i = 1; i < COUNT; i++) {
		if (candidates[i].user != candidates[i - 1].user)
			continue;
		pairs++;
		assert_int_equal(promise(&compute, candidates[i].id), candidates[i].user);
		assert_int_not_equal(promise(&compute, candidates[i - 1].id), candidates[i].user);
	}
	assert_int_not_equal(pairs, 0);
	qemu_users_close(&compute);
}

static void without_users_of_their_own_machines_are_who_we_are(void **state)
{
	struct compute compute = make_compute();
	gid_t group;
	compute.own_users = false;
	assert_int_equal(promise(&compute, "i-1"), geteuid());
	assert_null(compute.users);
	assert_true(qemu_users_may_use_kvm(&compute, &group));
	assert_int_equal(group, 0);
}

/* Becomes the user, says so, and waits to be killed. */
static pid_t start_process(uid_t user)
{
	int ends[2];
	char byte = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		if (setresuid(user, user, user) || write(ends[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(ends[1]);
	return child;
}

static void a_number_that_a_process_has_is_not_given_out(void **state)
{
	if (geteuid() != 0 || !qemu_users_possible())
		skip();
	struct compute compute = make_compute();
	uid_t user = promise(&compute, "i-1"), next;
	pid_t child = start_process(user);
	/* what was promised stays: it may be this very machine's process */
	assert_int_equal(promise(&compute, "i-1"), user);
	qemu_users_release(&compute, "i-1");
	next = promise(&compute, "i-1");
	assert_int_not_equal(next, user);
	qemu_users_release(&compute, "i-1");
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(promise(&compute, "i-1"), user);
	qemu_users_close(&compute);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_promise_holds_until_it_is_released),
		cmocka_unit_test(machines_whose_ids_lead_to_one_number_get_two),
		cmocka_unit_test(without_users_of_their_own_machines_are_who_we_are),
		cmocka_unit_test(a_number_that_a_process_has_is_not_given_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
