/*
 * Peers: other amids, whose regions things are copied from, and which copy from here. Which there are the operator says (amid_config); nothing is stored. docs/design/peers.md.
 *
 * What peers_find gives lives as long as the peers. Safe from every thread. `peers` may be NULL: there are none.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "svc/amid.h"
#include "svc/peer_sign.h"

enum {
	PEERS_MAX = 32,
	PEER_STEPS_MAX = 2 /* of copies at a time: workers are there for other things, too */
};

struct peer {
	const char *region;
	const char *url;  /* without a slash at its end */
	const char *host; /* "host:port", in it */
	const struct peer_key *key;
};

/* Reads the keys. ERROR_INVALID: a peer has a region of this amid, or one of another peer, a URL that is none, or a key that others may read. */
int peers_open(const struct amid_config *config, struct peers **peers, struct error *err);
/* Whoever waits for a peer waits no more; before the controllers are stopped. */
void peers_stop(struct peers *peers);
void peers_close(struct peers *peers); /* NULL is legal */

/* The peer that has a region; NULL: none. */
const struct peer *peers_find(struct peers *peers, const char *region);
/* The i-th; NULL behind the last. */
const struct peer *peers_item(struct peers *peers, size_t i);
/* The key of that id; NULL: none. */
const struct peer_key *peers_find_key(struct peers *peers, const char *id);
/* Whether requests signed so were not here before. ERROR_ACCESS_DENIED, ERROR_UNAVAILABLE. */
int peers_check_nonce(struct peers *peers, const uint8_t nonce[PEER_NONCE_SIZE], struct error *err);
bool peers_are_stopping(struct peers *peers);
/* When they were opened, by amid's clock: nobody has asked them for anything before. */
int64_t peers_opened_ms(const struct peers *peers);
/* A step of a copy begins, unless there are as many as may be; peers_end_step must follow if it does. */
bool peers_begin_step(struct peers *peers);
void peers_end_step(struct peers *peers);
