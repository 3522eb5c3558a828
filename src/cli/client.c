/* The client of client.h over libcurl: one easy handle a connection, so that TCP connections are kept. Secrets stay in this process: no curl option or log line gets them. */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/credentials.h"
#include "cli/sign.h"
#include "base/banned.h"

enum {
	HEADERS_MAX = 16,
	ANSWER_MAX = 16 * 1024 * 1024,
	CONNECT_SECONDS = 10,
	STALL_SECONDS = 120,
	TRIES = 5,
	FIRST_PAUSE_MS = 100, /* doubled with each try */
};

struct client {
	struct arena *arena;
	const char *endpoint; /* without a slash at its end */
	const char *host;     /* as the Host header says it */
	struct sign_credentials credentials;
};

struct client_connection {
	const struct client *client;
	CURL *curl;
	struct buffer answer;
	char reason[CURL_ERROR_SIZE];
};

/* What goes over the wire, once. */
struct exchange {
	const char *service, *method, *path;
	const struct client_pair *headers;
	const void *body;
	size_t body_size;
	struct digest body_digest;
	bool unsigned_body;
};

static int check_endpoint(struct client *client, const char *endpoint, struct error *err)
{
	const char *host = strstr(endpoint, "://");
	if (!host || (!text_starts_with(endpoint, "http://") && !text_starts_with(endpoint, "https://")))
		return error_set(
			err, ERROR_INVALID, "the endpoint %s is no http:// or https:// address", endpoint);
	size_t size = strlen(endpoint);
	while (size && endpoint[size - 1] == '/')
		size--;
	client->endpoint = arena_strndup(client->arena, endpoint, size);
	client->host = strstr(client->endpoint, "://") + 3;
	if (!*client->host || strpbrk(client->host, "/?#@"))
		return error_set(err, ERROR_INVALID,
			"the endpoint %s must be a host and a port, nothing else", endpoint);
	return 0;
}

int client_open(const char *endpoint, struct client **result, struct error *err)
{
	struct arena *arena = arena_create();
	struct client *client = arena_alloc(arena, sizeof *client);
	client->arena = arena;
	if (!endpoint)
		endpoint = getenv("AWS_ENDPOINT_URL");
	if (!endpoint || !*endpoint)
		endpoint = "http://127.0.0.1:4566";
	if (check_endpoint(client, endpoint, err) || credentials_find(arena, &client->credentials, err)) {
		arena_destroy(arena);
		return -1;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		arena_destroy(arena);
		return error_set(err, ERROR_INTERNAL, "libcurl cannot be initialised");
	}
	*result = client;
	return 0;
}

void client_close(struct client *client)
{
	if (!client)
		return;
	arena_destroy(client->arena);
	curl_global_cleanup();
}

const char *client_endpoint(const struct client *client)
{
	return client->endpoint;
}

static size_t take_answer(char *data, size_t one, size_t size, void *context)
{
	struct buffer *answer = context;
	if (answer->size + size > ANSWER_MAX)
		return 0;
	buffer_append(answer, data, size);
	return size;
}

int client_connect(const struct client *client, struct client_connection **result, struct error *err)
{
	struct client_connection *connection = memory_alloc(sizeof *connection);
	*connection = (struct client_connection){ .client = client, .curl = curl_easy_init() };
	CURL *curl = connection->curl;
	if (!curl) {
		free(connection);
		return error_set(err, ERROR_INTERNAL, "libcurl has no handle for us");
	}
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, connection->reason);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &connection->answer);
	const char *bundle = getenv("AWS_CA_BUNDLE");
	if (bundle && *bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
	*result = connection;
	return 0;
}

void client_disconnect(struct client_connection *connection)
{
	if (!connection)
		return;
	curl_easy_cleanup(connection->curl);
	buffer_free(&connection->answer);
	free(connection);
}

static struct curl_slist *add_line(
	struct arena *arena, struct curl_slist *lines, const char *name, const char *value)
{
	struct curl_slist *longer = curl_slist_append(lines, arena_printf(arena, "%s: %s", name, value));
	if (!longer)
		abort(); /* no memory: see arena.h */
	return longer;
}

/* All headers of an exchange, signed. */
static struct curl_slist *make_headers(
	const struct client *client, const struct exchange *exchange, struct arena *arena)
{
	struct sign_header headers[HEADERS_MAX];
	size_t count = 0;
	char hex[2 * DIGEST_SIZE + 1];
	const char *timestamp = sign_timestamp(arena, clock_real_ms());
	headers[count++] = (struct sign_header){ "host", client->host };
	headers[count++] = (struct sign_header){ "x-amz-date", timestamp };
	headers[count++] = (struct sign_header){ "x-amz-content-sha256",
		exchange->unsigned_body ? SIGN_UNSIGNED_BODY
					: text_hex(exchange->body_digest.bytes, DIGEST_SIZE, hex) };
	if (client->credentials.session_token)
		headers[count++] =
			(struct sign_header){ "x-amz-security-token", client->credentials.session_token };
	for (const struct client_pair *pair = exchange->headers; pair && pair->name && count < HEADERS_MAX;
		pair++)
		if (pair->value)
			headers[count++] = (struct sign_header){ pair->name, pair->value };
	const struct sign_request request = { exchange->method, exchange->path, headers, count,
		exchange->unsigned_body ? NULL : &exchange->body_digest, exchange->service };
	struct curl_slist *lines = add_line(arena, NULL, "authorization",
		sign_authorization(arena, &client->credentials, &request, timestamp));
	for (size_t i = 0; i < count; i++)
		lines = add_line(arena, lines, headers[i].name, headers[i].value);
	return curl_slist_append(lines, "Expect:");
}

