/*
 * The HTTP server over libmicrohttpd (MHD). A listener is one MHD daemon; a connection has one `struct connection` from accept to close, which holds the request being
 * received. What MHD calls, in this order:
 *
 *	on_connection     accepted: the request must be complete by a deadline
 *	on_uri            the request line is there, raw (MHD would give it decoded, but signatures are over what was sent)
 *	on_request        first with the headers, then with each piece of the body, then once more: the handler runs, its answer is queued
 *	on_completed      the answer is sent, or will never be
 *	on_connection     closed
 *
 * Everything of one connection happens on one thread: its own, or the listener's. The watchdog's thread only looks at deadlines and shuts sockets down.
 */
#include "aws/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "aws/http_watchdog.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/banned.h"

enum {
	STACK_SIZE = 256 * 1024, /* of a connection's thread: handlers run on it */
	CLOSE_SECONDS = 10,
	HEADERS_MAX = 200,
	/* A body over the limit is read and dropped up to so many times the limit: an answer sent while the client still writes would be lost to it. */
	DROP_FACTOR = 16,
	/* Bodies from this size on are received into memory that a connection keeps, so that a stream of blocks does not have the kernel clear new pages for each. */
	LARGE_BODY = 64 * 1024,
};

struct http_server {
	struct http_server_config config;
	struct http_watchdog *watchdog;
	pthread_mutex_t mutex; /* guards the list of listeners */
	struct http_listener *listeners;
};

struct http_listener {
	struct http_server *server;
	struct http_listener *next;
	void *context;
	struct MHD_Daemon *daemon;
	pthread_mutex_t mutex; /* guards busy */
	pthread_cond_t idle;   /* busy became 0 */
	unsigned busy;         /* requests being answered */
};

struct connection {
	struct http_listener *listener;
	struct http_watch watch;
	struct MHD_Connection *mhd;
	char peer[INET6_ADDRSTRLEN];
	/* of the request being received or answered */
	struct arena *arena; /* NULL between requests */
	struct http_request request;
	struct buffer body;
	struct error refused; /* code ERROR_NONE: not */
	uint64_t body_received;
	bool headers_seen, busy;
};

static void set_deadline(struct connection *connection, unsigned seconds)
{
	http_watchdog_set(connection->listener->server->watchdog, &connection->watch,
		clock_monotonic_ms() + (int64_t)seconds * 1000);
}

static void drop_body(struct connection *connection)
{
	if (connection->body.capacity > LARGE_BODY)
		buffer_clear(&connection->body);
	else
		buffer_free(&connection->body);
}

static void end_request(struct connection *connection)
{
	arena_destroy(connection->arena);
	connection->arena = NULL;
	drop_body(connection);
	connection->request = (struct http_request){ 0 };
	connection->refused.code = ERROR_NONE;
	connection->body_received = 0;
	connection->headers_seen = false;
	if (!connection->busy)
		return;
	connection->busy = false;
	struct http_listener *listener = connection->listener;
	pthread_mutex_lock(&listener->mutex);
	if (--listener->busy == 0)
		pthread_cond_broadcast(&listener->idle);
	pthread_mutex_unlock(&listener->mutex);
}

static void format_peer(const struct sockaddr *address, char *text, socklen_t size)
{
	text[0] = '\0';
	if (address->sa_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, size);
	} else if (address->sa_family == AF_INET6) {
		const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(ipv6))
			inet_ntop(AF_INET, ipv6->s6_addr + 12, text, size);
		else
			inet_ntop(AF_INET6, ipv6, text, size);
	}
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
	enum MHD_ConnectionNotificationCode what)
{
	struct http_listener *listener = context;
	struct http_server *server = listener->server;
	struct connection *connection = *socket_context;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		connection = memory_alloc(sizeof *connection);
		*connection = (struct connection){ .listener = listener, .mhd = mhd };
		*socket_context = connection;
		format_peer(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
			connection->peer, sizeof connection->peer);
		int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		http_watchdog_add(server->watchdog, &connection->watch, fd,
			clock_monotonic_ms() + (int64_t)server->config.limits.request_seconds * 1000);
	} else if (connection) {
		/* MHD closes the descriptor after this. */
		http_watchdog_remove(server->watchdog, &connection->watch);
		end_request(connection);
		buffer_free(&connection->body);
		free(connection);
		*socket_context = NULL;
	}
}

static void *on_uri(void *context, const char *uri, struct MHD_Connection *mhd)
{
	struct connection *connection =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	end_request(connection);
	set_deadline(connection, connection->listener->server->config.limits.request_seconds);
	connection->arena = arena_create();
	char *path = arena_strdup(connection->arena, uri);
	char *question = strchr(path, '?');
	if (question)
		*question = '\0';
	connection->request.path = path;
	connection->request.query = question ? question + 1 : "";
	return connection;
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
	enum MHD_RequestTerminationCode how)
{
	struct connection *connection = *request_context;
	if (!connection)
		return;
	end_request(connection);
	set_deadline(connection, connection->listener->server->config.limits.idle_seconds);
}

