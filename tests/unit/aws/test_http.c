/* The HTTP server as clients meet it: over real sockets, with limits small enough to reach. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "aws/http.h"
#include "base/clock.h"
#include "base/file.h"

enum { BODY_MAX = 1000, CONNECTIONS = 6, REQUEST_SECONDS = 1, IDLE_SECONDS = 2, PATIENCE_MS = 10000 };

struct fixture {
	struct http_server *server;
	struct http_listener *listener;
	char address[HTTP_ADDRESS_SIZE];
	const char *name; /* the listener's context */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool entered, released; /* of /wait */
};

/* "PEER NAME METHOD PATH?QUERY BODY-SIZE", "refused" for a body over the limit; /wait answers when told to. */
static void handle(void *context, struct http_exchange *exchange)
{
	struct fixture *fixture = context;
	const struct http_request *request = &exchange->request;
	if (strcmp(request->path, "/wait") == 0) {
		pthread_mutex_lock(&fixture->mutex);
		fixture->entered = true;
		pthread_cond_broadcast(&fixture->changed);
		while (!fixture->released)
			pthread_cond_wait(&fixture->changed, &fixture->mutex);
		pthread_mutex_unlock(&fixture->mutex);
	}
	exchange->response.status = exchange->refused ? 413 : 200;
	exchange->response.content_type = "text/plain";
	http_response_add_header(&exchange->response, exchange->arena, "X-Test", "yes");
	if (exchange->refused)
		buffer_append_text(&exchange->response.body, "refused");
	else
		buffer_printf(&exchange->response.body, "%s %s %s %s?%s %zu", exchange->peer, fixture->name,
			request->method, request->path, request->query, request->body_size);
	if (strcmp(request->path, "/empty") == 0)
		buffer_free(&exchange->response.body);
	if (strcmp(request->path, "/large") == 0)
		for (int i = 0; i < 200000; i++)
			buffer_append_text(
				&exchange->response.body, "0123456789012345678901234567890123456789");
}

static int open_fixture(void **state, bool threads)
{
	static struct fixture fixture;
	fixture = (struct fixture){
		.name = "one", .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER
	};
	const struct http_server_config config = {
		.handle = handle,
		.threads = threads,
		.limits = { CONNECTIONS, 4096, BODY_MAX, IDLE_SECONDS, REQUEST_SECONDS },
	};
	int fd;
	struct error err;
	assert_int_equal(http_server_open(&config, &fixture.server, &err), 0);
	assert_int_equal(http_listen("127.0.0.1:0", &fd, fixture.address, &err), 0);
	assert_int_equal(http_listener_open(fixture.server, fd, &fixture, &fixture.listener, &err), 0);
	*state = &fixture;
	return 0;
}

static int open_threads(void **state)
{
	return open_fixture(state, true);
}

static int open_polling(void **state)
{
	return open_fixture(state, false);
}

static int close_fixture(void **state)
{
	http_server_close(((struct fixture *)*state)->server);
	return 0;
}

static int connect_to(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *colon = strrchr(address, ':');
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until `until` appears (or, NULL, the end); -1 at the end of the stream without it. */
static int take(int fd, const char *until, char *text, size_t size)
{
	size_t used = 0;
	text[0] = '\0';
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
		ssize_t got = recv(fd, text + used, size - used - 1, 0);
		if (got <= 0)
			return until ? -1 : 0;
		used += (size_t)got;
		text[used] = '\0';
		if (until && strstr(text, until))
			return 0;
		assert_true(used < size - 1);
	}
}

