/*
 * Signatures between peers: HMAC-SHA-256 under keys derived from the 32 bytes that both have. A request's is over its path, time, nonce and body; an answer's over the request's nonce, its status and body: so who answers has the key,
 * too, and has answered this request. The format: docs/design/peers.md. But for the nonces, which have a lock, there is no state.
 */
#pragma once

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

enum {
	PEER_NONCE_SIZE = 16,
	PEER_SKEW_MS = 5 * 60 * 1000, /* how far the other one's clock may be off */
};

struct peer_key {
	char id[17]; /* says which key it is, and nothing else */
	struct digest request, answer;
};

/* From a file of 32 bytes that nobody else may read. ERROR_INVALID, ERROR_NOT_FOUND. */
int peer_key_read(const char *path, struct peer_key *key, struct error *err);
void peer_key_derive(const uint8_t secret[32], struct peer_key *key);

struct peer_request {
	const char *path;
	int64_t time_ms;
	uint8_t nonce[PEER_NONCE_SIZE];
	const void *body;
	size_t body_size;
};
void peer_sign_request(const struct peer_key *key, const struct peer_request *request, struct digest *mac);
void peer_sign_answer(const struct peer_key *key, const uint8_t nonce[PEER_NONCE_SIZE], int status,
	const void *body, size_t body_size, struct digest *mac);

/* The nonces of the requests whose time has not passed. */
struct peer_nonces;
struct peer_nonces *peer_nonces_create(void);
void peer_nonces_destroy(struct peer_nonces *nonces); /* NULL is legal */
/* Once for every request whose signature and time are right. ERROR_ACCESS_DENIED: it was here before; ERROR_UNAVAILABLE: there are too many. */
int peer_nonces_check(
	struct peer_nonces *nonces, const uint8_t nonce[PEER_NONCE_SIZE], int64_t now_ms, struct error *err);
