/* The search for KVM: that its boot sector runs where an accelerator works, and that an answer is kept. Needs QEMU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "compute/acceleration.h"
#include "folder.h"
#include "base/banned.h"

static void the_boot_sector_runs(void **state)
{
	struct error err;
	bool works = false;
	assert_int_equal(acceleration_probe(test_folder, "tcg", "max", 60000, &works, &err), 0);
	assert_true(works);
}

static void what_does_not_come_up_does_not_work(void **state)
{
	struct error err;
	bool works = true;
	assert_int_equal(
		acceleration_probe(test_folder, "no-such-accelerator", "max", 60000, &works, &err), 0);
	assert_false(works);
	/* it would, but is not given the time: 2 s of work in 500 ms */
	works = true;
	assert_int_equal(acceleration_probe(test_folder, "tcg", "max", 500, &works, &err), 0);
	assert_false(works);
}

static void closing_does_not_wait_for_the_search(void **state)
{
	struct error err;
	struct acceleration *acceleration;
	assert_int_equal(acceleration_open(test_folder, &acceleration, &err), 0);
	acceleration_close(acceleration);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_boot_sector_runs),
		cmocka_unit_test(what_does_not_come_up_does_not_work),
		cmocka_unit_test(closing_does_not_wait_for_the_search),
	};
	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