static void keeps_connections_alive(void **state)
{
	struct fixture *fixture = *state;
	char text[4096];
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, "GET /a%2Fb?c=%20d+e HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(take(fd, "127.0.0.1 one GET /a%2Fb?c=%20d+e 0", text, sizeof text), 0);
	assert_non_null(strstr(text, "X-Test: yes"));
	put(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
	assert_int_equal(take(fd, "one POST /p? 3", text, sizeof text), 0);
	put(fd,
		"POST /q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		"chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
	assert_int_equal(take(fd, "one POST /q? 5", text, sizeof text), 0);
	put(fd, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(take(fd, "Content-Length: 0", text, sizeof text), 0);
}

static void asks_for_the_body_that_waits(void **state)
{
	struct fixture *fixture = *state;
	char text[4096];
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, "POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	assert_int_equal(take(fd, "100 Continue\r\n\r\n", text, sizeof text), 0);
	put(fd, "abc");
	assert_int_equal(take(fd, "POST /c? 3", text, sizeof text), 0);
	put(fd, "POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
	assert_int_equal(take(fd, "refused", text, sizeof text), 0);
	assert_null(strstr(text, "100 Continue"));
}

static void refuses_large_bodies_after_reading_them(void **state)
{
	struct fixture *fixture = *state;
	char text[4096], body[BODY_MAX + 2];
	memset(body, 'b', sizeof body - 1);
	body[sizeof body - 1] = '\0';
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
	put(fd, body);
	assert_int_equal(take(fd, "refused", text, sizeof text), 0);
	assert_non_null(strstr(text, " 413 "));
	put(fd, "GET /after HTTP/1.1\r\nHost: x\r\n\r\n"); /* the connection is still good */
	assert_int_equal(take(fd, "GET /after? 0", text, sizeof text), 0);
	put(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n"); /* not worth reading */
	assert_int_equal(take(fd, "refused", text, sizeof text), 0);
	assert_int_equal(take(fd, NULL, text, sizeof text), 0);
}

static void refuses_endless_chunked_bodies(void **state)
{
	struct fixture *fixture = *state;
	char chunk[4096];
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	int size = snprintf(chunk, sizeof chunk, "%x\r\n%0*d\r\n", 1000, 1000, 0);
	int64_t start_ms = clock_monotonic_ms();
	while (send(fd, chunk, (size_t)size, MSG_NOSIGNAL) == size)
		assert_true(clock_monotonic_ms() - start_ms < PATIENCE_MS);
}

static void refuses_large_headers(void **state)
{
	struct fixture *fixture = *state;
	char text[4096], request[6000];
	snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: %05000d\r\n\r\n", 1);
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, request);
	assert_int_equal(take(fd, " 431 ", text, sizeof text), 0);
	int other FILE_SCOPED = connect_to(fixture->address);
	put(other, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(take(other, " 400 ", text, sizeof text), 0);
}

struct slow_client {
	const char *start, *more; /* `more` again and again, which keeps any idle timer from firing */
	int64_t at_least_ms, at_most_ms;
	int fd;
	bool cut_off;
};

/* Lets a client go on for a moment; sees whether it was cut off. */
static void trickle(struct slow_client *client)
{
	char text[4096];
	struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };
	if (client->cut_off)
		return;
	if (poll(&poll_fd, 1, 20) == 1)
		client->cut_off = recv(client->fd, text, sizeof text, 0) <= 0;
	else if (*client->more)
		client->cut_off = send(client->fd, client->more, strlen(client->more), MSG_NOSIGNAL) < 0;
}

static void cuts_slow_clients_off(void **state)
{
	struct fixture *fixture = *state;
	enum { COUNT = 5 };
	struct slow_client clients[COUNT] = {
		{ "", "", 900 * REQUEST_SECONDS, 1000 * REQUEST_SECONDS + 900 },
		{ "G", "E", 900 * REQUEST_SECONDS, 1000 * REQUEST_SECONDS + 900 },
		{ "GET / HTTP/1.1\r\nX: ", "y", 900 * REQUEST_SECONDS, 1000 * REQUEST_SECONDS + 900 },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n", "z", 900 * REQUEST_SECONDS,
			1000 * REQUEST_SECONDS + 900 },
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", 900 * IDLE_SECONDS, 1000 * IDLE_SECONDS + 900 },
	};
	int64_t start_ms = clock_monotonic_ms();
	for (int i = 0; i < COUNT; i++) {
		clients[i].fd = connect_to(fixture->address);
		put(clients[i].fd, clients[i].start);
	}
	for (int left = COUNT; left > 0;) {
		for (int i = 0; i < COUNT; i++) {
			bool before = clients[i].cut_off;
			trickle(&clients[i]);
			int64_t ms = clock_monotonic_ms() - start_ms;
			assert_true(clients[i].cut_off || ms < clients[i].at_most_ms);
			if (before || !clients[i].cut_off)
				continue;
			assert_true(ms >= clients[i].at_least_ms);
			close(clients[i].fd);
			left--;
		}
	}
}

static void cuts_clients_off_that_do_not_read(void **state)
{
	struct fixture *fixture = *state;
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); /* 8 MB: more than the sockets' buffers hold */
	struct pollfd poll_fd = { .fd = fd, .events = POLLRDHUP };
	assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
}

static void serves_no_more_connections_than_allowed(void **state)
{
	struct fixture *fixture = *state;
	char text[4096];
	int fds[CONNECTIONS];
	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = connect_to(fixture->address);
		put(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_int_equal(take(fds[i], "GET /? 0", text, sizeof text), 0);
	}
	int extra FILE_SCOPED = connect_to(fixture->address);
	(void)!send(extra, "GET /extra HTTP/1.1\r\nHost: x\r\n\r\n", 33, MSG_NOSIGNAL);
	struct pollfd poll_fd = { .fd = extra, .events = POLLIN };
	if (poll(&poll_fd, 1, 300) == 1) /* it is closed, or waits; it is not served */
		assert_true(recv(extra, text, sizeof text, 0) <= 0);
	put(fds[0], "GET /still HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(take(fds[0], "GET /still? 0", text, sizeof text), 0);
	for (int i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
	for (int64_t start_ms = clock_monotonic_ms();
		;) { /* places are free again once the server has seen it */
		int fd FILE_SCOPED = connect_to(fixture->address);
		(void)!send(fd, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n", 31, MSG_NOSIGNAL);
		if (take(fd, "GET /next? 0", text, sizeof text) == 0)
			break;
		assert_true(clock_monotonic_ms() - start_ms < PATIENCE_MS);
	}
}

static void *close_listener(void *argument)
{
	http_listener_close(((struct fixture *)argument)->listener);
	return NULL;
}

static void lets_a_running_request_end_when_closed(void **state)
{
	struct fixture *fixture = *state;
	char text[4096];
	pthread_t closer;
	int fd FILE_SCOPED = connect_to(fixture->address);
	put(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	pthread_mutex_lock(&fixture->mutex);
	while (!fixture->entered)
		pthread_cond_wait(&fixture->changed, &fixture->mutex);
	pthread_mutex_unlock(&fixture->mutex);
	assert_int_equal(pthread_create(&closer, NULL, close_listener, fixture), 0);
	pthread_mutex_lock(&fixture->mutex);
	fixture->released = true;
	pthread_cond_broadcast(&fixture->changed);
	pthread_mutex_unlock(&fixture->mutex);
	assert_int_equal(take(fd, "GET /wait? 0", text, sizeof text), 0);
	pthread_join(closer, NULL);
}

static void tells_listeners_apart(void **state)
{
	struct fixture *fixture = *state, other = { .name = "two" };
	struct http_listener *listener;
	struct error err;
	char text[4096];
	int listen_fd;
	assert_int_equal(http_listen("127.0.0.1:0", &listen_fd, other.address, &err), 0);
	assert_int_equal(http_listener_open(fixture->server, listen_fd, &other, &listener, &err), 0);
	int fd FILE_SCOPED = connect_to(other.address), first FILE_SCOPED = connect_to(fixture->address);
	put(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(take(fd, "127.0.0.1 two GET /x? 0", text, sizeof text), 0);
	http_listener_close(listener);
	put(first, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(take(first, "127.0.0.1 one GET /y? 0", text, sizeof text), 0);
}

static void refuses_addresses_it_cannot_listen_on(void **state)
{
	static const char *const bad[] = { "", ":", "4566", "127.0.0.1", "127.0.0.1:", ":80",
		"127.0.0.1:70000", "[::1:80", "192.0.2.1:80", "not a host:80" };
	int fd;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(http_listen(bad[i], &fd, NULL, NULL), -1);
}

#define BOTH(name) \
	cmocka_unit_test_setup_teardown(name, open_threads, close_fixture), \
		cmocka_unit_test_setup_teardown(name, open_polling, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(keeps_connections_alive),
		BOTH(asks_for_the_body_that_waits),
		BOTH(refuses_large_bodies_after_reading_them),
		BOTH(refuses_endless_chunked_bodies),
		BOTH(refuses_large_headers),
		BOTH(cuts_slow_clients_off),
		BOTH(cuts_clients_off_that_do_not_read),
		BOTH(serves_no_more_connections_than_allowed),
		BOTH(lets_a_running_request_end_when_closed),
		BOTH(tells_listeners_apart),
		cmocka_unit_test(refuses_addresses_it_cannot_listen_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
