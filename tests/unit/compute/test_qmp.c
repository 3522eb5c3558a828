/* The QMP client against a scripted monitor at the other end of a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "compute/qmp_internal.h"
#include "base/banned.h"

static const char greeting[] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r";

/* Plays a monitor: each step waits for a line that holds `expect` (NULL: waits for nothing), then sends `answer`; "%ID" in it becomes the command's id. */
struct step {
	const char *expect, *answer;
};
struct monitor {
	int fd;
	const struct step *steps;
	bool hold; /* leaves the connection open at the end, until the client closes it */
	bool matched;
	pthread_t thread;
};

static void send_answer(int fd, const char *answer, long long id)
{
	char text[512];
	const char *mark = strstr(answer, "%ID");
	int size = mark
		? snprintf(text, sizeof text, "%.*s%lld%s\n", (int)(mark - answer), answer, id, mark + 3)
		: snprintf(text, sizeof text, "%s\n", answer);
	assert_int_equal(send(fd, text, (size_t)size, MSG_NOSIGNAL), size);
}

static void *play(void *argument)
{
	struct monitor *monitor = argument;
	FILE *in = fdopen(dup(monitor->fd), "r");
	char line[4096];
	long long id = 0;
	monitor->matched = true;
	for (const struct step *step = monitor->steps; step->answer; step++) {
		if (step->expect) {
			if (!fgets(line, sizeof line, in) || !strstr(line, step->expect)) {
				monitor->matched = false;
				break;
			}
			json_t *command = json_loads(line, 0, NULL);
			id = json_integer_value(json_object_get(command, "id"));
			json_decref(command);
		}
		send_answer(monitor->fd, step->answer, id);
	}
	if (!monitor->hold)
		shutdown(monitor->fd, SHUT_RDWR);
	while (fgets(line, sizeof line, in))
		;
	fclose(in);
	close(monitor->fd);
	return NULL;
}

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char events[1024];
	int released;
};

static void on_event(void *context, const char *name, json_t *data)
{
	struct seen *seen = context;
	pthread_mutex_lock(&seen->lock);
	size_t used = strlen(seen->events);
	snprintf(seen->events + used, sizeof seen->events - used, "%s%s ", name, data ? "+" : "");
	pthread_cond_broadcast(&seen->changed);
	pthread_mutex_unlock(&seen->lock);
}

static void on_release(void *context)
{
	struct seen *seen = context;
	pthread_mutex_lock(&seen->lock);
	seen->released++;
	pthread_cond_broadcast(&seen->changed);
	pthread_mutex_unlock(&seen->lock);
}

static const struct qmp_listener listener = { .event = on_event, .release = on_release };

struct fixture {
	struct compute_loop *loop;
	struct seen seen;
	struct monitor monitor;
	int fd;
	struct error err;
};

