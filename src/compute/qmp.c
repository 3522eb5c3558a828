/*
 * The QMP client. Reading is done on the loop's thread; a caller writes its command itself and waits on a condition until the reply with its id is there.
 *
 * Two references: the opener's (until qmp_close) and the loop's (until the source is released). `calls` lists the commands under way; they live on their
 * callers' stacks and leave the list under the lock, so a reply that comes too late finds nothing and is dropped.
 */
#include "compute/qmp_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/banned.h"

enum { READ_SIZE = 16 << 10 };

struct qmp_call {
	json_int_t id;
	json_t *reply; /* owned; set by the loop's thread */
	struct qmp_call *next;
};

struct qmp {
	_Atomic int references;
	struct compute_loop *loop;
	struct compute_loop_source *source; /* NULL once removed; under the lock */
	int fd; /* the source's; a copy for writing is write_fd, so that a descriptor closed by the loop is never written to */
	int write_fd;
	const struct qmp_listener *listener;
	void *context;
	struct qmp_lines lines;           /* the loop's thread only */
	pthread_mutex_t lock, write_lock; /* write_lock before lock */
	pthread_cond_t changed;
	bool greeted, closed;
	json_int_t last_id;
	struct qmp_call *calls;
};

int qmp_lines_feed(struct qmp_lines *lines, const char *data, size_t size,
	int (*take)(void *context, json_t *message), void *context)
{
	while (size) {
		const char *end = memchr(data, '\n', size);
		size_t piece = end ? (size_t)(end - data) : size;
		if (lines->partial.size + piece > QMP_LINE_LIMIT)
			return -1;
		buffer_append(&lines->partial, data, piece);
		data += piece;
		size -= piece;
		if (!end)
			break;
		data++;
		size--;
		json_t *message = json_loadb(buffer_text(&lines->partial), lines->partial.size, 0, NULL);
		buffer_clear(&lines->partial);
		if (!json_is_object(message)) {
			json_decref(message);
			return -1;
		}
		if (take(context, message))
			return -1;
	}
	if (!lines->partial.size)
		buffer_free(&lines->partial); /* an idle machine keeps no buffer */
	return 0;
}

void qmp_lines_free(struct qmp_lines *lines)
{
	buffer_free(&lines->partial);
}