struct header_list {
	struct arena *arena;
	struct http_header *items;
	size_t count;
	bool malformed;
};

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
	const char *value, size_t value_size)
{
	struct header_list *list = context;
	if (list->count == HEADERS_MAX || strlen(name) != name_size ||
		(value && strlen(value) != value_size)) {
		list->malformed = true;
		return MHD_NO;
	}
	*ARENA_APPEND(list->arena, list->items, list->count) =
		(struct http_header){ arena_strdup(list->arena, name),
			arena_strdup(list->arena, value ? value : "") };
	return MHD_YES;
}

/* Queues a bare answer of the server itself, for requests that the handler should not see. */
static enum MHD_Result answer_plainly(struct connection *connection, unsigned status)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	enum MHD_Result queued = MHD_queue_response(connection->mhd, status, response);
	MHD_destroy_response(response);
	return queued;
}

/* Hands the answer to MHD, which frees the body when it is sent. */
static enum MHD_Result queue_response(struct connection *connection, struct http_response *answer)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		buffer_free(&answer->body);
		return MHD_NO;
	}
	enum MHD_Result result = MHD_YES;
	if (answer->content_type)
		result = MHD_add_response_header(response, "Content-Type", answer->content_type);
	for (size_t i = 0; i < answer->header_count && result == MHD_YES; i++)
		result = MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
	if (result == MHD_YES) {
		set_deadline(connection, connection->listener->server->config.limits.request_seconds);
		result = MHD_queue_response(connection->mhd, (unsigned)answer->status, response);
	}
	MHD_destroy_response(response);
	return result;
}

/*
 * For good, not for one answer: packets of it may be sent again long after it was written. Whoever is too far away for them gets nothing that follows either, since a connection's bytes come in order.
 */
static int limit_hops(struct connection *connection, unsigned hop_limit)
{
	int fd = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	int ttl = (int)hop_limit;
	return hop_limit ? setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) : 0;
}

static enum MHD_Result answer(struct connection *connection)
{
	struct http_listener *listener = connection->listener;
	http_watchdog_set(listener->server->watchdog, &connection->watch, HTTP_NO_DEADLINE);
	pthread_mutex_lock(&listener->mutex);
	listener->busy++;
	pthread_mutex_unlock(&listener->mutex);
	connection->busy = true;
	connection->request.body = buffer_text(&connection->body);
	connection->request.body_size = connection->body.size;
	struct http_exchange exchange = {
		.request = connection->request,
		.arena = connection->arena,
		.refused = connection->refused.code ? &connection->refused : NULL,
	};
	memcpy(exchange.peer, connection->peer, sizeof exchange.peer);
	listener->server->config.handle(listener->context, &exchange);
	drop_body(connection);
	if (limit_hops(connection, exchange.hop_limit)) {
		buffer_free(&exchange.response.body);
		return answer_plainly(connection, MHD_HTTP_INTERNAL_SERVER_ERROR);
	}
	return queue_response(connection, &exchange.response);
}

static void refuse_body(struct connection *connection)
{
	buffer_free(&connection->body);
	if (!connection->refused.code)
		error_set(&connection->refused, ERROR_REQUEST_TOO_LARGE,
			"The request body is larger than %zu bytes.",
			connection->listener->server->config.limits.body_bytes);
}

