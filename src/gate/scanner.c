/*
 * The scanner is a stranger: it reads what tenants have written, so it may have been taken over. It is given blocks of the one disk and may say rule numbers and paths, each within its limits; a path is made printable. It
 * cannot make amid wait: a poll with a deadline stands before each read, and sends go to a socket of which at most one answer is ever outstanding, with a deadline too.
 */
#include "gate/scanner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "gate/scan.h"
#include "gate/wire.h"
#include "base/banned.h"

enum { DEADLINE_MS = 10 * 60 * 1000, END_MS = 10 * 1000 };

struct session {
	int fd, stop_fd;
	int64_t deadline_ms;
	const struct gate_source *source;
	struct arena *arena;
	struct gate_report *report;
	uint8_t *block;
	size_t path_bytes;
	bool done;
};

/* How talking to the scanner went. */
enum talk {
	TALK_OK,
	TALK_BROKEN, /* the scanner is gone, late, or talks nonsense */
	TALK_FAILED, /* *err says why: not the scanner's fault */
};

/* Until the socket is ready for `events`. */
static enum talk wait_ready(struct session *session, short events, struct error *err)
{
	struct pollfd fds[2] = { { .fd = session->fd, .events = events },
		{ .fd = session->stop_fd, .events = POLLIN } };
	for (;;) {
		int64_t left = session->deadline_ms - clock_monotonic_ms();
		if (left <= 0)
			return TALK_BROKEN;
		int ready = poll(fds, 2, (int)left);
		if (ready < 0 && errno != EINTR) {
			error_set_errno(err, errno, "cannot wait for the scanner");
			return TALK_FAILED;
		}
		if (ready > 0 && fds[1].revents) {
			error_set(err, ERROR_UNAVAILABLE, "the scan was stopped");
			return TALK_FAILED;
		}
		if (ready > 0)
			return TALK_OK;
	}
}

