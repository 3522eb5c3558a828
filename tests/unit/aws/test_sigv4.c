/* Signatures: the ones AWS publishes for its example key, others that botocore made for the same key and time, and what must not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aws/sigv4.h"
#include "raw_request.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define CREDENTIAL(service) \
	"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" service "/aws4_" \
	"request, "
#define HOST "Host: example.amazonaws.com\n"
#define DATE "X-Amz-Date: 20150830T123600Z\n"

static const int64_t signed_ms = 1440938160000; /* 2015-08-30T12:36:00Z */

static enum error_code check(const char *text, size_t size, enum sigv4_payload payload, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct http_request http;
	struct sigv4_signature signature;
	*err = (struct error){ 0 };
	assert_int_equal(raw_request(arena, text, size, &http), 0);
	assert_true(sigv4_is_present(&http));
	if (sigv4_parse(&http, arena, &signature, err) == 0)
		sigv4_verify(&signature, &http, SECRET, payload, arena, err);
	return err->code;
}

static enum error_code check_text(const char *text)
{
	struct error err;
	return check(text, strlen(text), SIGV4_PAYLOAD_SIGNED, &err);
}

#define ALL_SIGNED "SignedHeaders=host;x-amz-date, Signature="

static void accepts_the_published_examples(void **state)
{
	static const char *const requests[] = {
		"GET /\n" HOST DATE CREDENTIAL("service") ALL_SIGNED
		"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		"GET /?Param2=value2&Param1=value1\n" HOST DATE CREDENTIAL("service") ALL_SIGNED
		"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		"GET /?Action=ListUsers&Version=2010-05-08\nHost: iam.amazonaws.com\n" DATE
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8\n" CREDENTIAL(
			"iam") "SignedHeaders=content-type;host;x-amz-date, "
			       "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
	};
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		assert_int_equal(check_text(requests[i]), ERROR_NONE);
}

static void signs_the_body(void **state)
{
	static const char form[] =
		"POST /\n" HOST DATE
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8\n" CREDENTIAL(
			"service") "SignedHeaders=content-type;host;x-amz-date, "
				   "Signature="
				   "2f3b42f35f135abf9c562afcbbc44fc03df96dcfd4332ecebad8b39a7d4b6125\n\nParam"
				   "1=value";
	char request[sizeof form + 1];
	snprintf(request, sizeof request, "%s1", form);
	assert_int_equal(check_text(request), ERROR_NONE);
	snprintf(request, sizeof request, "%s2", form);
	assert_int_equal(check_text(request), ERROR_SIGNATURE_MISMATCH);
}

static void takes_the_path_and_query_in_canonical_form(void **state)
{
	static const char tail[] = HOST DATE CREDENTIAL("service") ALL_SIGNED
		"862e389d7c7e19406cf64cba71aaaef9b8f2dab45cb71ce573d8cd379e37f696";
	static const struct {
		const char *target;
		enum error_code code;
	} cases[] = {
		{ "/snapshots/snap%20a%2Fb/./x//blocks/../blocks/1?blockToken=a%2Bb%3D&empty=&A=%C3%A9",
			ERROR_NONE },
		{ "/snapshots/snap%20a%2Fb/x/blocks/1?A=%c3%a9&blockToken=%61%2bb%3D&empty", ERROR_NONE },
		{ "/snapshots/snap%20a%2Fb/x/blocks/1?A=%C3%A9&blockToken=a%20b%3D&empty=",
			ERROR_SIGNATURE_MISMATCH },
		{ "/snapshots/snap%20a/b/x/blocks/1?A=%C3%A9&blockToken=a%2Bb%3D&empty=",
			ERROR_SIGNATURE_MISMATCH },
		{ "/snapshots/snap%20a%2Fb/x/blocks/1/?A=%C3%A9&blockToken=a%2Bb%3D&empty=",
			ERROR_SIGNATURE_MISMATCH },
		{ "/snapshots/snap%20a%2Fb/x/blocks/1?A=%C3%A9&A=&blockToken=a%2Bb%3D&empty=",
			ERROR_SIGNATURE_MISMATCH },
		{ "/snapshots/snap%20a%2Fb/x/blocks/1?A=%C3%A", ERROR_SIGNATURE_MISMATCH },
	};
	char request[1024];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(request, sizeof request, "GET %s\n%s", cases[i].target, tail);
		assert_int_equal(check_text(request), cases[i].code);
	}
}

