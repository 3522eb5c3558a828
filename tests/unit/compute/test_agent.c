/* The guest agent client against scripted guests, well-behaved and hostile. */
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
#include "compute/agent_internal.h"
#include "base/banned.h"

/* Reads requests; what it sends before and after the answer to the synchronisation, and as the answer to the next request, is the test's choice. */
struct guest {
	int fd;
	const char *before, *answer;
	bool deaf;  /* answers no synchronisation */
	bool flood; /* sends answers to nothing without end */
	char request[512];
	pthread_t thread;
};

static void put(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return; /* the client may be gone: that is what some tests are about */
}

static void *play(void *argument)
{
	struct guest *guest = argument;
	FILE *in = fdopen(dup(guest->fd), "r");
	char line[512];
	put(guest->fd, guest->before ? guest->before : "");
	if (fgets(line, sizeof line, in) && !guest->deaf) {
		char *id = strstr(line, "\"id\":");
		snprintf(guest->request, sizeof guest->request, "\xFF{\"return\": %lld}\n",
			id ? strtoll(id + 5, NULL, 10) : -1);
		/* the request begins with the byte that makes an agent drop what it had half read */
		if ((unsigned char)line[0] == 0xFF)
			put(guest->fd, guest->request);
	}
	while (guest->flood && send(guest->fd, "{\"return\": 1}\n{\"event\": 2}\n", 27, MSG_NOSIGNAL) == 27)
		;
	if (!guest->deaf && fgets(guest->request, sizeof guest->request, in))
		put(guest->fd, guest->answer ? guest->answer : "");
	while (fgets(line, sizeof line, in))
		;
	fclose(in);
	return NULL;
}

static int open_guest(struct guest *guest, int timeout_ms, struct agent **agent, struct error *err)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	guest->fd = fds[1];
	assert_int_equal(pthread_create(&guest->thread, NULL, play, guest), 0);
	return agent_open_fd(fds[0], timeout_ms, agent, err);
}

static void end_guest(struct guest *guest, struct agent *agent)
{
	agent_close(agent);
	pthread_join(guest->thread, NULL);
	close(guest->fd);
}

static void old_answers_are_skipped(void **state)
{
	struct guest guest = {
		.before = "{\"return\": 17}\n half a line \xFF{\"return\": 4}\n{\"error\": {}}\n",
		.answer = "{\"return\": 2}\n"
	};
	struct agent *agent;
	struct error err;
	json_t *value;
	assert_int_equal(open_guest(&guest, 5000, &agent, &err), 0);
	assert_int_equal(agent_command(agent, "guest-fsfreeze-freeze", NULL, 5000, &value, &err), 0);
	assert_int_equal(json_integer_value(value), 2);
	assert_string_equal(guest.request, "{\"execute\":\"guest-fsfreeze-freeze\"}\n");
	json_decref(value);
	end_guest(&guest, agent);
}

static void text_of_the_guest_is_made_printable(void **state)
{
	struct guest guest = {
		.answer = "{\"error\": {\"class\": \"X\", \"desc\": \"no\\n\\u001b[31m \\u00e4\"}}\n"
	};
	struct agent *agent;
	struct error err;
	assert_int_equal(open_guest(&guest, 5000, &agent, &err), 0);
	assert_int_equal(agent_command(agent, "guest-info", NULL, 5000, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.message, "guest-info: the guest agent answers: no??[31m ??");
	end_guest(&guest, agent);
}

static void silence_is_a_timeout(void **state)
{
	struct guest deaf = { .deaf = true, .before = "{\"return\": 1}\n\xFF" },
		     slow = { .answer = "{\"return\"" };
	struct agent *agent;
	struct error err;
	int64_t begin = clock_monotonic_ms();
	assert_int_equal(open_guest(&deaf, 50, &agent, &err), -1);
	assert_int_equal(err.code, ERROR_TIMEOUT);
	end_guest(&deaf, NULL);
	assert_int_equal(open_guest(&slow, 5000, &agent, &err), 0);
	assert_int_equal(agent_command(agent, "guest-info", NULL, 50, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_TIMEOUT);
	end_guest(&slow, agent);
	assert_true(clock_monotonic_ms() - begin < 4000);
}

static void a_guest_that_talks_without_end_is_given_up(void **state)
{
	struct guest guest = { .deaf = true, .flood = true };
	struct agent *agent;
	struct error err;
	assert_int_equal(open_guest(&guest, 60000, &agent, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	end_guest(&guest, NULL);
}

static json_t *feed_text(struct agent_reader *reader, const char *text)
{
	size_t used;
	json_t *answer;
	agent_reader_feed(reader, text, strlen(text), &used, &answer);
	return answer;
}

static void lines_without_end_are_dropped_and_cost_no_memory(void **state)
{
	struct agent_reader reader = { 0 };
	char *block = memory_alloc((64 << 10) + 1);
	memset(block, '"', 64 << 10);
	block[64 << 10] = '\0';
	for (int i = 0; i < 64; i++) {
		assert_null(feed_text(&reader, block));
		assert_true(reader.line.size <= AGENT_ANSWER_LIMIT);
	}
	assert_null(feed_text(&reader, "\n"));
	assert_null(feed_text(&reader, "no json\n[1]\n5\n\n"));
	json_t *answer = feed_text(&reader, "{\"return\": 5}\n");
	assert_int_equal(json_integer_value(json_object_get(answer, "return")), 5);
	json_decref(answer);
	buffer_free(&reader.line);
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_answers_are_skipped),
		cmocka_unit_test(text_of_the_guest_is_made_printable),
		cmocka_unit_test(silence_is_a_timeout),
		cmocka_unit_test(a_guest_that_talks_without_end_is_given_up),
		cmocka_unit_test(lines_without_end_are_dropped_and_cost_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