static struct qmp *create_qmp(const struct qmp_listener *listener, void *context)
{
	struct qmp *qmp = memory_alloc(sizeof *qmp);
	*qmp = (struct qmp){
		.references = 1, .fd = -1, .write_fd = -1, .listener = listener, .context = context
	};
	pthread_mutex_init(&qmp->lock, NULL);
	pthread_mutex_init(&qmp->write_lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&qmp->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return qmp;
}

static void unref_qmp(struct qmp *qmp)
{
	if (atomic_fetch_sub(&qmp->references, 1) > 1)
		return;
	if (qmp->write_fd >= 0)
		close(qmp->write_fd);
	qmp_lines_free(&qmp->lines);
	if (qmp->listener->release)
		qmp->listener->release(qmp->context);
	pthread_cond_destroy(&qmp->changed);
	pthread_mutex_destroy(&qmp->write_lock);
	pthread_mutex_destroy(&qmp->lock);
	free(qmp);
}

struct qmp *qmp_create_detached(const struct qmp_listener *listener, void *context)
{
	return create_qmp(listener, context);
}

void qmp_destroy_detached(struct qmp *qmp)
{
	unref_qmp(qmp);
}

/* The connection is of no use any more: wakes everyone who waits. Any thread, more than once. */
static void shut_connection(struct qmp *qmp)
{
	pthread_mutex_lock(&qmp->lock);
	struct compute_loop_source *source = qmp->source;
	qmp->source = NULL;
	qmp->closed = true;
	pthread_cond_broadcast(&qmp->changed);
	pthread_mutex_unlock(&qmp->lock);
	if (qmp->write_fd >= 0)
		shutdown(qmp->write_fd, SHUT_RDWR); /* ends a write that another thread is in */
	if (source)
		compute_loop_remove(qmp->loop, source);
}

/* The message goes to whoever waits for it, reference and all: jansson's counts are not for two threads at once. */
static void take_reply(struct qmp *qmp, json_t *message)
{
	json_int_t id = json_integer_value(json_object_get(message, "id"));
	pthread_mutex_lock(&qmp->lock);
	struct qmp_call *call = qmp->calls;
	while (call && call->id != id)
		call = call->next;
	if (call && !call->reply) {
		call->reply = message;
		message = NULL;
		pthread_cond_broadcast(&qmp->changed);
	}
	pthread_mutex_unlock(&qmp->lock);
	json_decref(message);
}

static void take_event(struct qmp *qmp, const char *name, json_t *data)
{
	pthread_mutex_lock(&qmp->lock);
	bool closed = qmp->closed;
	pthread_mutex_unlock(&qmp->lock);
	if (!closed)
		qmp->listener->event(qmp->context, name, json_is_object(data) ? data : NULL);
}

int qmp_take_message(struct qmp *qmp, json_t *message)
{
	int result = 0;
	const char *event = json_string_value(json_object_get(message, "event"));
	if (event) {
		take_event(qmp, event, json_object_get(message, "data"));
	} else if (json_object_get(message, "return") || json_object_get(message, "error")) {
		take_reply(qmp, message);
		return 0;
	} else if (json_object_get(message, "QMP")) {
		pthread_mutex_lock(&qmp->lock);
		qmp->greeted = true;
		pthread_cond_broadcast(&qmp->changed);
		pthread_mutex_unlock(&qmp->lock);
	} else {
		result = -1;
	}
	json_decref(message);
	return result;
}

static int take_line(void *context, json_t *message)
{
	return qmp_take_message(context, message);
}

/* One read a wake-up: a monitor that never stops talking does not keep the others waiting. */
static void read_socket(void *context, uint32_t events)
{
	struct qmp *qmp = context;
	char data[READ_SIZE];
	ssize_t got = recv(qmp->fd, data, sizeof data, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0 && qmp_lines_feed(&qmp->lines, data, (size_t)got, take_line, qmp) == 0)
		return;
	if (got > 0)
		log_warning("qmp-malformed", "fd=%d", qmp->fd);
	shut_connection(qmp);
}

static void release_source(void *context)
{
	unref_qmp(context);
}

static const struct compute_loop_handler handler = { .ready = read_socket, .release = release_source };

static void deadline_after(int timeout_ms, struct timespec *deadline)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += timeout_ms / 1000;
	deadline->tv_nsec += timeout_ms % 1000 * 1000000L;
	if (deadline->tv_nsec >= 1000000000L) {
		deadline->tv_nsec -= 1000000000L;
		deadline->tv_sec++;
	}
}

static int wait_greeting(struct qmp *qmp, int timeout_ms, struct error *err)
{
	struct timespec deadline;
	deadline_after(timeout_ms, &deadline);
	pthread_mutex_lock(&qmp->lock);
	int waited = 0;
	while (!qmp->greeted && !qmp->closed && !waited)
		waited = pthread_cond_timedwait(&qmp->changed, &qmp->lock, &deadline);
	bool greeted = qmp->greeted, closed = qmp->closed;
	pthread_mutex_unlock(&qmp->lock);
	if (greeted)
		return 0;
	if (closed)
		return error_set(
			err, ERROR_UNAVAILABLE, "the monitor closed the connection without a greeting");
	return error_set(err, ERROR_TIMEOUT, "the monitor gave no greeting within %d ms", timeout_ms);
}

int qmp_open(struct compute_loop *loop, int fd, int timeout_ms, const struct qmp_listener *listener,
	void *context, struct qmp **result, struct error *err)
{
	struct qmp *qmp = create_qmp(listener, context);
	qmp->loop = loop;
	qmp->fd = fd;
	qmp->write_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	atomic_store(&qmp->references, 2);
	int failed = qmp->write_fd < 0
		? error_set_errno(err, errno, "cannot duplicate the monitor's descriptor")
		: compute_loop_add(loop, fd, &handler, qmp, &qmp->source, err);
	if (failed) {
		close(fd);
		unref_qmp(qmp);
		unref_qmp(qmp);
		return -1;
	}
	int64_t end = clock_monotonic_ms() + timeout_ms;
	failed = wait_greeting(qmp, timeout_ms, err);
	if (!failed) {
		int64_t left = end - clock_monotonic_ms();
		failed = qmp_command(qmp, "qmp_capabilities", NULL, left > 0 ? (int)left : 0, NULL, err);
	}
	if (failed) {
		qmp_close(qmp);
		return -1;
	}
	*result = qmp;
	return 0;
}

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	shut_connection(qmp);
	unref_qmp(qmp);
}

