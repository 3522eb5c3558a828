/* AWS Signature Version 4, the signing side, of requests without a query string. No state; safe from every thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"

struct sign_header {
	const char *name;  /* lower case */
	const char *value; /* without blanks at its ends */
};

/* What x-amz-content-sha256 says in the place of a digest. */
#define SIGN_UNSIGNED_BODY "UNSIGNED-PAYLOAD"

struct sign_request {
	const char *method;
	const char *path; /* of unreserved characters and '/' only, so that it is its own encoded form */
	const struct sign_header
		*headers; /* all that are signed, "host" and "x-amz-date" among them, in any order */
	size_t header_count;
	const struct digest *
		body; /* SHA-256 of the body; NULL: it is not signed, as SIGN_UNSIGNED_BODY among the headers says */
	const char *service;
};

struct sign_credentials {
	const char *access_key_id;
	const char *secret;
	const char *session_token; /* NULL: none. Its header is the caller's to put among the headers */
	const char *region;
};

/* "20261121T070000Z", for the header x-amz-date. */
char *sign_timestamp(struct arena *arena, int64_t now_ms);
/* The value of the header Authorization. `timestamp` is what x-amz-date says. */
char *sign_authorization(struct arena *arena, const struct sign_credentials *credentials,
	const struct sign_request *request, const char *timestamp);
