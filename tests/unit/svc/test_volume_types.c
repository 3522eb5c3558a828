/* Volume types: what their limits let through, and what they promise. */
#include "handlers.h"

#include "svc/volume_types.h"

static const struct shape_integer none = { 0 };

static enum error_code check(const char *type, int64_t size, int64_t iops, int64_t throughput)
{
	struct error err = { 0 };
	struct shape_integer some_iops = iops ? some_integer(iops) : none,
			     some_throughput = throughput ? some_integer(throughput) : none;
	return volume_type_check(type, size, &some_iops, &some_throughput, &err) ? err.code : ERROR_NONE;
}

static void each_limit_holds_at_its_edge(void **state)
{
	static const struct {
		const char *type;
		int64_t size, iops, throughput;
		enum error_code code;
	} cases[] = {
		{ "gp3", 1, 0, 0, ERROR_NONE },
		{ "gp3", 65536, 80000, 2000, ERROR_NONE },
		{ "gp3", 65537, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 0, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 1, 3000, 0, ERROR_NONE }, /* the baseline is there at any size */
		{ "gp3", 6, 3001, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 7, 3001, 0, ERROR_NONE },
		{ "gp3", 100, 2999, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 65536, 80001, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 100, 3000, 750, ERROR_NONE },
		{ "gp3", 100, 3000, 751, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 100, 3000, 124, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp3", 65536, 80000, 2001, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp2", 16384, 0, 0, ERROR_NONE },
		{ "gp2", 16385, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "gp2", 10, 100, 0, ERROR_INVALID_PARAMETER_COMBINATION },
		{ "gp2", 10, 0, 125, ERROR_INVALID_PARAMETER_COMBINATION },
		{ "io1", 10, 0, 0, ERROR_MISSING_PARAMETER },
		{ "io1", 3, 100, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "io1", 10, 500, 0, ERROR_NONE },
		{ "io1", 10, 501, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "io1", 16384, 64001, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "io2", 65536, 256000, 0, ERROR_NONE },
		{ "io2", 4, 4000, 0, ERROR_NONE },
		{ "io2", 4, 4001, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "io2", 4, 100, 500, ERROR_INVALID_PARAMETER_COMBINATION },
		{ "st1", 124, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "st1", 125, 0, 0, ERROR_NONE },
		{ "sc1", 16385, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "standard", 1024, 0, 0, ERROR_NONE },
		{ "standard", 1025, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
		{ "tape", 10, 0, 0, ERROR_INVALID_PARAMETER_VALUE },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (check(cases[i].type, cases[i].size, cases[i].iops, cases[i].throughput) != cases[i].code)
			fail_msg("case %zu: %s of %lld GiB", i, cases[i].type, (long long)cases[i].size);
}

static void defaults_are_filled_in(void **state)
{
	struct error err;
	struct shape_integer iops = none, throughput = none;
	assert_int_equal(volume_type_check("gp3", 1, &iops, &throughput, &err), 0);
	assert_true(iops.set && iops.value == 3000 && throughput.set && throughput.value == 125);
	iops = throughput = none;
	assert_int_equal(volume_type_check("gp2", 1, &iops, &throughput, &err), 0);
	assert_false(iops.set || throughput.set);
}

static void assert_promise(
	struct volume_performance promise, int64_t iops, int64_t burst, int64_t seconds, int64_t mib)
{
	assert_int_equal(promise.iops, iops);
	assert_int_equal(promise.burst_iops, burst);
	assert_int_equal(promise.burst_seconds, seconds);
	assert_int_equal(promise.bytes_per_second, mib << 20);
}

static void types_promise_what_aws_documents(void **state)
{
	assert_promise(
		volume_type_performance("gp3", 8, some_integer(3000), some_integer(125)), 3000, 0, 0, 125);
	assert_promise(volume_type_performance("io1", 10, some_integer(400), none), 400, 0, 0, 100);
	assert_promise(volume_type_performance("io1", 1000, some_integer(50000), none), 50000, 0, 0, 1000);
	assert_promise(volume_type_performance("io2", 1000, some_integer(256000), none), 256000, 0, 0, 4000);
	/* 5.4 million credits: half an hour of 3,000 IOPS beyond the baseline's */
	assert_promise(volume_type_performance("gp2", 8, none, none), 100, 3000, 1800, 128);
	assert_promise(volume_type_performance("gp2", 500, none, none), 1500, 3000, 1800, 250);
	assert_promise(volume_type_performance("gp2", 1000, none, none), 3000, 0, 0, 250);
	assert_promise(volume_type_performance("gp2", 16384, none, none), 16000, 0, 0, 250);
	assert_promise(volume_type_performance("st1", 500, none, none), 0, 0, 0, 0);
	assert_promise(volume_type_performance("standard", 500, none, none), 0, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_limit_holds_at_its_edge),
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(types_promise_what_aws_documents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
