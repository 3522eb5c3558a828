/* The language of the control socket. */
#include "scratch.h"
#include "volume/control.h"

static const char ROOT[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static void commands_round_trip(void **state)
{
	(void)state;
	struct error err;
	struct control_command command;
	char line[CONTROL_LINE_LIMIT], text[200], record[200], prefetch[200];
	snprintf(text, sizeof text, "rebase 7 %s", ROOT);
	snprintf(record, sizeof record, "record 60000 %s", ROOT);
	snprintf(prefetch, sizeof prefetch, "prefetch 8192 %s", ROOT);
	const char *const lines[] = { "hold 500", "freeze", "sync 3", "release", text, "grow 1073741824",
		record, prefetch, "let-go", "status", "shutdown" };
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		ASSERT_OK(control_parse(lines[i], &command, &err));
		assert_int_equal(command.verb, i);
		assert_string_equal(control_format(&command, line), lines[i]);
	}
}

static void malformed_lines_are_refused(void **state)
{
	(void)state;
	struct error err;
	struct control_command command;
	const char *const lines[] = { "", " ", "hold", "hold x", "hold -1", "hold 1 2",
		"hold 99999999999999999999", "freeze 1", " freeze", "freeze ", "rebase 1", "rebase 1 00",
		"grow 1 ", "FREEZE", "freezefreezefreeze" };
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (control_parse(lines[i], &command, &err) != -1)
			fail_msg("\"%s\" was taken", lines[i]);
}

static void errors_cross_the_socket(void **state)
{
	(void)state;
	struct error sent, received;
	char line[CONTROL_LINE_LIMIT];
	const char *words;
	error_set(&sent, ERROR_TIMEOUT, "the hold\nhas ended");
	control_format_error(&sent, line);
	assert_null(strchr(line, '\n'));
	assert_int_equal(control_parse_answer(line, &words, &received), -1);
	assert_int_equal(received.code, ERROR_TIMEOUT);
	assert_string_equal(received.message, "the hold has ended");
	assert_int_equal(control_parse_answer("ok 12", &words, &received), 0);
	assert_string_equal(words, "12");
	assert_int_equal(control_parse_answer("ok", &words, &received), 0);
	assert_string_equal(words, "");
	assert_int_equal(control_parse_answer("okay", &words, &received), -1);
	assert_int_equal(control_parse_answer("error ", &words, &received), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(commands_round_trip),
		cmocka_unit_test(malformed_lines_are_refused), cmocka_unit_test(errors_cross_the_socket) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
