/*
 * The way of a request: route (door_route.c), authenticate (door_authenticate.c), find the operation, decode and check, authorize, DryRun, handler, encode. One log line a request. Holds the HTTP server; what
 * happens to a request happens on its connection's thread, in the arena of the exchange.
 */
#include "aws/door.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "aws/door_internal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "base/banned.h"

enum {
	CONFLICT_TRIES = 16, /* each failed try means that some other call succeeded */
	PEM_MAX = 1024 * 1024,
};

static const struct http_limits default_limits = {
	.connections = 512,
	.header_bytes = 32 * 1024,
	.body_bytes = 1024 * 1024, /* the largest requests are blocks of 512 KiB */
	.idle_seconds = 60,
	.request_seconds = 30,
};

static void undo_all(struct call *call)
{
	for (struct call_undo *entry = call->undo; entry; entry = entry->next)
		entry->undo(call, entry->what);
	call->undo = NULL;
}

/* A handler whose batch met a concurrent change is run again, from a clean result; what has changed may be what the caller's permission rested on, so that is asked again too. */
static int run_handler(struct door_request *request, const void *input, void **output, struct error *err)
{
	const struct operation *operation = request->codec_request.operation;
	const struct shape *shape = operation->shape->output;
	for (int i = 0; i < CONFLICT_TRIES; i++) {
		*output = arena_alloc(request->arena, shape ? shape->size : 1);
		*err = (struct error){ 0 };
		if (i > 0 && request->door->config.authorize(&request->call, input, err) < 0)
			return -1;
		if (operation->handler(&request->call, input, *output, err) == 0)
			return 0;
		undo_all(&request->call);
		if (err->code != ERROR_CONFLICT)
			return -1;
	}
	return error_set(
		err, ERROR_UNAVAILABLE, "Too many concurrent changes of the same resources; try again.");
}

static int answer_operation(struct door_request *request, struct http_response *response, struct error *err)
{
	const struct codec *codec = codec_of(request->service->protocol);
	struct codec_request *codec_request = &request->codec_request;
	void *input, *output;
	if (codec->route(request->service, request->http, request->arena, codec_request, err) < 0)
		return -1;
	request->call.operation = codec_request->operation;
	request->call.service = request->service;
	if (codec->decode(codec_request, &input, err) < 0)
		return -1;
	request->input = input;
	if (request->door->config.authorize(&request->call, input, err) < 0)
		return -1;
	/* services of the json protocol tell of it themselves: what may be done with a key is known when it has been read */
	if (request->service->protocol != PROTOCOL_JSON &&
		codec_wants_dry_run(codec_request->operation, input))
		return error_set(err, ERROR_DRY_RUN, "Request would have succeeded, but DryRun flag is set.");
	const struct door_config *config = &request->door->config;
	if ((config->admit && config->admit(config->record_context, &request->call, err) < 0) ||
		run_handler(request, input, &output, err) < 0)
		return -1;
	request->output = output;
	codec->encode(codec_request, output, request->call.request_id, response);
	return 0;
}

static int answer_extra(struct door_request *request, struct http_response *response, struct error *err)
{
	const struct door_config *config = &request->door->config;
	if (!config->extra)
		return error_set(
			err, ERROR_UNKNOWN_OPERATION, "There is nothing at %.100s.", request->http->path);
	if ((request->signature || config->auth_any) && door_authenticate(request, err) < 0)
		return -1;
	/* whatever is recorded afterwards: see record() */
	if (config->admit && strcmp(request->http->method, "GET") != 0 &&
		config->admit(config->record_context, &request->call, err) < 0)
		return -1;
	return config->extra(config->extra_context, &request->call, request->http, response, err);
}

static int answer(struct door_request *request, const struct error *refused, struct http_response *response,
	struct error *err)
{
	bool extra = text_starts_with(request->http->path, "/_amid/");
	int routed = door_route_request(request, extra, err);
	if (refused) {
		*err = *refused;
		return -1;
	}
	if (routed < 0)
		return -1;
	if (extra)
		return answer_extra(request, response, err);
	if (door_authenticate(request, err) < 0)
		return -1;
	return answer_operation(request, response, err);
}

/* Inner failures are for the log; the client gets the id to find them by. */
static void answer_error(struct door_request *request, struct error *err, struct http_response *response)
{
	if (err->code == ERROR_NONE || err->code == ERROR_INTERNAL) {
		log_error("call-failed", "message=\"%s\"", err->message);
		error_set(err, ERROR_INTERNAL,
			"An internal error has occurred; the server's log tells more about request %s.",
			request->call.request_id);
	}
	buffer_free(&response->body);
	*response = (struct http_response){ 0 };
	codec_of(request->service->protocol)
		->encode_error(request->service, err, request->call.request_id, request->arena, response);
}

/* What could not be recorded was not answered. Which operation is meant is looked up for those who were not let in, too. */
static int record(
	struct door_request *request, const struct error *failed, int64_t begun_ms, struct error *err)
{
	const struct door_config *config = &request->door->config;
	struct call *call = &request->call;
	bool extra = text_starts_with(request->http->path, "/_amid/");
	if (!config->record ||
		(extra ? strcmp(request->http->method, "GET") == 0 : !request->service->api_version))
		return 0;
	if (!extra && !call->operation &&
		codec_of(request->service->protocol)
				->route(request->service, request->http, request->arena,
					&request->codec_request, NULL) == 0)
		call->operation = request->codec_request.operation;
	call->service = extra ? NULL : request->service;
	const struct door_outcome outcome = {
		.call = call,
		.http = request->http,
		.input = request->input,
		.output = request->output,
		.err = failed,
		.claimed_key = request->signature ? request->signature->access_key_id : NULL,
		.claimed_account = request->claimed_account,
		.begun_ms = begun_ms,
	};
	return config->record(config->record_context, &outcome, err);
}