static enum talk receive(struct session *session, void *data, size_t size, struct error *err)
{
	for (char *p = data; size;) {
		enum talk talk = wait_ready(session, POLLIN, err);
		if (talk != TALK_OK)
			return talk;
		ssize_t part = recv(session->fd, p, size, MSG_DONTWAIT);
		if (part < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (part <= 0)
			return TALK_BROKEN;
		p += part;
		size -= (size_t)part;
	}
	return TALK_OK;
}

static enum talk answer(struct session *session, const void *data, size_t size, struct error *err)
{
	for (const char *p = data; size;) {
		enum talk talk = wait_ready(session, POLLOUT, err);
		if (talk != TALK_OK)
			return talk;
		ssize_t part = send(session->fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (part < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (part <= 0)
			return TALK_BROKEN;
		p += part;
		size -= (size_t)part;
	}
	return TALK_OK;
}

static enum talk serve_block(struct session *session, const struct gate_wire_read *wanted, struct error *err)
{
	uint64_t size = session->source->size, offset;
	bool zeros = false;
	if (__builtin_mul_overflow(wanted->index, (uint64_t)GATE_BLOCK_SIZE, &offset) || offset >= size)
		return TALK_BROKEN;
	if (session->source->read(session->source->context, wanted->index, session->block, &zeros, err))
		return TALK_FAILED;
	uint64_t left = size - offset;
	struct gate_wire_block head = { .status = zeros ? GATE_BLOCK_ZEROS : GATE_BLOCK_DATA };
	if (!zeros)
		head.size = (uint32_t)(left < GATE_BLOCK_SIZE ? left : GATE_BLOCK_SIZE);
	enum talk talk = answer(session, &head, sizeof head, err);
	return talk == TALK_OK ? answer(session, session->block, head.size, err) : talk;
}

/* The length of the UTF-8 sequence at `text`; 0: it is none, or a control character. */
static size_t printable_size(const uint8_t *text, size_t left)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t from;
	} forms[] = { { 0x80, 0x00, 0x20 }, { 0xe0, 0xc0, 0xa0 }, { 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 } };
	for (size_t size = 1; size <= 4; size++) {
		if ((text[0] & forms[size - 1].mask) != forms[size - 1].lead)
			continue;
		uint32_t value = text[0] & (uint8_t)~forms[size - 1].mask;
		if (size > left)
			return 0;
		for (size_t i = 1; i < size; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			value = value << 6 | (text[i] & 0x3f);
		}
		return value < forms[size - 1].from || value == 0x7f || value > 0x10ffff ||
				(value >= 0xd800 && value <= 0xdfff)
			? 0
			: size;
	}
	return 0;
}

/* What cannot be printed becomes a question mark: paths go into logs, terminals and JSON. */
static void make_printable(char *path)
{
	size_t size = strlen(path);
	for (size_t i = 0; i < size;) {
		size_t whole = printable_size((const uint8_t *)path + i, size - i);
		if (!whole)
			path[i] = '?';
		i += whole ? whole : 1;
	}
}

static enum talk take_finding(struct session *session, const char *data, size_t size)
{
	struct gate_wire_found found;
	if (size < sizeof found)
		return TALK_BROKEN;
	memcpy(&found, data, sizeof found);
	if (found.rule >= gate_rule_count() || found.reason >= GATE_REASON_COUNT ||
		found.path_size >= GATE_PATH_SIZE || found.path_size != size - sizeof found ||
		found.partition > GATE_PARTITION_MAX ||
		(found.rule == GATE_RULE_UNREADABLE) != (found.reason != GATE_REASON_NONE) ||
		session->report->count > GATE_FINDINGS_MAX ||
		session->path_bytes > GATE_PATHS_MAX + GATE_PATH_SIZE)
		return TALK_BROKEN;
	session->path_bytes += found.path_size;
	struct gate_finding *finding =
		ARENA_APPEND(session->arena, session->report->findings, session->report->count);
	finding->rule = found.rule;
	finding->reason = (enum gate_reason)found.reason;
	finding->partition = found.partition;
	memcpy(finding->path, data + sizeof found, found.path_size);
	make_printable(finding->path);
	return TALK_OK;
}

static enum talk take_done(struct session *session, const char *data, size_t size)
{
	struct gate_wire_done done;
	if (size != sizeof done)
		return TALK_BROKEN;
	memcpy(&done, data, sizeof done);
	session->report->files = done.files;
	session->report->bytes_read = done.bytes_read;
	session->done = true;
	return TALK_OK;
}

static enum talk take_frame(struct session *session, struct error *err)
{
	struct gate_frame head;
	struct gate_wire_read wanted;
	char data[GATE_FRAME_MAX];
	enum talk talk = receive(session, &head, sizeof head, err);
	if (talk != TALK_OK)
		return talk;
	if (head.size > sizeof data)
		return TALK_BROKEN;
	talk = receive(session, data, head.size, err);
	if (talk != TALK_OK)
		return talk;
	switch (head.type) {
	case GATE_FRAME_READ:
		if (head.size != sizeof wanted)
			return TALK_BROKEN;
		memcpy(&wanted, data, sizeof wanted);
		return serve_block(session, &wanted, err);
	case GATE_FRAME_FOUND:
		return take_finding(session, data, head.size);
	case GATE_FRAME_DONE:
		return take_done(session, data, head.size);
	}
	return TALK_BROKEN;
}

static int talk_to_end(struct session *session, struct error *err)
{
	enum talk talk = TALK_OK;
	while (talk == TALK_OK && !session->done)
		talk = take_frame(session, err);
	if (talk == TALK_FAILED)
		return -1;
	if (talk == TALK_BROKEN) {
		log_warning("secret-scanner-broke", "findings=%zu", session->report->count);
		struct gate_finding *finding =
			ARENA_APPEND(session->arena, session->report->findings, session->report->count);
		finding->rule = GATE_RULE_UNREADABLE;
		finding->reason = GATE_REASON_SCANNER;
	}
	return 0;
}

static int start(const char *program, uint64_t size, struct arena *arena, int *fd, struct process *process,
	struct error *err)
{
	int sockets[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return error_set_errno(err, errno, "cannot make a socket for the scanner");
	const char *const argv[] = { program, arena_printf(arena, "%d", sockets[1]),
		arena_printf(arena, "%llu", (unsigned long long)size), NULL };
	int failed = process_spawn(argv, NULL, &sockets[1], 1, process, err);
	close(sockets[1]);
	if (failed)
		close(sockets[0]);
	else
		*fd = sockets[0];
	return failed;
}

int gate_scanner_run(const char *program, const struct gate_source *source, int stop_fd, struct arena *arena,
	struct gate_report *report, struct error *err)
{
	struct process process;
	struct error late;
	int fd FILE_SCOPED = -1;
	*report = (struct gate_report){ 0 };
	if (start(program, source->size, arena, &fd, &process, err))
		return -1;
	struct session session = { .fd = fd,
		.stop_fd = stop_fd,
		.deadline_ms = clock_monotonic_ms() + DEADLINE_MS,
		.source = source,
		.arena = arena,
		.report = report,
		.block = memory_alloc(GATE_BLOCK_SIZE) };
	int result = talk_to_end(&session, err);
	free(session.block);
	process_signal(&process, SIGKILL);
	if (process_wait_end(&process, END_MS, &late))
		log_warning("secret-scanner-stays", "pid=%d", (int)process.pid);
	return result;
}
