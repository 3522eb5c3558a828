/*
 * The instance metadata service's requests: whose they are, tokens, options, and the answer from the tree.
 *
 * A token (IMDSv2) is EXPIRY-MAC: the MAC, keyed by a secret of this run of amid, is over the expiry and the instance's id; so nothing is stored, and a token is good for its instance only. It ends with the run: guests fetch a new
 * one when theirs is refused, as they must when it expires.
 *
 * Each VPC's listener has one thread.
 */
#include "svc/imds/imds.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/http.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/imds/internal.h"
#include "base/banned.h"

enum { TTL_MAX_SECONDS = 21600 };

/* A VPC's listener, until another replaces it (its namespace was made anew) or the service closes. */
struct place {
	struct place *next;
	struct imds *imds;
	struct http_listener *listener;
	char vpc_id[64];
};

struct imds {
	struct amid *amid;
	struct http_server *server;
	pthread_mutex_t lock; /* of places */
	struct place *places;
	struct imds_roles *roles;
};

static const char *const versions[] = { "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10",
	"2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12",
	"2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28",
	"2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15",
	"2022-09-24", "latest", NULL };

static void answer(struct http_exchange *exchange, int status, const char *data, size_t size)
{
	exchange->response.status = status;
	exchange->response.content_type = "text/plain";
	buffer_append(&exchange->response.body, data, size);
}

static void refuse(struct http_exchange *exchange, int status, const char *text)
{
	answer(exchange, status, text, strlen(text));
}

static void make_mac(struct amid *amid, const char *instance_id, int64_t expiry_ms, char *hex)
{
	char text[96];
	struct digest mac;
	int size = snprintf(text, sizeof text, "imds %lld %s", (long long)expiry_ms, instance_id);
	digest_hmac_sha256(amid->token_key, sizeof amid->token_key, text, (size_t)size, &mac);
	text_hex(mac.bytes, DIGEST_SIZE, hex);
}

/* Constant time over the MAC. Clock: monotonic, so that moving the virtual clock does not cut guests off. */
static bool is_valid_token(struct amid *amid, const char *instance_id, const char *token)
{
	char expected[2 * DIGEST_SIZE + 1];
	struct digest given_mac, expected_mac;
	const char *dash = strchr(token, '-');
	char *end;
	if (!dash)
		return false;
	long long expiry_ms = strtoll(token, &end, 10);
	if (end != dash || text_unhex(dash + 1, given_mac.bytes, DIGEST_SIZE))
		return false;
	make_mac(amid, instance_id, expiry_ms, expected);
	return text_unhex(expected, expected_mac.bytes, DIGEST_SIZE) == 0 &&
		digest_equal(&given_mac, &expected_mac) && expiry_ms > clock_monotonic_ms();
}

/* What the guest hands on to somebody behind it (a container, an open proxy) travels a hop more than to itself. */
static unsigned hop_limit(const struct instance_record *instance)
{
	return instance->metadata ? (unsigned)integer_or(instance->metadata->hop_limit, 1) : 1;
}

static void answer_token(
	struct amid *amid, struct http_exchange *exchange, const struct instance_record *instance)
{
	const char *ttl = http_request_header(&exchange->request, "X-aws-ec2-metadata-token-ttl-seconds");
	int64_t seconds;
	if (http_request_header(&exchange->request, "X-Forwarded-For")) {
		refuse(exchange, 403, "Forbidden");
		return;
	}
	if (!ttl || text_parse_int64(ttl, &seconds) || seconds < 1 || seconds > TTL_MAX_SECONDS) {
		refuse(exchange, 400, "Bad Request");
		return;
	}
	int64_t expiry_ms = clock_monotonic_ms() + seconds * 1000;
	char hex[2 * DIGEST_SIZE + 1];
	make_mac(amid, instance->record.id, expiry_ms, hex);
	char *token = arena_printf(exchange->arena, "%lld-%s", (long long)expiry_ms, hex);
	http_response_add_header(&exchange->response, exchange->arena, "X-aws-ec2-metadata-token-ttl-seconds",
		arena_strdup(exchange->arena, ttl));
	refuse(exchange, 200, token);
}

/* The part of the path behind its version, without slashes at its ends; NULL: no such version. "" at the root of one. */
static const char *strip_version(struct http_exchange *exchange, const char *path)
{
	while (*path == '/')
		path++;
	size_t size = strcspn(path, "/");
	for (size_t i = 0; versions[i]; i++)
		if (strlen(versions[i]) == size && strncmp(versions[i], path, size) == 0) {
			const char *rest = path + size + strspn(path + size, "/");
			size_t length = strlen(rest);
			while (length && rest[length - 1] == '/')
				length--;
			return arena_strndup(exchange->arena, rest, length);
		}
	return NULL;
}

static void answer_versions(struct http_exchange *exchange)
{
	for (size_t i = 0; versions[i]; i++)
		buffer_printf(&exchange->response.body, "%s%s", i ? "\n" : "", versions[i]);
	exchange->response.status = 200;
	exchange->response.content_type = "text/plain";
}

static void answer_failed(
	struct http_exchange *exchange, const struct instance_record *instance, const struct error *err)
{
	log_warning("imds-failed", "instance=%s error=\"%s\"", instance->record.id, err->message);
	refuse(exchange, 500, "Internal Server Error");
}

