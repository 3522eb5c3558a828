/* Any bytes as a signed request: reading its claims keeps their limits, and nothing is ever found signed with a secret that signed nothing. */
#include <stdlib.h>

#include "../../unit/aws/raw_request.h"
#include "aws/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct http_request http;
	struct sigv4_signature signature;
	struct error err = { 0 };
	if (raw_request(arena, (const char *)data, size, &http) < 0 || !sigv4_is_present(&http))
		return 0;
	if (sigv4_parse(&http, arena, &signature, &err) < 0)
		return err.code == ERROR_INCOMPLETE_SIGNATURE || err.code == ERROR_SIGNATURE_MISMATCH
			? 0
			: (abort(), 0);
	if (signature.signed_header_count > SIGV4_SIGNED_HEADERS_MAX || strlen(signature.timestamp) != 16 ||
		strlen(signature.date) != 8 ||
		(signature.presigned && signature.expires_s > SIGV4_EXPIRES_MAX))
		abort();
	sigv4_check_time(&signature, INT64_C(1440938160000), &err);
	if (sigv4_verify(&signature, &http, "a secret that signed nothing", SIGV4_PAYLOAD_MAY_BE_UNSIGNED,
		    arena, &err) == 0 ||
		err.code != ERROR_SIGNATURE_MISMATCH)
		abort();
	return 0;
}
