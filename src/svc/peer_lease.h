/*
 * Leases: trees of this amid that another one is copying. A lease is a record; as long as it is there the collection keeps its tree (published.h), whatever becomes of the snapshot. It ends when the other amid says so, or when it has not
 * been renewed for PEER_LEASE_MS. Any thread.
 */
#pragma once

#include "api/records.h"
#include "svc/amid.h"

enum { PEER_LEASE_MS = 3600 * 1000 };

/* Into the batch: a new lease of the snapshot's tree, for the peer with that key, on behalf of `account`; `id` NULL: a new one. The batch expects the snapshot as it is. Returns the id. */
const char *peer_lease_put(const struct snapshot_record *snapshot, const char *peer, const char *account,
	const char *id, struct meta_batch *batch, struct arena *arena);
/* *lease NULL: there is none of that id, or it is another peer's. */
int peer_lease_find(struct amid *amid, const char *region, const char *peer, const char *id,
	struct arena *arena, struct peer_lease_record **lease, struct error *err);
/* It holds for PEER_LEASE_MS from now on, more or less: it is not written each time. */
int peer_lease_renew(
	struct amid *amid, struct peer_lease_record *lease, struct arena *arena, struct error *err);
int peer_lease_end(
	struct amid *amid, const struct peer_lease_record *lease, struct arena *arena, struct error *err);
/* A controller: forgets the lease when its time is over. */
int peer_lease_control(void *context, const char *id, int64_t *again_ms, struct error *err);
