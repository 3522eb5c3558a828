/* One request to a peer, and its answer, over libcurl. Safe from every thread. */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "svc/peers.h"

/*
 * POST /_amid/peer/REGION/WHAT with a JSON body; *answer (emptied first) gets the body of the answer, once that is known to be the peer's. Errors of peer_ask.h.
 */
int peer_send(struct peers *peers, const struct peer *peer, const char *what, const char *body,
	struct buffer *answer, struct error *err);
