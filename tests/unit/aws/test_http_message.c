/* Percent-decoding, forms, headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws/http_message.h"

static void decodes_percent_escapes(void **state)
{
	static const struct {
		const char *in, *out;
		bool form;
	} cases[] = { { "", "", true }, { "a%20b+c", "a b c", true }, { "a+b", "a+b", false },
		{ "%c3%A9", "\xc3\xa9", true }, { "%", NULL, true }, { "%4", NULL, true },
		{ "%zz", NULL, true }, { "a%00b", NULL, true }, { "%2525", "%25", true } };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *out = http_percent_decode(arena, cases[i].in, strlen(cases[i].in), cases[i].form);
		if (cases[i].out)
			assert_string_equal(out, cases[i].out);
		else
			assert_null(out);
	}
}

static void an_escape_ends_where_the_text_ends(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	assert_null(http_percent_decode(arena, "%41", 2, false));
}

static void parses_forms(void **state)
{
	static const char form[] = "&A=1&&B=x%26y&C&D==&A=2&=e";
	struct http_parameters parameters = { 0 };
	struct arena *arena ARENA_SCOPED = arena_create();
	assert_int_equal(http_parse_parameters(arena, form, strlen(form), &parameters), 0);
	assert_int_equal(parameters.count, 6);
	assert_string_equal(http_parameter(&parameters, "A"), "1");
	assert_string_equal(http_parameter(&parameters, "B"), "x&y");
	assert_string_equal(http_parameter(&parameters, "C"), "");
	assert_string_equal(http_parameter(&parameters, "D"), "=");
	assert_null(http_parameter(&parameters, "E"));
}

static void refuses_forms_that_are_no_text(void **state)
{
	static const char *const forms[] = { "A=%ff", "%ff=1", "A=%00", "A=%e2%82", "A=1&B=%" };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct http_parameters parameters = { 0 };
		assert_int_equal(http_parse_parameters(arena, forms[i], strlen(forms[i]), &parameters), -1);
	}
}

static void refuses_too_many_parameters(void **state)
{
	struct http_parameters parameters = { 0 };
	struct buffer form BUFFER_SCOPED = { 0 };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (int i = 0; i < HTTP_PARAMETERS_MAX; i++)
		buffer_append_text(&form, "a=1&");
	assert_int_equal(http_parse_parameters(arena, form.data, form.size, &parameters), 0);
	assert_int_equal(http_parse_parameters(arena, "a=1", 3, &parameters), -1);
}

static void headers_are_found_whatever_their_case(void **state)
{
	static const struct http_header headers[] = { { "Host", "x" }, { "X-Amz-Date", "1" },
		{ "host", "y" } };
	const struct http_request request = { .headers = headers, .header_count = 3 };
	assert_string_equal(http_request_header(&request, "hOST"), "x");
	assert_string_equal(http_request_header(&request, "x-amz-date"), "1");
	assert_null(http_request_header(&request, "Hos"));
}

static void a_header_value_cannot_begin_another_header(void **state)
{
	struct http_response response = { 0 };
	struct arena *arena ARENA_SCOPED = arena_create();
	http_response_add_header(&response, arena, "x-a", "1\r\nx-b: 2");
	assert_int_equal(response.header_count, 1);
	assert_string_equal(response.headers[0].value, "1  x-b: 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_percent_escapes),
		cmocka_unit_test(an_escape_ends_where_the_text_ends),
		cmocka_unit_test(parses_forms),
		cmocka_unit_test(refuses_forms_that_are_no_text),
		cmocka_unit_test(refuses_too_many_parameters),
		cmocka_unit_test(headers_are_found_whatever_their_case),
		cmocka_unit_test(a_header_value_cannot_begin_another_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