static void begin(struct fixture *f, const struct step *steps, bool hold)
{
	int fds[2];
	*f = (struct fixture){ .seen = { .lock = PTHREAD_MUTEX_INITIALIZER,
				       .changed = PTHREAD_COND_INITIALIZER } };
	assert_int_equal(compute_loop_create(&f->loop, &f->err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f->fd = fds[0];
	f->monitor = (struct monitor){ .fd = fds[1], .steps = steps, .hold = hold };
	assert_int_equal(pthread_create(&f->monitor.thread, NULL, play, &f->monitor), 0);
}

static void end(struct fixture *f, struct qmp *qmp)
{
	qmp_close(qmp);
	pthread_join(f->monitor.thread, NULL);
	assert_true(f->monitor.matched);
	compute_loop_destroy(f->loop);
	assert_int_equal(f->seen.released, 1);
}

static const struct step hello = { NULL, greeting };
static const struct step capable = { "qmp_capabilities", "{\"return\": {}, \"id\": %ID}" };

static void commands_and_events(void **state)
{
	const struct step steps[] = { hello, capable,
		{ "query-status", "{\"event\": \"RESET\", \"data\": {\"guest\": true}}" },
		{ NULL, "{\"event\": \"STOP\"}" },
		{ NULL, "{\"return\": {\"status\": \"late\"}, \"id\": 4711}" },
		{ NULL, "{\"return\": {\"status\": \"running\"}, \"id\": %ID}" },
		{ "\"arguments\":{\"id\":\"x\"}",
			"{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no x\"}, \"id\": %ID}" },
		{ "device_del",
			"{\"error\": {\"class\": \"GenericError\", \"desc\": \"busy\"}, \"id\": %ID}" },
		{ "device_del", "{\"error\": 5, \"id\": %ID}" }, { 0 } };
	struct fixture f;
	struct qmp *qmp;
	json_t *result;
	begin(&f, steps, true);
	assert_int_equal(qmp_open(f.loop, f.fd, 5000, &listener, &f.seen, &qmp, &f.err), 0);
	assert_int_equal(qmp_command(qmp, "query-status", NULL, 5000, &result, &f.err), 0);
	assert_string_equal(json_string_value(json_object_get(result, "status")), "running");
	json_decref(result);
	/* events arrive in order and before the reply that follows them */
	assert_string_equal(f.seen.events, "RESET+ STOP ");
	assert_int_equal(
		qmp_command(qmp, "device_del", json_pack("{s:s}", "id", "x"), 5000, NULL, &f.err), -1);
	assert_int_equal(f.err.code, ERROR_NOT_FOUND);
	assert_int_equal(qmp_command(qmp, "device_del", NULL, 5000, NULL, &f.err), -1);
	assert_int_equal(f.err.code, ERROR_INVALID);
	assert_string_equal(f.err.message, "device_del: busy");
	assert_int_equal(qmp_command(qmp, "device_del", NULL, 5000, NULL, &f.err), -1);
	assert_string_equal(f.err.message, "device_del: no reason given");
	end(&f, qmp);
}

static void silence_is_a_timeout_and_late_replies_are_dropped(void **state)
{
	const struct step steps[] = { hello, capable, { "first", "{\"event\": \"RESUME\"}" },
		{ "second", "{\"return\": {}, \"id\": 2}" }, /* the first one's id: too late */
		{ NULL, "{\"return\": {\"mine\": 1}, \"id\": %ID}" }, { 0 } };
	struct fixture f;
	struct qmp *qmp;
	json_t *result;
	begin(&f, steps, true);
	assert_int_equal(qmp_open(f.loop, f.fd, 5000, &listener, &f.seen, &qmp, &f.err), 0);
	assert_int_equal(qmp_command(qmp, "first", NULL, 50, NULL, &f.err), -1);
	assert_int_equal(f.err.code, ERROR_TIMEOUT);
	assert_int_equal(qmp_command(qmp, "second", NULL, 5000, &result, &f.err), 0);
	assert_int_equal(json_integer_value(json_object_get(result, "mine")), 1);
	json_decref(result);
	end(&f, qmp);
}

static void end_of_the_monitor_ends_commands(void **state)
{
	const struct step steps[] = { hello, capable,
		{ "quit", "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false}}" }, { 0 } };
	struct fixture f;
	struct qmp *qmp;
	begin(&f, steps, false);
	assert_int_equal(qmp_open(f.loop, f.fd, 5000, &listener, &f.seen, &qmp, &f.err), 0);
	int64_t start = clock_monotonic_ms();
	assert_int_equal(qmp_command(qmp, "quit", NULL, 60000, NULL, &f.err), -1);
	assert_int_equal(f.err.code, ERROR_UNAVAILABLE);
	assert_true(clock_monotonic_ms() - start < 10000);
	assert_int_equal(qmp_command(qmp, "query-status", NULL, 60000, NULL, &f.err), -1);
	assert_int_equal(f.err.code, ERROR_UNAVAILABLE);
	end(&f, qmp);
}

static void expect_refused(const struct step *steps, bool hold, int timeout_ms, enum error_code code)
{
	struct fixture f;
	struct qmp *qmp;
	begin(&f, steps, hold);
	assert_int_equal(qmp_open(f.loop, f.fd, timeout_ms, &listener, &f.seen, &qmp, &f.err), -1);
	assert_int_equal(f.err.code, code);
	end(&f, NULL);
}

static void what_is_no_monitor_is_refused(void **state)
{
	const struct step nothing[] = { { 0 } };
	const struct step text[] = { { NULL, "SSH-2.0-OpenSSH" }, { 0 } };
	const struct step array[] = { { NULL, "[1, 2]" }, { 0 } };
	const struct step other[] = { { NULL, "{\"hello\": 1}" }, { 0 } };
	expect_refused(nothing, false, 5000, ERROR_UNAVAILABLE);
	expect_refused(nothing, true, 50, ERROR_TIMEOUT);
	expect_refused(text, true, 5000, ERROR_UNAVAILABLE);
	expect_refused(array, true, 5000, ERROR_UNAVAILABLE);
	expect_refused(other, true, 5000, ERROR_UNAVAILABLE);
}

static int count_message(void *context, json_t *message)
{
	++*(int *)context;
	json_decref(message);
	return 0;
}

static void lines_may_come_in_pieces_but_not_without_end(void **state)
{
	struct qmp_lines lines = { 0 };
	int count = 0;
	const char text[] = "{\"a\": 1}\r\n{\"b\": 2}\n{\"c\"";
	for (size_t i = 0; i < sizeof text - 1; i++)
		assert_int_equal(qmp_lines_feed(&lines, text + i, 1, count_message, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(qmp_lines_feed(&lines, ": 3}\n", 5, count_message, &count), 0);
	assert_int_equal(count, 3);
	char *block = memory_alloc(QMP_LINE_LIMIT);
	memset(block, ' ', QMP_LINE_LIMIT);
	assert_int_equal(qmp_lines_feed(&lines, block, QMP_LINE_LIMIT, count_message, &count), 0);
	assert_int_equal(qmp_lines_feed(&lines, block, 1, count_message, &count), -1);
	qmp_lines_free(&lines);
	assert_int_equal(qmp_lines_feed(&lines, "{}{}\n", 5, count_message, &count), -1);
	free(block);
	qmp_lines_free(&lines);
}

static void *answer_once(void *argument)
{
	int fd = *(int *)argument;
	char line[4096];
	send_answer(fd, greeting, 0);
	assert_true(recv(fd, line, sizeof line, 0) > 0);
	send_answer(fd, "{\"return\": {}, \"id\": 1}", 0);
	return NULL;
}

static void a_monitor_that_does_not_read_is_given_up(void **state)
{
	struct fixture f = { .seen = { .lock = PTHREAD_MUTEX_INITIALIZER,
				     .changed = PTHREAD_COND_INITIALIZER } };
	struct qmp *qmp;
	pthread_t thread;
	int fds[2];
	char *big = memory_alloc(1 << 20);
	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	assert_int_equal(compute_loop_create(&f.loop, &f.err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_once, &fds[1]), 0);
	assert_int_equal(qmp_open(f.loop, fds[0], 5000, &listener, &f.seen, &qmp, &f.err), 0);
	assert_int_equal(qmp_command(qmp, "x", json_pack("{s:s}", "big", big), 100, NULL, &f.err), -1);
	assert_int_equal(f.err.code, ERROR_UNAVAILABLE);
	qmp_close(qmp);
	pthread_join(thread, NULL);
	compute_loop_destroy(f.loop);
	assert_int_equal(f.seen.released, 1);
	close(fds[1]);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_and_events),
		cmocka_unit_test(silence_is_a_timeout_and_late_replies_are_dropped),
		cmocka_unit_test(end_of_the_monitor_ends_commands),
		cmocka_unit_test(what_is_no_monitor_is_refused),
		cmocka_unit_test(lines_may_come_in_pieces_but_not_without_end),
		cmocka_unit_test(a_monitor_that_does_not_read_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