/* The whole line within the time limit: QEMU reads its monitor only in its main loop, which may hang. */
static int write_line(struct qmp *qmp, const char *line, size_t size, int64_t end_ms)
{
	while (size) {
		ssize_t put = send(qmp->write_fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put > 0) {
			line += put;
			size -= (size_t)put;
			continue;
		}
		if (put < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		int64_t left = end_ms - clock_monotonic_ms();
		struct pollfd wait = { .fd = qmp->write_fd, .events = POLLOUT };
		if (left <= 0 || (poll(&wait, 1, (int)left) < 0 && errno != EINTR))
			return -1;
	}
	return 0;
}

static int send_command(struct qmp *qmp, const char *name, json_t *arguments, json_int_t id, int64_t end_ms,
	struct error *err)
{
	json_t *message = json_pack("{s:s, s:I}", "execute", name, "id", id);
	if (arguments)
		json_object_set_new(message, "arguments", arguments);
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	if (!text)
		return error_set(err, ERROR_INVALID, "the monitor command %s cannot be encoded", name);
	struct buffer line BUFFER_SCOPED = { 0 };
	buffer_append_text(&line, text);
	buffer_append_char(&line, '\n');
	free(text);
	pthread_mutex_lock(&qmp->write_lock);
	int failed = write_line(qmp, line.data, line.size, end_ms);
	pthread_mutex_unlock(&qmp->write_lock);
	if (!failed)
		return 0;
	/* half a line may be out: the next command would be glued to it */
	shut_connection(qmp);
	return error_set(err, ERROR_UNAVAILABLE, "the monitor did not take the command %s", name);
}

/* QEMU's "error" object as ours. */
static int report_error(const char *name, json_t *error, struct error *err)
{
	const char *class = json_string_value(json_object_get(error, "class"));
	const char *text = json_string_value(json_object_get(error, "desc"));
	bool missing =
		class && (strcmp(class, "DeviceNotFound") == 0 || strcmp(class, "DeviceNotActive") == 0);
	return error_set(err, missing ? ERROR_NOT_FOUND : ERROR_INVALID, "%s: %.300s", name,
		text ? text : "no reason given");
}

static json_t *wait_reply(struct qmp *qmp, struct qmp_call *call, int timeout_ms)
{
	struct timespec deadline;
	deadline_after(timeout_ms, &deadline);
	pthread_mutex_lock(&qmp->lock);
	int waited = 0;
	while (!call->reply && !qmp->closed && !waited)
		waited = pthread_cond_timedwait(&qmp->changed, &qmp->lock, &deadline);
	struct qmp_call **link = &qmp->calls;
	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	pthread_mutex_unlock(&qmp->lock);
	return call->reply;
}

int qmp_command(struct qmp *qmp, const char *name, json_t *arguments, int timeout_ms, json_t **result,
	struct error *err)
{
	struct qmp_call call = { 0 };
	int64_t end_ms = clock_monotonic_ms() + timeout_ms;
	pthread_mutex_lock(&qmp->lock);
	bool closed = qmp->closed;
	call.id = ++qmp->last_id;
	call.next = qmp->calls;
	qmp->calls = &call;
	pthread_mutex_unlock(&qmp->lock);
	int failed = 0;
	if (closed)
		json_decref(arguments);
	else
		failed = send_command(qmp, name, arguments, call.id, end_ms, err);
	int64_t left = end_ms - clock_monotonic_ms();
	json_t *reply = wait_reply(qmp, &call, failed || left < 0 ? 0 : (int)left);
	if (!reply) {
		pthread_mutex_lock(&qmp->lock);
		closed = qmp->closed;
		pthread_mutex_unlock(&qmp->lock);
		if (failed)
			return -1;
		if (closed)
			return error_set(
				err, ERROR_UNAVAILABLE, "%s: the connection to the monitor is gone", name);
		return error_set(
			err, ERROR_TIMEOUT, "%s: the monitor did not answer within %d ms", name, timeout_ms);
	}
	json_t *value = json_object_get(reply, "return");
	if (!value)
		report_error(name, json_object_get(reply, "error"), err);
	else if (result)
		*result = json_incref(value);
	failed = value ? 0 : -1;
	json_decref(reply);
	return failed;
}
