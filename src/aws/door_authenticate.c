/*
 * Who calls. A signed request is its access key's owner's, once the signature is found right; with auth_any, one that is not signed, or with a key nobody knows, is DOOR_ANY_ACCOUNT's. A key that is known
 * is verified in either mode. Services word what is wrong differently: that is a table here. No state; runs on the connection's thread.
 */
#include <string.h>

#include "aws/door_internal.h"
#include "base/clock.h"
#include "base/banned.h"

/* What a failure is called by each protocol's services. `message` goes before the detail; NULL: the detail alone. */
static const struct wording {
	enum error_code code;
	struct {
		enum error_code code;
		const char *message;
	} as[5];
} wordings[] = {
	{ ERROR_SIGNATURE_MISMATCH,
		{ [PROTOCOL_EC2] = { ERROR_AUTH_FAILURE,
			  "AWS was not able to validate the provided access credentials" },
			[PROTOCOL_QUERY] = { ERROR_SIGNATURE_MISMATCH, NULL },
			[PROTOCOL_REST_JSON] = { ERROR_INVALID_SIGNATURE_EXCEPTION, NULL },
			[PROTOCOL_JSON] = { ERROR_INVALID_SIGNATURE_EXCEPTION, NULL } } },
	{ ERROR_INVALID_CLIENT_TOKEN_ID,
		{ [PROTOCOL_EC2] = { ERROR_AUTH_FAILURE,
			  "AWS was not able to validate the provided access credentials" },
			[PROTOCOL_QUERY] = { ERROR_INVALID_CLIENT_TOKEN_ID, NULL },
			[PROTOCOL_REST_JSON] = { ERROR_UNRECOGNIZED_CLIENT, NULL },
			[PROTOCOL_JSON] = { ERROR_UNRECOGNIZED_CLIENT, NULL } } },
	{ ERROR_EXPIRED_TOKEN,
		{ [PROTOCOL_EC2] = { ERROR_REQUEST_EXPIRED, "Request has expired" },
			[PROTOCOL_QUERY] = { ERROR_EXPIRED_TOKEN, NULL },
			[PROTOCOL_REST_JSON] = { ERROR_EXPIRED_TOKEN_EXCEPTION, NULL },
			[PROTOCOL_JSON] = { ERROR_EXPIRED_TOKEN_EXCEPTION, NULL } } },
	{ ERROR_REQUEST_EXPIRED,
		{ [PROTOCOL_EC2] = { ERROR_REQUEST_EXPIRED, "Request has expired" },
			[PROTOCOL_QUERY] = { ERROR_SIGNATURE_MISMATCH, NULL },
			[PROTOCOL_REST_JSON] = { ERROR_INVALID_SIGNATURE_EXCEPTION, NULL },
			[PROTOCOL_JSON] = { ERROR_INVALID_SIGNATURE_EXCEPTION, NULL } } },
	{ ERROR_MISSING_AUTH_TOKEN,
		{ [PROTOCOL_EC2] = { ERROR_MISSING_AUTH_TOKEN, NULL },
			[PROTOCOL_QUERY] = { ERROR_MISSING_AUTH_TOKEN, NULL },
			[PROTOCOL_REST_JSON] = { ERROR_MISSING_AUTH_TOKEN_EXCEPTION, NULL },
			[PROTOCOL_JSON] = { ERROR_MISSING_AUTH_TOKEN_EXCEPTION, NULL } } },
	{ ERROR_INCOMPLETE_SIGNATURE,
		{ [PROTOCOL_EC2] = { ERROR_INCOMPLETE_SIGNATURE, NULL },
			[PROTOCOL_QUERY] = { ERROR_INCOMPLETE_SIGNATURE, NULL },
			[PROTOCOL_REST_JSON] = { ERROR_INCOMPLETE_SIGNATURE_EXCEPTION, NULL },
			[PROTOCOL_JSON] = { ERROR_INCOMPLETE_SIGNATURE_EXCEPTION, NULL } } },
};

int door_word_error(const struct door_request *request, struct error *err)
{
	for (size_t i = 0; i < sizeof wordings / sizeof *wordings; i++) {
		if (wordings[i].code != err->code)
			continue;
		err->code = wordings[i].as[request->service->protocol].code;
		const char *message = wordings[i].as[request->service->protocol].message;
		return message ? error_prefix(err, "%s", message) : -1;
	}
	return -1;
}

static void pass_as_any(struct call *call)
{
	static const struct principal any = { .type = PRINCIPAL_ROOT,
		.account = DOOR_ANY_ACCOUNT,
		.arn = "arn:aws:iam::" DOOR_ANY_ACCOUNT ":root",
		.id = DOOR_ANY_ACCOUNT };
	call->account = any.account;
	call->principal = &any;
}

/*
 * AWS lets clients leave the body of an upload out of the signature, which has a checksum of the body among its headers (the
 * handler verifies it); and stock clients do, over plain HTTP too.
 */
static bool is_upload(const struct door_request *request)
{
	const struct service *service = request->service;
	struct codec_request found;
	if (service->protocol != PROTOCOL_REST_JSON || service->operation_count == 0 ||
		codec_of(service->protocol)->route(service, request->http, request->arena, &found, NULL) < 0)
		return false;
	const struct shape *input = found.operation->shape->input;
	for (unsigned i = 0; input && i < input->member_count; i++)
		if (input->members[i].location == LOCATION_PAYLOAD)
			return input->members[i].shape->kind == SHAPE_BLOB;
	return false;
}

static int verify(const struct door_request *request, const struct door_identity *identity, struct error *err)
{
	const struct sigv4_signature *signature = request->signature;
	if (sigv4_check_time(signature, clock_real_ms(), err) < 0)
		return -1;
	return sigv4_verify(signature, request->http, identity->secret,
		is_upload(request) ? SIGV4_PAYLOAD_MAY_BE_UNSIGNED : SIGV4_PAYLOAD_SIGNED, request->arena,
		err);
}

int door_authenticate(struct door_request *request, struct error *err)
{
	const struct door_config *config = &request->door->config;
	struct call *call = &request->call;
	struct door_identity *identity = arena_alloc(request->arena, sizeof *identity);
	if (!request->signature) {
		if (config->auth_any) {
			pass_as_any(call);
			return 0;
		}
		error_set(err, ERROR_MISSING_AUTH_TOKEN, "The request is not signed.");
		return door_word_error(request, err);
	}
	if (config->lookup(config->lookup_context, request->signature->access_key_id,
		    request->signature->security_token, request->arena, identity, err) < 0) {
		if (err->code == ERROR_EXPIRED_TOKEN)
			return door_word_error(request, err);
		if (err->code != ERROR_NOT_FOUND)
			return -1;
		if (config->auth_any) {
			pass_as_any(call);
			return 0;
		}
		error_set(err, ERROR_INVALID_CLIENT_TOKEN_ID,
			"The security token included in the request is invalid.");
		return door_word_error(request, err);
	}
	request->claimed_account = identity->principal.account;
	if (verify(request, identity, err) < 0)
		return door_word_error(request, err);
	call->account = identity->principal.account;
	call->principal = &identity->principal;
	if (config->used)
		config->used(
			config->lookup_context, call->principal, request->signature->service, call->region);
	return 0;
}