static void answer_credentials(struct imds *imds, struct http_exchange *exchange,
	const struct instance_record *instance, const char *role)
{
	struct error err;
	const char *document;
	bool token = http_request_header(&exchange->request, "X-aws-ec2-metadata-token");
	if (imds_role_credentials(imds->amid, imds->roles, instance, role, token ? "2.0" : "1.0",
		    exchange->arena, &document, &err))
		answer_failed(exchange, instance, &err);
	else if (!document)
		refuse(exchange, 404, "Not Found");
	else
		refuse(exchange, 200, document);
}

static void answer_path(
	struct imds *imds, struct http_exchange *exchange, const struct instance_record *instance)
{
	struct imds_tree tree;
	struct error err;
	const char *data;
	size_t size;
	char *path = http_percent_decode(
		exchange->arena, exchange->request.path, strlen(exchange->request.path), false);
	if (!path) {
		refuse(exchange, 400, "Bad Request");
		return;
	}
	if (strspn(path, "/") == strlen(path)) {
		answer_versions(exchange);
		return;
	}
	const char *rest = strip_version(exchange, path);
	if (rest && text_starts_with(rest, IMDS_CREDENTIALS)) {
		answer_credentials(imds, exchange, instance, rest + strlen(IMDS_CREDENTIALS));
	} else if (imds_tree_build(imds->amid, instance, exchange->arena, &tree, &err)) {
		answer_failed(exchange, instance, &err);
	} else if (!rest || !imds_tree_find(&tree, rest, exchange->arena, &data, &size)) {
		refuse(exchange, 404, "Not Found");
	} else if (strcmp(rest, "meta-data/public-keys") == 0) {
		refuse(exchange, 200, arena_printf(exchange->arena, "0=%s", instance->key_name));
	} else {
		answer(exchange, 200, data, size);
	}
}

static int find_instance(struct amid *amid, const char *vpc_id, const char *address, struct arena *arena,
	struct instance_record **instance, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "address",
		.value = arena_printf(arena, "%s/%s", vpc_id, address) };
	if (meta_list(amid->meta, &record_instance, &query, arena, &rows, err))
		return -1;
	*instance = rows.count ? rows.items[0] : NULL;
	return 0;
}

static void serve(void *context, struct http_exchange *exchange)
{
	struct place *place = context;
	struct amid *amid = place->imds->amid;
	struct instance_record *instance;
	struct error err;
	const char *method = exchange->request.method;
	if (exchange->refused) {
		refuse(exchange, 413, "Payload Too Large");
		return;
	}
	if (find_instance(amid, place->vpc_id, exchange->peer, exchange->arena, &instance, &err)) {
		refuse(exchange, 500, "Internal Server Error");
		return;
	}
	if (!instance) {
		refuse(exchange, 404, "Not Found");
		return;
	}
	const struct record_metadata_options *options = instance->metadata;
	if (options && text_equal(options->endpoint, "disabled")) {
		refuse(exchange, 403, "Forbidden");
		return;
	}
	if (strcmp(method, "PUT") == 0) {
		exchange->hop_limit = hop_limit(instance);
		if (strcmp(exchange->request.path, "/latest/api/token") == 0)
			answer_token(amid, exchange, instance);
		else
			refuse(exchange, 405, "Not Allowed");
		return;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		refuse(exchange, 405, "Not Allowed");
		return;
	}
	const char *token = http_request_header(&exchange->request, "X-aws-ec2-metadata-token");
	bool required = options && text_equal(options->tokens, "required");
	if (token ? !is_valid_token(amid, instance->record.id, token) : required)
		refuse(exchange, 401, "Unauthorized");
	else
		answer_path(place->imds, exchange, instance);
}

int imds_open(struct amid *amid, struct imds **result, struct error *err)
{
	struct imds *imds = memory_alloc(sizeof *imds);
	imds->amid = amid;
	imds->roles = imds_roles_create();
	pthread_mutex_init(&imds->lock, NULL);
	struct http_server_config config = { .handle = serve,
		.threads = false,
		.limits = { .connections = 64,
			.header_bytes = 8192,
			.body_bytes = 4096,
			.idle_seconds = 10,
			.request_seconds = 5 } };
	if (http_server_open(&config, &imds->server, err)) {
		imds_close(imds);
		return -1;
	}
	*result = imds;
	return 0;
}

void imds_listen(struct imds *imds, const char *vpc_id, int listen_fd)
{
	struct error err;
	struct place *place = memory_alloc(sizeof *place);
	place->imds = imds;
	snprintf(place->vpc_id, sizeof place->vpc_id, "%s", vpc_id);
	if (http_listener_open(imds->server, listen_fd, place, &place->listener, &err)) {
		log_error("imds-listener-failed", "vpc=%s error=\"%s\"", vpc_id, err.message);
		free(place);
		return;
	}
	pthread_mutex_lock(&imds->lock);
	struct place **link = &imds->places;
	while (*link && strcmp((*link)->vpc_id, vpc_id) != 0)
		link = &(*link)->next;
	struct place *earlier = *link;
	place->next = earlier ? earlier->next : NULL;
	*link = place;
	pthread_mutex_unlock(&imds->lock);
	if (earlier) {
		http_listener_close(earlier->listener);
		free(earlier);
	}
}

void imds_close(struct imds *imds)
{
	if (!imds)
		return;
	for (struct place *place = imds->places, *next; place; place = next) {
		next = place->next;
		http_listener_close(place->listener);
		free(place);
	}
	http_server_close(imds->server);
	imds_roles_destroy(imds->roles);
	pthread_mutex_destroy(&imds->lock);
	free(imds);
}