static void takes_header_values_in_canonical_form(void **state)
{
	static const char tail[] = HOST DATE CREDENTIAL(
		"service") "SignedHeaders=host;x-amz-date;x-amz-padded, "
			   "Signature=c69a086ede0c4ef33aebdde79bff88a91d2615af74352b6936bc6a8e544a974f";
	char request[512];
	snprintf(request, sizeof request, "GET /\nX-AMZ-Padded:   a   b  \n%s", tail);
	assert_int_equal(check_text(request), ERROR_NONE);
	snprintf(request, sizeof request, "GET /\nx-amz-padded: a b\n%s", tail);
	assert_int_equal(check_text(request), ERROR_NONE);
	snprintf(request, sizeof request, "GET /\nx-amz-padded: ab\n%s", tail);
	assert_int_equal(check_text(request), ERROR_SIGNATURE_MISMATCH);
	snprintf(request, sizeof request, "GET /\nx-amz-padded: a\nx-amz-padded: b\n%s", tail);
	assert_int_equal(check_text(request), ERROR_SIGNATURE_MISMATCH);
	assert_int_equal(check_text("GET /\nx-amz-other: 1\n" HOST DATE CREDENTIAL("service") ALL_SIGNED
				 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
		ERROR_SIGNATURE_MISMATCH);
}

#define PRESIGNED \
	"GET /?Action=DescribeRegions&Filter.1.Value=%2A%20~&X-Amz-Algorithm=AWS4-HMAC-SHA256" \
	"&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=" \
	"20150830T123600Z"
#define PRESIGNED_MAC \
	"&X-Amz-SignedHeaders=host" \
	"&X-Amz-Signature=6eb0a9aa48a33bad28d530d9ca238368e2c1e9172f81a3729b68f412e09a430a\n" HOST

static void accepts_presigned_requests(void **state)
{
	assert_int_equal(check_text(PRESIGNED "&X-Amz-Expires=900" PRESIGNED_MAC), ERROR_NONE);
	assert_int_equal(check_text(PRESIGNED "&X-Amz-Expires=901" PRESIGNED_MAC), ERROR_SIGNATURE_MISMATCH);
	assert_int_equal(
		check_text(PRESIGNED "&X-Amz-Expires=604801" PRESIGNED_MAC), ERROR_INCOMPLETE_SIGNATURE);
	assert_int_equal(check_text(PRESIGNED "&X-Amz-Expires=0" PRESIGNED_MAC), ERROR_INCOMPLETE_SIGNATURE);
	assert_int_equal(check_text(PRESIGNED PRESIGNED_MAC), ERROR_INCOMPLETE_SIGNATURE);
}

#define BLOCK \
	"PUT /snapshots/s/blocks/0\nx-amz-Checksum: abc=\nX-Amz-Security-Token: TOKEN\n" HOST DATE \
		CREDENTIAL("ebs") "SignedHeaders=host;x-amz-checksum;x-amz-date;x-amz-security-token, " \
				  "Signature=" \
				  "8be6019c9fa61b0a4ba0e8917246ce0a916dc65d1e950ca5759d7494e985da14\n"

static void takes_binary_bodies_and_their_claimed_digest_only_if_true(void **state)
{
	struct error err;
	static const char request[] = BLOCK "\n\0\1\2";
	assert_int_equal(check(request, sizeof request - 1, SIGV4_PAYLOAD_SIGNED, &err), ERROR_NONE);
	assert_int_equal(
		check(request, sizeof request - 2, SIGV4_PAYLOAD_SIGNED, &err), ERROR_SIGNATURE_MISMATCH);
	static const char claim[] =
		"POST /\nx-amz-content-sha256: "
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n" HOST DATE CREDENTIAL(
			"service") "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
				   "Signature="
				   "23d9f767c2ba83120dadb120d165678fd16708427ac62dcaa596fd0ef0f2f29a\n\n";
	char text[1024];
	snprintf(text, sizeof text, "%sabc", claim);
	assert_int_equal(check_text(text), ERROR_NONE);
	snprintf(text, sizeof text, "%sabd", claim);
	assert_int_equal(check_text(text), ERROR_SIGNATURE_MISMATCH);
}

static void takes_unsigned_payloads_only_where_allowed(void **state)
{
	struct error err;
	static const char request[] = "GET /\nx-amz-content-sha256: UNSIGNED-PAYLOAD\n" HOST DATE CREDENTIAL(
		"service") "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
			   "Signature="
			   "9b02fb7b5d0076fa47a0adda28c71e74ba4588334bc0139b8cd6bb87f16afe16\n\nany body";
	assert_int_equal(
		check(request, sizeof request - 1, SIGV4_PAYLOAD_SIGNED, &err), ERROR_SIGNATURE_MISMATCH);
	assert_int_equal(check(request, sizeof request - 1, SIGV4_PAYLOAD_MAY_BE_UNSIGNED, &err), ERROR_NONE);
}