static void log_call(const struct door_request *request, const struct http_response *response,
	enum error_code code, int64_t ms)
{
	const struct operation *operation = request->codec_request.operation;
	log_info("call", "service=%s operation=%s account=%s region=%s status=%d code=%s ms=%lld peer=%s",
		request->service->name, operation ? operation->shape->name : "-",
		request->call.account ? request->call.account : "-", request->call.region, response->status,
		code ? error_aws_code(code) : "-", (long long)ms, request->call.source_ip);
}

void door_serve(void *context, struct http_exchange *exchange)
{
	int64_t start_ms = clock_monotonic_ms(), begun_ms = clock_now_ms();
	struct door *door = context;
	struct door_request request = {
		.door = door,
		.http = &exchange->request,
		.arena = exchange->arena,
		.call = { .amid = door->config.amid,
			.arena = exchange->arena,
			.source_ip = exchange->peer,
			.user_agent = http_request_header(&exchange->request, "User-Agent"),
			.referer = http_request_header(&exchange->request, "Referer"),
			.secure = door->certificate != NULL,
			.host = http_request_header(&exchange->request, "Host") },
	};
	struct error err = { 0 };
	char log_context[64];
	text_uuid(request.call.request_id);
	snprintf(log_context, sizeof log_context, "request=%s", request.call.request_id);
	log_set_context(log_context);
	bool failed = answer(&request, exchange->refused, &exchange->response, &err) < 0;
	if (failed)
		answer_error(&request, &err, &exchange->response);
	struct error unrecorded = { 0 };
	if (record(&request, failed ? &err : NULL, begun_ms, &unrecorded) < 0) {
		failed = true;
		err = unrecorded;
		answer_error(&request, &err, &exchange->response);
	}
	http_response_add_header(&exchange->response, exchange->arena, "x-amzn-RequestId",
		arena_strdup(exchange->arena, request.call.request_id));
	log_call(&request, &exchange->response, failed ? err.code : ERROR_NONE,
		clock_monotonic_ms() - start_ms);
	log_set_context(NULL);
}

static void take_default(struct http_limits *limits)
{
	if (!limits->connections)
		limits->connections = default_limits.connections;
	if (!limits->header_bytes)
		limits->header_bytes = default_limits.header_bytes;
	if (!limits->body_bytes)
		limits->body_bytes = default_limits.body_bytes;
	if (!limits->idle_seconds)
		limits->idle_seconds = default_limits.idle_seconds;
	if (!limits->request_seconds)
		limits->request_seconds = default_limits.request_seconds;
}

/* The key stays in memory as long as the library may need it, but not in the scratch it was read through. */
static int read_pem(const char *path, char **text, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *data;
	size_t size;
	if (file_read(path, PEM_MAX, scratch, &data, &size, err) < 0)
		return -1;
	*text = memory_strdup(data);
	OPENSSL_cleanse(data, size);
	return 0;
}

static int start(struct door *door, struct error *err)
{
	struct door_config *config = &door->config;
	if (!config->tls_certificate != !config->tls_key)
		return error_set(err, ERROR_INVALID, "TLS needs both a certificate and a key");
	if (config->tls_certificate &&
		(read_pem(config->tls_certificate, &door->certificate, err) < 0 ||
			read_pem(config->tls_key, &door->key, err) < 0))
		return -1;
	struct http_server_config server = {
		.handle = door_serve,
		.threads = true,
		.limits = config->limits,
		.tls_certificate = door->certificate,
		.tls_key = door->key,
	};
	int fd;
	char bound[HTTP_ADDRESS_SIZE];
	struct http_listener *listener; /* closed with the server */
	if (http_server_open(&server, &door->server, err) < 0 ||
		http_listen(config->listen, &fd, bound, err) < 0)
		return -1;
	struct buffer endpoint BUFFER_SCOPED = { 0 };
	buffer_printf(&endpoint, "%s://%s", door->certificate ? "https" : "http", bound);
	door->endpoint = memory_strdup(endpoint.data);
	return http_listener_open(door->server, fd, door, &listener, err);
}

int door_open(const struct door_config *config, struct door **door, struct error *err)
{
	assert(config->regions[0] && config->lookup && config->authorize);
	struct door *made = memory_alloc(sizeof *made);
	*made = (struct door){ .config = *config };
	take_default(&made->config.limits);
	if (start(made, err) < 0) {
		door_close(made);
		return -1;
	}
	*door = made;
	return 0;
}

const char *door_endpoint(const struct door *door)
{
	return door->endpoint;
}

void door_close(struct door *door)
{
	if (!door)
		return;
	http_server_close(door->server);
	if (door->key)
		OPENSSL_cleanse(door->key, strlen(door->key));
	free(door->key);
	free(door->certificate);
	free(door->endpoint);
	free(door);
}
