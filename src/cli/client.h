/*
 * A small AWS client for amid's own commands: signed calls over HTTP to one endpoint, answers as text. A client is immutable and shared by threads; each thread has connections of its own, which stay open between calls.
 *
 * An error that the service answers becomes the text "CODE: MESSAGE"; its code is ERROR_UNAVAILABLE if trying again may help (no connection, or a status of 5xx), else ERROR_INVALID.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"

struct client;
struct client_connection;

/* `endpoint` NULL: AWS_ENDPOINT_URL, else http://127.0.0.1:4566. Credentials and region: see credentials.h. */
int client_open(const char *endpoint, struct client **client, struct error *err);
void client_close(struct client *client); /* after its connections; NULL is legal */
const char *client_endpoint(const struct client *client);

int client_connect(const struct client *client, struct client_connection **connection, struct error *err);
void client_disconnect(struct client_connection *connection); /* NULL is legal */

/* Repeats a call that may be repeated without harm, a few times with growing pauses, while the error is ERROR_UNAVAILABLE. */
enum client_repeat { CLIENT_ONCE, CLIENT_REPEAT };

/* Pairs of name and value, ended by a NULL name. Pairs whose value is NULL are left out. */
struct client_pair {
	const char *name;
	const char *value;
};

/* A call in EC2's protocol; *answer (the caller's, emptied first) gets the XML. */
int client_call_ec2(struct client_connection *connection, const char *action,
	const struct client_pair *parameters, enum client_repeat repeat, struct buffer *answer,
	struct error *err);
/* The text of the first element of that name in an XML answer, entities decoded; NULL: there is none. */
char *client_find_element(struct arena *arena, const char *xml, const char *name);

/* A call in a rest-json protocol. */
struct client_rest {
	const char *service; /* "ebs" */
	const char *method;
	const char *path;                  /* of unreserved characters and '/' only */
	const struct client_pair *headers; /* names in lower case; NULL: none */
	const void *body;
	size_t body_size;
	bool unsigned_body; /* for uploads, whose checksum is among the headers: those are signed, so the body need not be hashed again on either side */
};
/* *answer (NULL: not wanted) is the JSON object, the caller's to json_decref. */
int client_call_rest(struct client_connection *connection, const struct client_rest *rest,
	enum client_repeat repeat, json_t **answer, struct error *err);
/* One such call, over a connection of its own. `endpoint` as of client_open. */
int client_ask(const char *endpoint, const struct client_rest *rest, json_t **answer, struct error *err);
/* An answer on standard output, for --json. 0, or 1 if it cannot be written. */
int client_print(json_t *answer);
