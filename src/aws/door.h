/*
 * The door: where API requests come in. It finds the service and the caller of a request, has a codec decode and check it, runs the handler and has the answer encoded. Each
 * request runs on the thread of its connection.
 */
#pragma once

#include <stdbool.h>

#include "aws/call.h"
#include "aws/http.h"
#include "base/arena.h"
#include "base/error.h"

struct amid;
struct door;

/* With auth_any: whoever is not known is this account's root. */
#define DOOR_ANY_ACCOUNT "123456789012"

/* Who an access key belongs to. */
struct door_identity {
	const char *secret;
	struct principal principal;
};

/*
 * Fills *identity, in the arena. `session_token` is what the request carries, NULL: none; it is the lookup's to check, and wrong if the key needs none. 0; -1 with ERROR_NOT_FOUND: no such key, or no longer, or
 * not with that token; ERROR_EXPIRED_TOKEN: its time is over; any other error fails the request. Called from many threads.
 */
typedef int door_lookup(void *context, const char *access_key_id, const char *session_token,
	struct arena *arena, struct door_identity *identity, struct error *err);

/* Told of every signature that was found right, once the look-up's context knows whose it is; must be quick. */
typedef void door_used(
	void *context, const struct principal *principal, const char *service, const char *region);

/*
 * Answers a request below "/_amid/", which is not AWS's. `call` has no operation, and no account (NULL) if the request is not signed and auth_any is off: it must then refuse whatever is not for
 * everybody. On -1 the error is sent as JSON.
 */
typedef int door_extra(void *context, struct call *call, const struct http_request *http,
	struct http_response *response, struct error *err);

/*
 * Whether the caller may make this call, asked of every request before DryRun is answered and before its handler runs; `input` is decoded and checked. 0, or -1 with the error that the caller is answered.
 */
typedef int door_authorize(struct call *call, const void *input, struct error *err);

/* A call that is over, for the audit trail. */
struct door_outcome {
	const struct call *call; /* operation, account and principal NULL: it did not come so far */
	const struct http_request *http;
	const void *input, *output; /* NULL: none */
	const struct error *err;    /* what the caller is answered; NULL: a success */
	const char *
		claimed_key; /* the access key that the request names, whether the signature is right or not; NULL: none */
	const char *claimed_account; /* whose key that is; NULL: nobody's that is known */
	int64_t begun_ms;
};

/* Asked before a handler runs: 0, or -1 with the error that the caller is answered; the handler then does not run. */
typedef int door_admit(void *context, const struct call *call, struct error *err);
/* Told of every call to a service before its answer leaves, from its thread. -1: the caller is answered this error instead. */
typedef int door_record(void *context, const struct door_outcome *outcome, struct error *err);

struct door_config {
	struct amid *amid;                     /* handed to handlers */
	const char *listen;                    /* "127.0.0.1:4566"; port 0: any free one */
	const char *tls_certificate, *tls_key; /* PEM files; NULL: plain HTTP */
	bool auth_any; /* any or no credentials pass as DOOR_ANY_ACCOUNT; a key that the lookup knows is verified and used */
	const char *const *regions; /* NULL-terminated; the first is for requests that do not say */
	const struct service *const *services; /* NULL-terminated */
	door_lookup *lookup;
	void *lookup_context;
	door_authorize *authorize;
	door_used *used;      /* of the same context; may be NULL */
	door_admit *admit;    /* may be NULL */
	door_record *record;  /* may be NULL */
	void *record_context; /* of both */
	door_extra *extra;    /* may be NULL */
	void *extra_context;
	struct http_limits
		limits; /* a field that is 0 takes its default: 512 connections, 32 KiB headers, 1 MiB body, 60 s idle, 30 s a request */
};

/* Requests are answered from now on. What *config points to must live as long as the door. */
int door_open(const struct door_config *config, struct door **door, struct error *err);
/* "http://127.0.0.1:4566", with the real port. */
const char *door_endpoint(const struct door *door);
/* Accepts no more, lets running requests end, closes all connections. NULL is legal. */
void door_close(struct door *door);
