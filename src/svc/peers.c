/* The list of peers and their keys, as the command line has them, and the nonces of requests that have come. Made at the start, unchanged since but for the nonces (which have their own lock) and two counters. */
#include "svc/peers.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

struct peers {
	struct peer items[PEERS_MAX];
	size_t count;
	struct peer_key keys[PEERS_MAX];
	size_t key_count;
	struct peer_nonces *nonces;
	int64_t opened_ms;
	atomic_bool stopping;
	atomic_uint steps;
};

static int add_key(struct peers *peers, const char *path, const struct peer_key **result, struct error *err)
{
	struct peer_key key;
	if (peer_key_read(path, &key, err))
		return -1;
	*result = peers_find_key(peers, key.id);
	if (!*result) {
		peers->keys[peers->key_count] = key;
		*result = &peers->keys[peers->key_count++];
	}
	OPENSSL_cleanse(&key, sizeof key);
	return 0;
}

static int set_url(struct peer *peer, const char *url, struct error *err)
{
	size_t size = strlen(url);
	while (size && url[size - 1] == '/')
		size--;
	char *copy = memory_alloc(size + 1);
	memcpy(copy, url, size);
	copy[size] = '\0';
	peer->url = copy;
	const char *host = strstr(copy, "://");
	if (!text_starts_with(copy, "http://") && !text_starts_with(copy, "https://"))
		return error_set(
			err, ERROR_INVALID, "the peer's address %.200s is no http:// or https:// URL", url);
	peer->host = host + strlen("://");
	if (!*peer->host || strpbrk(peer->host, "/?#@ "))
		return error_set(err, ERROR_INVALID,
			"the peer's address %.200s must be a host and a port, nothing else", url);
	return 0;
}

static int add_peer(struct peers *peers, const struct amid_config *config,
	const struct amid_peer_config *wanted, struct error *err)
{
	const struct peer_key *key;
	if (add_key(peers, wanted->key, &key, err))
		return -1;
	if (!wanted->region)
		return 0;
	bool taken = peers_find(peers, wanted->region);
	for (size_t i = 0; config->regions[i]; i++)
		taken |= strcmp(config->regions[i], wanted->region) == 0;
	if (taken)
		return error_set(err, ERROR_INVALID,
			"the region %s cannot be a peer's: it is served here, or another peer has it",
			wanted->region);
	struct peer *peer = &peers->items[peers->count++];
	*peer = (struct peer){ .region = wanted->region, .key = key };
	return set_url(peer, wanted->url, err);
}

int peers_open(const struct amid_config *config, struct peers **result, struct error *err)
{
	*result = NULL;
	if (!config->peer_count)
		return 0;
	if (config->peer_count > PEERS_MAX)
		return error_set(
			err, ERROR_INVALID, "there can be %d peers, not %zu", PEERS_MAX, config->peer_count);
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return error_set(err, ERROR_INTERNAL, "libcurl cannot be initialised");
	struct peers *peers = memory_alloc(sizeof *peers);
	*peers = (struct peers){ .nonces = peer_nonces_create(), .opened_ms = clock_now_ms() };
	for (size_t i = 0; i < config->peer_count; i++)
		if (add_peer(peers, config, &config->peers[i], err)) {
			peers_close(peers);
			return -1;
		}
	*result = peers;
	return 0;
}

void peers_stop(struct peers *peers)
{
	if (peers)
		atomic_store(&peers->stopping, true);
}

void peers_close(struct peers *peers)
{
	if (!peers)
		return;
	for (size_t i = 0; i < peers->count; i++)
		free((char *)peers->items[i].url);
	peer_nonces_destroy(peers->nonces);
	OPENSSL_cleanse(peers->keys, sizeof peers->keys);
	free(peers);
	curl_global_cleanup();
}

const struct peer *peers_find(struct peers *peers, const char *region)
{
	for (size_t i = 0; peers && region && i < peers->count; i++)
		if (strcmp(peers->items[i].region, region) == 0)
			return &peers->items[i];
	return NULL;
}

const struct peer *peers_item(struct peers *peers, size_t i)
{
	return peers && i < peers->count ? &peers->items[i] : NULL;
}

const struct peer_key *peers_find_key(struct peers *peers, const char *id)
{
	for (size_t i = 0; peers && i < peers->key_count; i++)
		if (strcmp(peers->keys[i].id, id) == 0)
			return &peers->keys[i];
	return NULL;
}

int peers_check_nonce(struct peers *peers, const uint8_t nonce[PEER_NONCE_SIZE], struct error *err)
{
	return peer_nonces_check(peers->nonces, nonce, clock_monotonic_ms(), err);
}

bool peers_are_stopping(struct peers *peers)
{
	return atomic_load(&peers->stopping);
}

int64_t peers_opened_ms(const struct peers *peers)
{
	return peers->opened_ms;
}

bool peers_begin_step(struct peers *peers)
{
	if (!peers || atomic_fetch_add(&peers->steps, 1) < PEER_STEPS_MAX)
		return true;
	atomic_fetch_sub(&peers->steps, 1);
	return false;
}

void peers_end_step(struct peers *peers)
{
	if (peers)
		atomic_fetch_sub(&peers->steps, 1);
}
