/* Reserves as operators write them, and what is left beyond them. */
#include "scratch.h"
#include "base/space.h"

static void reserves_are_bytes_or_percent(void **state)
{
	static const struct {
		const char *text;
		unsigned permille;
		uint64_t bytes;
	} sound[] = { { "0", 0, 0 }, { "123456", 0, 123456 }, { "20G", 0, 20ULL << 30 }, { "3K", 0, 3 << 10 },
		{ "2T", 0, 2ULL << 40 }, { "5%", 50, UINT64_MAX }, { "0.5%", 5, UINT64_MAX },
		{ "90%", 900, UINT64_MAX } };
	static const char *const wrong[] = { "", "%", "G", "0%", "91%", "-1", "1.5G", "1X", "1GB", "5 %",
		"5%%", "1000%", "9999999999T", "0x10", ".5%" };
	struct error err;
	struct space_reserve reserve;
	(void)state;
	for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
		ASSERT_OK(space_parse_reserve(sound[i].text, &reserve, &err));
		assert_int_equal(reserve.permille, sound[i].permille);
		assert_int_equal(reserve.bytes, sound[i].bytes);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (space_parse_reserve(wrong[i], &reserve, &err) != -1)
			fail_msg("\"%s\" was taken", wrong[i]);
}

static void a_reserve_beyond_what_is_free_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(space_available("/", &(struct space_reserve){ .bytes = UINT64_MAX }), 0);
	assert_int_equal(space_available("/does/not/exist", &(struct space_reserve){ 0 }), 0);
	assert_true(space_available("/", &(struct space_reserve){ 0 }) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reserves_are_bytes_or_percent),
		cmocka_unit_test(a_reserve_beyond_what_is_free_leaves_nothing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
