/* What the files of the door share: a request on its way through them. */
#pragma once

#include "aws/codec.h"
#include "aws/door.h"
#include "aws/sigv4.h"

struct door {
	struct door_config config;
	struct http_server *server;
	char *endpoint;
	char *certificate, *key; /* PEM texts */
};

struct door_request {
	const struct door *door;
	const struct http_request *http;
	struct arena *arena;
	const struct service
		*service; /* never NULL once door_route_request has run: errors are encoded in its form */
	struct sigv4_signature *signature; /* NULL: not signed, or (auth_any) not legibly */
	struct codec_request codec_request;
	struct call call;
	const void *input, *output; /* of the handler; NULL: it did not come so far */
	const char *
		claimed_account; /* whose access key the signature names, whether it is right or not; NULL: not known */
};

/* The http_handler of a door (its context): the whole way of a request. */
void door_serve(void *context, struct http_exchange *exchange);
/*
 * Reads the signature and finds service and region. Fails, with request->service fit to encode the error, if the signature is malformed, or the service or region is not served.
 * A request below /_amid/ may name any service and region.
 */
int door_route_request(struct door_request *request, bool extra, struct error *err);
/* Finds and verifies the caller; fills call.account and the principal. Errors are worded as the service does. */
int door_authenticate(struct door_request *request, struct error *err);
/* Makes the code and message of a signature error those of the service. Returns -1. */
int door_word_error(const struct door_request *request, struct error *err);