static int perform(struct client_connection *connection, const struct exchange *exchange, long *status,
	struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	CURL *curl = connection->curl;
	struct curl_slist *lines = make_headers(connection->client, exchange, arena);
	buffer_clear(&connection->answer);
	*connection->reason = '\0';
	curl_easy_setopt(
		curl, CURLOPT_URL, arena_printf(arena, "%s%s", connection->client->endpoint, exchange->path));
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_size);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, exchange->body);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
	CURLcode failed = curl_easy_perform(curl);
	curl_slist_free_all(lines);
	if (failed)
		return error_set(err, ERROR_UNAVAILABLE, "cannot reach %s: %s", connection->client->endpoint,
			*connection->reason ? connection->reason : curl_easy_strerror(failed));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	return 0;
}

static int fail(long status, const char *code, const char *message, struct error *err)
{
	enum error_code kind = status >= 500 && status != 507 ? ERROR_UNAVAILABLE : ERROR_INVALID;
	if (!code)
		return error_set(err, kind, "the service answered with HTTP status %ld", status);
	return error_set(err, kind, "%.100s: %.300s", code, message ? message : "");
}

static int fail_json(struct client_connection *connection, long status, struct error *err)
{
	struct curl_header *type = NULL;
	json_t *body = json_loadb(buffer_text(&connection->answer), connection->answer.size, 0, NULL);
	const char *message = json_string_value(json_object_get(body, "Message"));
	if (!message)
		message = json_string_value(json_object_get(body, "message"));
	if (curl_easy_header(connection->curl, "x-amzn-errortype", 0, CURLH_HEADER, -1, &type))
		type = NULL;
	fail(status, type ? type->value : NULL, message, err);
	json_decref(body);
	return -1;
}

static int fail_xml(struct client_connection *connection, long status, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *xml = buffer_text(&connection->answer);
	return fail(status, client_find_element(arena, xml, "Code"),
		client_find_element(arena, xml, "Message"), err);
}

static int send_once(struct client_connection *connection, const struct exchange *exchange,
	int (*explain)(struct client_connection *, long, struct error *), struct error *err)
{
	long status = 0;
	if (perform(connection, exchange, &status, err))
		return -1;
	return status >= 200 && status < 300 ? 0 : explain(connection, status, err);
}

static int send_call(struct client_connection *connection, const struct exchange *exchange,
	enum client_repeat repeat, int (*explain)(struct client_connection *, long, struct error *),
	struct error *err)
{
	long pause_ms = FIRST_PAUSE_MS;
	for (int i = 1; send_once(connection, exchange, explain, err); i++) {
		if (repeat == CLIENT_ONCE || i == TRIES || err->code != ERROR_UNAVAILABLE)
			return -1;
		nanosleep(
			&(struct timespec){ .tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000 },
			NULL);
		pause_ms *= 2;
	}
	return 0;
}

static void append_encoded(struct buffer *form, const char *text)
{
	for (; *text; text++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *text))
			buffer_append_char(form, *text);
		else
			buffer_printf(form, "%%%02X", (unsigned char)*text);
	}
}

int client_call_ec2(struct client_connection *connection, const char *action,
	const struct client_pair *parameters, enum client_repeat repeat, struct buffer *answer,
	struct error *err)
{
	static const struct client_pair headers[] = {
		{ "content-type", "application/x-www-form-urlencoded; charset=utf-8" }, { 0 }
	};
	struct buffer form BUFFER_SCOPED = { 0 };
	buffer_printf(&form, "Action=%s&Version=2016-11-15", action);
	for (; parameters && parameters->name; parameters++) {
		if (!parameters->value)
			continue;
		buffer_printf(&form, "&%s=", parameters->name);
		append_encoded(&form, parameters->value);
	}
	struct exchange exchange = { .service = "ec2",
		.method = "POST",
		.path = "/",
		.headers = headers,
		.body = form.data,
		.body_size = form.size };
	digest_sha256(form.data, form.size, &exchange.body_digest);
	if (send_call(connection, &exchange, repeat, fail_xml, err))
		return -1;
	buffer_clear(answer);
	buffer_append(answer, connection->answer.data, connection->answer.size);
	return 0;
}

int client_call_rest(struct client_connection *connection, const struct client_rest *rest,
	enum client_repeat repeat, json_t **answer, struct error *err)
{
	struct exchange exchange = { .service = rest->service,
		.method = rest->method,
		.path = rest->path,
		.headers = rest->headers,
		.body = rest->body ? rest->body : "",
		.body_size = rest->body_size };
	exchange.unsigned_body = rest->unsigned_body;
	if (!rest->unsigned_body)
		digest_sha256(exchange.body, exchange.body_size, &exchange.body_digest);
	if (send_call(connection, &exchange, repeat, fail_json, err))
		return -1;
	if (!answer)
		return 0;
	json_error_t why;
	*answer = json_loadb(buffer_text(&connection->answer), connection->answer.size, 0, &why);
	return *answer ? 0 : error_set(err, ERROR_INVALID, "the service's answer is not JSON: %s", why.text);
}

int client_ask(const char *endpoint, const struct client_rest *rest, json_t **answer, struct error *err)
{
	struct client *client;
	struct client_connection *connection = NULL;
	if (client_open(endpoint, &client, err))
		return -1;
	int result = client_connect(client, &connection, err);
	if (result == 0)
		result = client_call_rest(connection, rest, CLIENT_ONCE, answer, err);
	client_disconnect(connection);
	client_close(client);
	return result;
}

int client_print(json_t *answer)
{
	return json_dumpf(answer, stdout, JSON_INDENT(2)) || putchar('\n') == EOF;
}