/* Headers are complete. Answers at once what need not wait for a body; otherwise MHD now asks for it (100 Continue). */
static enum MHD_Result begin_request(struct connection *connection, const char *method)
{
	const struct http_limits *limits = &connection->listener->server->config.limits;
	connection->headers_seen = true;
	struct header_list list = { .arena = connection->arena };
	MHD_get_connection_values_n(connection->mhd, MHD_HEADER_KIND, on_header, &list);
	size_t header_size = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
				     ->header_size;
	if (header_size > limits->header_bytes || list.count == HEADERS_MAX)
		return answer_plainly(connection, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
	if (list.malformed || connection->request.path[0] != '/')
		return answer_plainly(connection, MHD_HTTP_BAD_REQUEST);
	connection->request.method = arena_strdup(connection->arena, method);
	connection->request.headers = list.items;
	connection->request.header_count = list.count;
	const char *length = http_request_header(&connection->request, "Content-Length");
	int64_t bytes = 0;
	if (!length || text_parse_int64(length, &bytes) < 0 || bytes <= (int64_t)limits->body_bytes) {
		if (bytes >= LARGE_BODY)
			buffer_prepare(&connection->body, (size_t)bytes);
		return MHD_YES;
	}
	refuse_body(connection);
	bool waits = http_request_header(&connection->request, "Expect") != NULL;
	return waits || bytes / DROP_FACTOR > (int64_t)limits->body_bytes ? answer(connection) : MHD_YES;
}

static enum MHD_Result receive_body(struct connection *connection, const char *data, size_t size)
{
	size_t limit = connection->listener->server->config.limits.body_bytes;
	connection->body_received += size;
	if (connection->body_received / DROP_FACTOR > limit)
		return MHD_NO;
	if (connection->body_received > limit)
		refuse_body(connection);
	else
		buffer_append(&connection->body, data, size);
	return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **request_context)
{
	struct connection *connection = *request_context;
	if (!connection->headers_seen)
		return begin_request(connection, method);
	if (*size > 0) {
		enum MHD_Result result = receive_body(connection, data, *size);
		*size = 0;
		return result;
	}
	return answer(connection);
}

static void on_log(void *context, const char *format, va_list args)
{
	char text[256];
	vsnprintf(text, sizeof text, format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http-library", "message=\"%s\"", text);
}

static struct MHD_Daemon *start_daemon(struct http_listener *listener, int fd)
{
	const struct http_server_config *config = &listener->server->config;
	unsigned flags = MHD_USE_ERROR_LOG | MHD_USE_ITC | MHD_USE_INTERNAL_POLLING_THREAD;
	flags |= config->threads ? MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL : MHD_USE_EPOLL;
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_LISTEN_SOCKET, fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, (intptr_t)config->limits.connections, NULL },
		/* Holds the headers, what MHD makes of them (a query of many short parameters takes the most),
		 * and the buffer that the body is read through. Touched only as far as needed. */
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)(4 * config->limits.header_bytes), NULL },
		{ MHD_OPTION_THREAD_STACK_SIZE, STACK_SIZE, NULL },
		{ MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, listener },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, listener },
		{ MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, listener },
		{ MHD_OPTION_END, 0, NULL }, /* TLS */
		{ MHD_OPTION_END, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	if (config->tls_certificate) {
		struct MHD_OptionItem *tls = options;
		while (tls->option != MHD_OPTION_END)
			tls++;
		flags |= MHD_USE_TLS;
		tls[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0,
			(void *)config->tls_certificate };
		tls[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)config->tls_key };
		tls[2] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
			(void *)"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1" };
	}
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, listener, MHD_OPTION_EXTERNAL_LOGGER,
		on_log, NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

int http_listener_open(
	struct http_server *server, int fd, void *context, struct http_listener **listener, struct error *err)
{
	struct http_listener *made = memory_alloc(sizeof *made);
	*made = (struct http_listener){ .server = server, .context = context };
	pthread_mutex_init(&made->mutex, NULL);
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&made->idle, &clock);
	pthread_condattr_destroy(&clock);
	made->daemon = start_daemon(made, fd);
	if (!made->daemon) {
		close(fd);
		pthread_cond_destroy(&made->idle);
		pthread_mutex_destroy(&made->mutex);
		free(made);
		return error_set(err, ERROR_INVALID, "the HTTP server cannot start%s",
			server->config.tls_certificate
				? ": check that the TLS certificate and key are PEM and belong together"
				: "");
	}
	pthread_mutex_lock(&server->mutex);
	made->next = server->listeners;
	server->listeners = made;
	pthread_mutex_unlock(&server->mutex);
	*listener = made;
	return 0;
}

static void unlink_listener(struct http_listener *listener)
{
	struct http_server *server = listener->server;
	pthread_mutex_lock(&server->mutex);
	struct http_listener **link = &server->listeners;
	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
	pthread_mutex_unlock(&server->mutex);
}

void http_listener_close(struct http_listener *listener)
{
	if (!listener)
		return;
	int fd = MHD_quiesce_daemon(listener->daemon);
	if (fd >= 0)
		close(fd);
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLOSE_SECONDS;
	int waited = 0;
	pthread_mutex_lock(&listener->mutex);
	while (listener->busy > 0 && waited == 0)
		waited = pthread_cond_timedwait(&listener->idle, &listener->mutex, &until);
	pthread_mutex_unlock(&listener->mutex);
	MHD_stop_daemon(listener->daemon);
	unlink_listener(listener);
	pthread_cond_destroy(&listener->idle);
	pthread_mutex_destroy(&listener->mutex);
	free(listener);
}

int http_server_open(const struct http_server_config *config, struct http_server **server, struct error *err)
{
	struct http_server *made = memory_alloc(sizeof *made);
	*made = (struct http_server){ .config = *config };
	if (http_watchdog_open(&made->watchdog, err) < 0) {
		free(made);
		return -1;
	}
	pthread_mutex_init(&made->mutex, NULL);
	*server = made;
	return 0;
}

void http_server_close(struct http_server *server)
{
	if (!server)
		return;
	while (server->listeners)
		http_listener_close(server->listeners);
	http_watchdog_close(server->watchdog);
	pthread_mutex_destroy(&server->mutex);
	free(server);
}
