/*
 * What amid answers its peers, POST /_amid/peer/REGION/WHAT with a JSON body (docs/design/peers.md):
 *	snapshot  {"account", "organization", "units", "id"}: what a copy needs of it, and a lease of its tree
 *	image     the same of an image and all its snapshots
 *	lease     {"account", ..., "lease", "snapshot", "root"}: the lease goes on
 *	page      {"lease", "level", "index"}: a page of the leased tree as it is stored; level 0: its root
 *	blocks    {"lease", "indexes": [...]}: some blocks of it, each after its size (4 bytes, little-endian)
 *	release   {"lease"}
 * Nothing else is open to a peer, and this to nobody else.
 */
#pragma once

#include "aws/call.h"
#include "aws/http.h"

#define PEER_PATH "/_amid/peer/"

/* ERROR_ACCESS_DENIED unless the request is signed with the key of a peer. Other errors are in the answer, which is signed. */
int peer_answer(struct call *call, const struct http_request *http, struct http_response *response,
	struct error *err);
