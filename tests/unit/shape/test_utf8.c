/* UTF-8: what is well-formed and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shape/utf8.h"

static void accepts_the_ends_of_every_length(void **state)
{
	static const struct {
		const char *text;
		uint32_t code;
	} cases[] = { { "\x01", 1 }, { "\x7f", 0x7f }, { "\xc2\x80", 0x80 }, { "\xdf\xbf", 0x7ff },
		{ "\xe0\xa0\x80", 0x800 }, { "\xed\x9f\xbf", 0xd7ff }, { "\xee\x80\x80", 0xe000 },
		{ "\xef\xbf\xbf", 0xffff }, { "\xf0\x90\x80\x80", 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 0x10ffff } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t code = 0;
		char out[4];
		size_t size = strlen(cases[i].text);
		assert_int_equal(utf8_character(cases[i].text, size, &code), size);
		assert_int_equal(code, cases[i].code);
		assert_int_equal(utf8_encode(code, out), size);
		assert_memory_equal(out, cases[i].text, size);
	}
}

static void refuses_malformed_sequences(void **state)
{
	static const char *const cases[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "\xff", "\xc2", "\xe2\x82", "\xf0\x9f\x98", "\xc2\x41", "a\xff" };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_false(utf8_valid(cases[i], strlen(cases[i])));
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_the_ends_of_every_length),
		cmocka_unit_test(refuses_malformed_sequences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
