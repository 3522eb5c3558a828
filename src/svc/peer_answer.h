/*
 * What amid answers its peers, POST /_amid/peer/REGION/WHAT with a JSON body (docs/design/peers.md):
 *	snapshot  {"account", "organization", "units", "id"}: what a copy needs of it, and a lease of its tree
 *	image     the same of an image and all its snapshots
 *	lease     {"account", ..., "lease", "snapshot", "root"}: the lease goes on
 *	pages     {"lease", "level", "indexes": [...]}: some pages of the leased tree as they are stored, each after its size (4 bytes, little-endian); level 0: its root
 *	blocks    {"lease", "indexes": [...]}: some blocks of it in the same way
 *	release   {"lease"}
 * Nothing else is open to a peer, and this to nobody else.
 */
#pragma once

#include "aws/call.h"
#include "aws/http.h"

#define PEER_PATH "/_amid/peer/"

/* Pages in one answer: a round trip for 2 GiB of disk, and little that comes in vain at the end of a copy's step, which forgets what it has not used. */
enum { PEER_PAGES_MAX = 32 };

/* ERROR_ACCESS_DENIED unless the request is signed with the key of a peer. Other errors are in the answer, which is signed. */
int peer_answer(struct call *call, const struct http_request *http, struct http_response *response,
	struct error *err);
