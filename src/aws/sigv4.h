/*
 * AWS Signature Version 4, the verifying side: in the Authorization header or presigned in the query string.
 *
 *	struct sigv4_signature signature;
 *	if (sigv4_is_present(http))
 *		sigv4_parse(http, arena, &signature, err)           what the request claims; nothing is trusted yet
 *		... find the secret of signature.access_key_id; scope: signature.region and .service ...
 *		sigv4_check_time(&signature, clock_real_ms(), err)
 *		sigv4_verify(&signature, http, secret, payload, arena, err)
 *
 * Functions hold no state and are safe from every thread. Errors are those of the protocol itself; the door words them as the service called does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/http_message.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/error.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

enum {
	SIGV4_SKEW_SECONDS = 15 * 60,      /* how far the client's clock may be off */
	SIGV4_EXPIRES_MAX = 7 * 24 * 3600, /* of a presigned request */
	SIGV4_SIGNED_HEADERS_MAX = 100,
};

/* What a signed request claims. Texts lie in the arena given to sigv4_parse. */
struct sigv4_signature {
	bool presigned;
	const char *access_key_id;
	const char *date; /* of the scope: "20261121" */
	const char *region;
	const char *service;
	const char *timestamp;      /* "20261121T070000Z" */
	int64_t signed_ms;          /* the same, since the epoch */
	int64_t expires_s;          /* presigned only */
	const char *security_token; /* of temporary credentials; NULL: none */
	char **signed_headers;      /* lower case, in the order given */
	size_t signed_header_count;
	struct digest mac;
};

/* Whether the client may leave the body out of the signature, as AWS allows for uploads. */
enum sigv4_payload { SIGV4_PAYLOAD_SIGNED, SIGV4_PAYLOAD_MAY_BE_UNSIGNED };

/* Whether the request carries a signature in either form, however malformed. */
bool sigv4_is_present(const struct http_request *http);
/* Reads the claims. ERROR_INCOMPLETE_SIGNATURE names the part that is missing or malformed. */
int sigv4_parse(const struct http_request *http, struct arena *arena, struct sigv4_signature *signature,
	struct error *err);
/* ERROR_REQUEST_EXPIRED if it was signed too long ago, or is dated in the future, by more than SIGV4_SKEW_SECONDS or its own time of expiry. */
int sigv4_check_time(const struct sigv4_signature *signature, int64_t now_ms, struct error *err);
/*
 * Whether the request as received was signed with `secret`: method, path, query, signed headers and body. Takes the same time wherever the first wrong byte of a signature is.
 * ERROR_SIGNATURE_MISMATCH, also when an x-amz- header is not signed.
 */
int sigv4_verify(const struct sigv4_signature *signature, const struct http_request *http, const char *secret,
	enum sigv4_payload payload, struct arena *arena, struct error *err);
