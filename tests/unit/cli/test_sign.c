/* Signing, checked by the verifying side of the server, and reading credentials. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws/sigv4.h"
#include "cli/client.h"
#include "cli/credentials.h"
#include "cli/sign.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

static const struct sign_credentials credentials = { "AKIDEXAMPLE", SECRET, NULL, "us-east-1" };

/* The server's verdict on a signed request whose body (NULL: which is not signed) is then `received`. */
static int verify_as(
	const char *signed_body, const char *received, const char *secret, enum sigv4_payload payload)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct sigv4_signature signature;
	struct digest digest;
	struct error err;
	if (signed_body)
		digest_sha256(signed_body, strlen(signed_body), &digest);
	const char *timestamp = sign_timestamp(arena, 1795244400000);
	struct sign_header headers[] = { { "x-amz-date", timestamp }, { "host", "127.0.0.1:4566" },
		{ "x-amz-checksum", "abc=" }, { "x-amz-content-sha256", SIGN_UNSIGNED_BODY } };
	const struct sign_request request = { "PUT", "/snapshots/snap-1/blocks/7", headers,
		signed_body ? 3 : 4, signed_body ? &digest : NULL, "ebs" };
	const struct http_header lines[] = { { "Host", "127.0.0.1:4566" }, { "X-Amz-Date", timestamp },
		{ "x-amz-checksum", "abc=" },
		{ "Authorization", sign_authorization(arena, &credentials, &request, timestamp) },
		{ "x-amz-content-sha256", SIGN_UNSIGNED_BODY } };
	const struct http_request http = { .method = "PUT",
		.path = "/snapshots/snap-1/blocks/7",
		.query = "",
		.headers = lines,
		.header_count = signed_body ? 4 : 5,
		.body = received,
		.body_size = strlen(received) };
	assert_int_equal(sigv4_parse(&http, arena, &signature, &err), 0);
	assert_string_equal(signature.access_key_id, "AKIDEXAMPLE");
	assert_string_equal(signature.service, "ebs");
	assert_int_equal(sigv4_check_time(&signature, 1795244400000, &err), 0);
	return sigv4_verify(&signature, &http, secret, payload, arena, &err);
}

static int verify(const char *signed_body, const char *received, const char *secret)
{
	return verify_as(signed_body, received, secret, SIGV4_PAYLOAD_SIGNED);
}

static void the_server_takes_what_is_signed_here(void **state)
{
	(void)state;
	assert_int_equal(verify("body", "body", SECRET), 0);
	assert_int_equal(verify("", "", SECRET), 0);
}

static void the_server_refuses_what_was_changed(void **state)
{
	(void)state;
	assert_int_equal(verify("body", "bodies", SECRET), -1);
	assert_int_equal(verify("body", "body", "another secret"), -1);
}

static void profiles_are_found_in_the_file(void **state)
{
	struct sign_credentials found = { 0 };
	struct error err;
	char text[] =
		"# all\n[other]\naws_access_key_id=X\naws_secret_access_key=Y\n[default]\r\n aws_access_key_id = A\r\naws_secret_access_key= B=C \n;aws_session_token = no\n"
		"[third]\naws_session_token = T\n";
	char again[sizeof text];
	(void)state;
	memcpy(again, text, sizeof text);
	assert_int_equal(credentials_read_profile(text, "default", &found, &err), 0);
	assert_string_equal(found.access_key_id, "A");
	assert_string_equal(found.secret, "B=C");
	assert_null(found.session_token);
	found = (struct sign_credentials){ 0 };
	assert_int_equal(credentials_read_profile(again, "third", &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void elements_are_found_in_any_text(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	(void)state;
	assert_string_equal(
		client_find_element(arena, "<a><imageId>ami-1</imageId></a>", "imageId"), "ami-1");
	assert_string_equal(
		client_find_element(arena, "<m>a &lt;b&gt; &amp;amp; &x;</m>", "m"), "a <b> &amp; &x;");
	assert_string_equal(client_find_element(arena, "<m></m>", "m"), "");
	assert_null(client_find_element(arena, "<m", "m"));
	assert_null(client_find_element(arena, "<m>text", "m"));
	assert_null(client_find_element(arena, "", "m"));
}

static void a_body_may_be_left_out_where_the_service_has_it_so(void **state)
{
	(void)state;
	assert_int_equal(verify_as(NULL, "body", SECRET, SIGV4_PAYLOAD_MAY_BE_UNSIGNED), 0);
	assert_int_equal(verify_as(NULL, "body", "another secret", SIGV4_PAYLOAD_MAY_BE_UNSIGNED), -1);
	assert_int_equal(verify_as(NULL, "body", SECRET, SIGV4_PAYLOAD_SIGNED), -1);
	assert_int_equal(verify_as("body", "body", SECRET, SIGV4_PAYLOAD_MAY_BE_UNSIGNED), 0);
	assert_int_equal(verify_as("body", "bodies", SECRET, SIGV4_PAYLOAD_MAY_BE_UNSIGNED), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_takes_what_is_signed_here),
		cmocka_unit_test(the_server_refuses_what_was_changed),
		cmocka_unit_test(a_body_may_be_left_out_where_the_service_has_it_so),
		cmocka_unit_test(profiles_are_found_in_the_file),
		cmocka_unit_test(elements_are_found_in_any_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
