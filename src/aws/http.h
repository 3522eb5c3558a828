/*
 * HTTP servers: whole requests in, whole answers out, through libmicrohttpd. One server has one handler, its limits and any number of listeners: the API has one, the
 * instance metadata service one in each VPC's network namespace.
 *
 * What a handler can rely on: the request is complete and within the limits, its path begins with '/', header names and values hold no NUL; keep-alive, chunked bodies, Expect:
 * 100-continue and TLS have been dealt with. Clients that take longer than the limits to send a request or to read its answer are cut off.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "aws/http_message.h"
#include "base/arena.h"
#include "base/error.h"

struct http_server;
struct http_listener;

/* One request and the answer to it. */
struct http_exchange {
	struct http_request request;
	struct http_response response; /* zeroed; the handler fills it. The server frees its body */
	struct arena *arena;           /* the request lies in it; gone after the answer was sent */
	/* How many hops the answer's packets may travel (1: to the next host, no further), and all that follow them on the connection; 0: as many as usual. IPv4. The handler sets it. */
	unsigned hop_limit;
	char peer[INET6_ADDRSTRLEN]; /* the client's address; an IPv4 one always in its own form */
	const struct error *
		refused; /* the body was over the limit, so there is none here: the handler puts this error in the form its clients read. NULL: none */
};

/* Runs on the connection's own thread (threads) or on the listener's one thread, which it then keeps from all its other clients. */
typedef void http_handler(void *context, struct http_exchange *exchange);

struct http_limits {
	unsigned connections; /* of a listener; more wait in the backlog or are closed */
	size_t header_bytes;  /* of the request line and headers together; beyond it: 431 */
	size_t body_bytes;
	unsigned idle_seconds;    /* between two requests of a connection */
	unsigned request_seconds; /* to send one request; and again, to read its answer */
};

struct http_server_config {
	http_handler *handle;
	bool threads; /* a thread for each connection; else one for each listener */
	struct http_limits limits;
	const char *tls_certificate,
		*tls_key; /* PEM texts; NULL: plain HTTP. Must live as long as the server */
};

/* Starts nothing that listens yet. *config is copied. */
int http_server_open(const struct http_server_config *config, struct http_server **server, struct error *err);
/* Closes what listeners are left. NULL is legal. */
void http_server_close(struct http_server *server);

/* Serves connections to a bound and listening socket, which belongs to the listener from now on, also if this fails. `context` is handed to the handler. */
int http_listener_open(struct http_server *server, int fd, void *context, struct http_listener **listener,
	struct error *err);
/* Stops accepting at once, lets the requests that are being answered end (for at most 10 s), then closes all connections. NULL is legal. */
void http_listener_close(struct http_listener *listener);

/*
 * Makes a listening socket for "127.0.0.1:4566", "[::1]:4566" or "localhost:0" (0: any free port). *fd is the caller's. `bound` (HTTP_ADDRESS_SIZE bytes, may be NULL) gets the
 * address with its real port in the same form.
 */
enum { HTTP_ADDRESS_SIZE = INET6_ADDRSTRLEN + sizeof "[]:65535" };
int http_listen(const char *address, int *fd, char *bound, struct error *err);