static void wrong_secret_or_scope_does_not_match(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	static const char text[] = "GET /\n" HOST DATE CREDENTIAL("service") ALL_SIGNED
		"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
	struct http_request http;
	struct sigv4_signature signature;
	struct error err = { 0 };
	assert_int_equal(raw_request(arena, text, sizeof text - 1, &http), 0);
	assert_int_equal(sigv4_parse(&http, arena, &signature, &err), 0);
	assert_string_equal(signature.access_key_id, "AKIDEXAMPLE");
	assert_string_equal(signature.region, "us-east-1");
	assert_string_equal(signature.service, "service");
	assert_null(signature.security_token);
	assert_int_equal(signature.signed_ms, signed_ms);
	assert_int_equal(sigv4_verify(&signature, &http, SECRET, SIGV4_PAYLOAD_SIGNED, arena, &err), 0);
	assert_int_equal(sigv4_verify(&signature, &http, SECRET "x", SIGV4_PAYLOAD_SIGNED, arena, &err), -1);
	assert_int_equal(err.code, ERROR_SIGNATURE_MISMATCH);
	struct sigv4_signature other = signature;
	other.region = "us-west-2";
	assert_int_equal(sigv4_verify(&other, &http, SECRET, SIGV4_PAYLOAD_SIGNED, arena, &err), -1);
	other = signature;
	other.service = "ec2";
	assert_int_equal(sigv4_verify(&other, &http, SECRET, SIGV4_PAYLOAD_SIGNED, arena, &err), -1);
	other = signature;
	other.mac.bytes[31] ^= 1;
	assert_int_equal(sigv4_verify(&other, &http, SECRET, SIGV4_PAYLOAD_SIGNED, arena, &err), -1);
}

static void keeps_to_the_clock(void **state)
{
	struct sigv4_signature signature = { .timestamp = "20150830T123600Z", .signed_ms = signed_ms };
	const int64_t skew_ms = SIGV4_SKEW_SECONDS * 1000;
	struct error err = { 0 };
	assert_int_equal(sigv4_check_time(&signature, signed_ms + skew_ms, &err), 0);
	assert_int_equal(sigv4_check_time(&signature, signed_ms - skew_ms, &err), 0);
	assert_int_equal(sigv4_check_time(&signature, signed_ms + skew_ms + 1, &err), -1);
	assert_int_equal(err.code, ERROR_REQUEST_EXPIRED);
	assert_int_equal(sigv4_check_time(&signature, signed_ms - skew_ms - 1, &err), -1);
	signature.presigned = true;
	signature.expires_s = 5;
	assert_int_equal(sigv4_check_time(&signature, signed_ms + 5000, &err), 0);
	assert_int_equal(sigv4_check_time(&signature, signed_ms + 5001, &err), -1);
	signature.expires_s = SIGV4_EXPIRES_MAX;
	assert_int_equal(sigv4_check_time(&signature, signed_ms + skew_ms * 100, &err), 0);
	assert_int_equal(sigv4_check_time(&signature, signed_ms - skew_ms - 1, &err), -1);
}

#define MAC "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
#define KEY "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"

static void names_what_is_missing_or_malformed(void **state)
{
	static const struct {
		const char *headers;
		enum error_code code;
	} cases[] = {
		{ DATE "Authorization: Bearer abc\n", ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256\n", ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256X " KEY ",SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 " KEY "," MAC "\n", ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 " KEY "," KEY ",SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 "
		       "Credential=A/20150830/us-east-1/aws4_request,SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 "
		       "Credential=/20150830/r/s/aws4_request,SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 " KEY ",SignedHeaders=Host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ DATE "Authorization: AWS4-HMAC-SHA256 " KEY ",SignedHeaders=host,Signature=5fa0\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ "Authorization: AWS4-HMAC-SHA256 " KEY ",SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ "X-Amz-Date: 20150230T123600Z\nAuthorization: AWS4-HMAC-SHA256 " KEY
		  ",SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ "X-Amz-Date: Sun, 30 Aug 2015 12:36:00 GMT\nAuthorization: AWS4-HMAC-SHA256 " KEY
		  ",SignedHeaders=host," MAC "\n",
			ERROR_INCOMPLETE_SIGNATURE },
		{ "X-Amz-Date: 20150831T003600Z\nAuthorization: AWS4-HMAC-SHA256 " KEY
		  ",SignedHeaders=host," MAC "\n",
			ERROR_SIGNATURE_MISMATCH },
		{ DATE "Authorization: AWS4-HMAC-SHA256 " KEY ",SignedHeaders=x-amz-date," MAC "\n",
			ERROR_SIGNATURE_MISMATCH },
		{ DATE "Authorization: AWS4-HMAC-SHA256 " KEY ",SignedHeaders=host;x-gone;x-amz-date," MAC
		       "\n",
			ERROR_SIGNATURE_MISMATCH },
	};
	char request[1024];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(request, sizeof request, "GET /\n" HOST "%s", cases[i].headers);
		assert_int_equal(check_text(request), cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_the_published_examples),
		cmocka_unit_test(signs_the_body),
		cmocka_unit_test(takes_the_path_and_query_in_canonical_form),
		cmocka_unit_test(takes_header_values_in_canonical_form),
		cmocka_unit_test(accepts_presigned_requests),
		cmocka_unit_test(takes_binary_bodies_and_their_claimed_digest_only_if_true),
		cmocka_unit_test(takes_unsigned_payloads_only_where_allowed),
		cmocka_unit_test(wrong_secret_or_scope_does_not_match),
		cmocka_unit_test(keeps_to_the_clock),
		cmocka_unit_test(names_what_is_missing_or_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
