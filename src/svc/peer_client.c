/*
 * A request, signed; the answer's signature checked. Each has a connection of its own: there are some MiB in an answer.
 *
 * An error is believed only if it is signed, but for one: who does not have our key cannot sign, and says so with a plain 403.
 */
#include "svc/peer_client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/text.h"
#include "store/store.h"
#include "svc/control/copy_blocks.h"
#include "base/banned.h"

enum {
	ANSWER_MAX = COPY_BATCH * (STORE_BLOCK_SIZE + 4) + 1024 * 1024,
	CONNECT_SECONDS = 5,
	STALL_SECONDS = 15,
	REQUEST_SECONDS = 60,
};

static size_t take_answer(char *data, size_t one, size_t size, void *context)
{
	struct buffer *answer = context;
	(void)one;
	if (answer->size + size > ANSWER_MAX)
		return 0;
	buffer_append(answer, data, size);
	return size;
}

static int watch(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
	(void)total, (void)now, (void)up_total, (void)up;
	return peers_are_stopping(context);
}

static CURL *make_handle(struct peers *peers, struct buffer *answer)
{
	CURL *curl = curl_easy_init();
	if (!curl)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)REQUEST_SECONDS);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, peers);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	const char *bundle = getenv("AWS_CA_BUNDLE");
	if (bundle && *bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
	return curl;
}

static struct curl_slist *add_line(struct curl_slist *lines, const char *line)
{
	struct curl_slist *longer = curl_slist_append(lines, line);
	if (!longer)
		abort(); /* no memory: see arena.h */
	return longer;
}

static struct curl_slist *make_headers(
	const struct peer_key *key, const struct peer_request *request, struct arena *arena)
{
	struct digest mac;
	char hex[2 * DIGEST_SIZE + 1], nonce[2 * PEER_NONCE_SIZE + 1];
	peer_sign_request(key, request, &mac);
	struct curl_slist *lines = add_line(NULL, "content-type: application/json");
	lines = add_line(lines, "Expect:");
	lines = add_line(lines, arena_printf(arena, "x-amid-peer-key: %s", key->id));
	lines = add_line(lines, arena_printf(arena, "x-amid-peer-time: %" PRId64, request->time_ms));
	lines = add_line(lines,
		arena_printf(
			arena, "x-amid-peer-nonce: %s", text_hex(request->nonce, PEER_NONCE_SIZE, nonce)));
	return add_line(
		lines, arena_printf(arena, "x-amid-peer-mac: %s", text_hex(mac.bytes, DIGEST_SIZE, hex)));
}

static bool is_signed(CURL *curl, const struct peer_key *key, const struct peer_request *request, long status,
	const struct buffer *answer)
{
	struct curl_header *header;
	struct digest mac, given;
	if (curl_easy_header(curl, "x-amid-peer-mac", 0, CURLH_HEADER, -1, &header) ||
		text_unhex(header->value, given.bytes, DIGEST_SIZE))
		return false;
	peer_sign_answer(key, request->nonce, (int)status, buffer_text(answer), answer->size, &mac);
	return digest_equal(&mac, &given);
}

/* What the peer itself says. */
static int take_error(const struct peer *peer, long status, const struct buffer *answer, struct error *err)
{
	json_t *said = json_loadb(buffer_text(answer), answer->size, 0, NULL);
	const char *code = json_string_value(json_object_get(said, "code"));
	const char *message = json_string_value(json_object_get(said, "message"));
	enum error_code found = ERROR_UNAVAILABLE;
	for (int i = 1; code && i < ERROR_CODE_COUNT; i++)
		if (strcmp(error_aws_code(i), code) == 0) {
			found = i;
			break;
		}
	if (found == ERROR_INTERNAL || found == ERROR_CONFLICT)
		found = ERROR_UNAVAILABLE;
	error_set(err, found, "%.300s", message ? message : "");
	if (found == ERROR_UNAVAILABLE || found == ERROR_ACCESS_DENIED || found == ERROR_CORRUPT)
		error_prefix(err, "region %s (status %ld)", peer->region, status);
	json_decref(said);
	return -1;
}

static int judge(CURL *curl, const struct peer *peer, const struct peer_request *request,
	const struct buffer *answer, struct error *err)
{
	long status = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (is_signed(curl, peer->key, request, status, answer))
		return status == 200 ? 0 : take_error(peer, status, answer, err);
	if (status == 403)
		return error_set(err, ERROR_ACCESS_DENIED,
			"the peer that has region %s refuses: it does not have our key, or its clock is another",
			peer->region);
	return error_set(err, ERROR_UNAVAILABLE,
		"what answers for region %s (status %ld) has not signed with the peer's key", peer->region,
		status);
}

int peer_send(struct peers *peers, const struct peer *peer, const char *what, const char *body,
	struct buffer *answer, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct peer_request request = { .path = arena_printf(arena, "/_amid/peer/%s/%s", peer->region, what),
		.time_ms = clock_real_ms(),
		.body = body,
		.body_size = strlen(body) };
	CURL *curl = make_handle(peers, answer);
	if (!curl)
		return error_set(err, ERROR_INTERNAL, "libcurl has no handle for us");
	text_random_bytes(request.nonce, sizeof request.nonce);
	struct curl_slist *lines = make_headers(peer->key, &request, arena);
	buffer_clear(answer);
	curl_easy_setopt(curl, CURLOPT_URL, arena_printf(arena, "%s%s", peer->url, request.path));
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request.body_size);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
	CURLcode failed = curl_easy_perform(curl);
	int result = failed ? error_set(err, ERROR_UNAVAILABLE, "cannot reach region %s at %s: %s",
				      peer->region, peer->url, curl_easy_strerror(failed))
			    : judge(curl, peer, &request, answer, err);
	curl_slist_free_all(lines);
	curl_easy_cleanup(curl);
	return result;
}
