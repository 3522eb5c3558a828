/*
 * The guest agent's protocol. No thread of its own: a conversation is held by the thread that wants something, under a deadline.
 *
 * The channel is a pipe with a memory: what the agent wrote to an earlier conversation may still come. So each begins with guest-sync-delimited, whose answer the agent
 * puts behind a byte 0xFF (which JSON never holds) and which repeats our random number. Our own 0xFF before it makes the agent drop half a request of an earlier conversation.
 */
#include "compute/agent_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "compute/sockets.h"
#include "base/banned.h"

enum {
	SENTINEL = 0xFF,
	READ_SIZE = 4096,
	/* A guest that talks without ever answering is given up after this much. */
	CONVERSATION_LIMIT = 8 << 20,
};

struct agent {
	int fd;
	struct agent_reader reader;
	char data[READ_SIZE];
	size_t begin, end; /* in data: read from the socket, not yet taken by the reader */
	size_t total;
};

void agent_reader_feed(
	struct agent_reader *reader, const char *data, size_t size, size_t *used, json_t **answer)
{
	*answer = NULL;
	for (*used = 0; *used < size && !*answer;) {
		char c = data[(*used)++];
		if ((unsigned char)c == SENTINEL) {
			reader->waiting_sentinel = reader->overlong = false;
			buffer_clear(&reader->line);
		} else if (reader->waiting_sentinel) {
			continue;
		} else if (c != '\n') {
			reader->overlong |= reader->line.size >= AGENT_ANSWER_LIMIT;
			if (!reader->overlong)
				buffer_append_char(&reader->line, c);
		} else {
			json_t *value = reader->overlong
				? NULL
				: json_loadb(buffer_text(&reader->line), reader->line.size, 0, NULL);
			reader->overlong = false;
			buffer_clear(&reader->line);
			if (json_is_object(value))
				*answer = value;
			else
				json_decref(value);
		}
	}
}

static int wait_socket(const struct agent *agent, short events, int64_t end_ms)
{
	struct pollfd wait = { .fd = agent->fd, .events = events };
	for (;;) {
		int64_t left = end_ms - clock_monotonic_ms();
		int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
		if (ready >= 0 || errno != EINTR)
			return ready > 0 ? 0 : -1;
	}
}

static int write_all(struct agent *agent, const char *data, size_t size, int64_t end_ms, struct error *err)
{
	while (size) {
		ssize_t put = send(agent->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put > 0) {
			data += put;
			size -= (size_t)put;
		} else if (put < 0 && errno != EAGAIN && errno != EINTR) {
			return error_set(err, ERROR_UNAVAILABLE, "the guest agent's channel is closed");
		} else if (wait_socket(agent, POLLOUT, end_ms)) {
			return error_set(err, ERROR_TIMEOUT, "the guest agent takes no commands");
		}
	}
	return 0;
}

/* The next answer of whatever kind. */
static int read_answer(struct agent *agent, int64_t end_ms, json_t **answer, struct error *err)
{
	for (;;) {
		size_t used;
		agent_reader_feed(
			&agent->reader, agent->data + agent->begin, agent->end - agent->begin, &used, answer);
		agent->begin += used;
		if (*answer)
			return 0;
		if (agent->total > CONVERSATION_LIMIT)
			return error_set(err, ERROR_UNAVAILABLE, "the guest agent sends more than %d bytes",
				CONVERSATION_LIMIT);
		if (wait_socket(agent, POLLIN, end_ms))
			return error_set(err, ERROR_TIMEOUT, "the guest agent does not answer");
		ssize_t got = recv(agent->fd, agent->data, sizeof agent->data, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return error_set(err, ERROR_UNAVAILABLE, "the guest agent's channel was closed");
		agent->begin = 0;
		agent->end = got > 0 ? (size_t)got : 0;
		agent->total += agent->end;
	}
}

static int send_request(struct agent *agent, const char *prefix, const char *name, json_t *arguments,
	int64_t end_ms, struct error *err)
{
	json_t *message = json_pack("{s:s}", "execute", name);
	if (arguments)
		json_object_set_new(message, "arguments", arguments);
	char *text = message ? json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(message);
	if (!text)
		return error_set(err, ERROR_INVALID, "the agent command %s cannot be encoded", name);
	struct buffer line BUFFER_SCOPED = { 0 };
	buffer_printf(&line, "%s%s\n", prefix, text);
	free(text);
	return write_all(agent, line.data, line.size, end_ms, err);
}

/* Text of the guest for a message of ours: what is not printable ASCII becomes '?'. */
static void copy_printable(const char *text, char *out, size_t size)
{
	size_t i = 0;
	for (; text && text[i] && i + 1 < size; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[i] = '\0';
}

static int synchronise(struct agent *agent, int timeout_ms, struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + timeout_ms;
	uint32_t id;
	text_random_bytes(&id, sizeof id);
	id &= 0x7FFFFFFF;
	agent->reader.waiting_sentinel = true;
	if (send_request(agent, "\xFF", "guest-sync-delimited", json_pack("{s:I}", "id", (json_int_t)id),
		    end_ms, err))
		return -1;
	for (;;) {
		json_t *answer;
		if (read_answer(agent, end_ms, &answer, err))
			return -1;
		json_t *value = json_object_get(answer, "return");
		bool ours = json_is_integer(value) && json_integer_value(value) == (json_int_t)id;
		json_decref(answer);
		if (ours)
			return 0;
		/* behind the sentinel of somebody else's question: ours is still to come */
		agent->reader.waiting_sentinel = true;
	}
}

int agent_open_fd(int fd, int timeout_ms, struct agent **result, struct error *err)
{
	struct agent *agent = memory_alloc(sizeof *agent);
	*agent = (struct agent){ .fd = fd };
	if (synchronise(agent, timeout_ms, err)) {
		agent_close(agent);
		return -1;
	}
	*result = agent;
	return 0;
}

int agent_open(const char *socket_path, int timeout_ms, struct agent **agent, struct error *err)
{
	int fd;
	if (socket_connect(socket_path, &fd, err))
		return -1;
	return agent_open_fd(fd, timeout_ms, agent, err);
}

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	close(agent->fd);
	buffer_free(&agent->reader.line);
	free(agent);
}

int agent_command(struct agent *agent, const char *name, json_t *arguments, int timeout_ms, json_t **result,
	struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + timeout_ms;
	json_t *answer;
	if (send_request(agent, "", name, arguments, end_ms, err) || read_answer(agent, end_ms, &answer, err))
		return error_prefix(err, "%s", name);
	json_t *value = json_object_get(answer, "return");
	int failed = value ? 0 : -1;
	if (!value) {
		char reason[200];
		copy_printable(json_string_value(json_object_get(json_object_get(answer, "error"), "desc")),
			reason, sizeof reason);
		error_set(err, ERROR_INVALID, "%s: the guest agent answers: %s", name, reason);
	} else if (result) {
		*result = json_incref(value);
	}
	json_decref(answer);
	return failed;
}
