/* Lease records: made, renewed, forgotten. No state of its own. */
#include "svc/peer_lease.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/banned.h"

const char *peer_lease_put(const struct snapshot_record *snapshot, const char *peer, const char *account,
	const char *id, struct meta_batch *batch, struct arena *arena)
{
	struct peer_lease_record lease = {
		.record = { .account = account,
			.region = snapshot->record.region,
			.id = id ? id : text_random_id(arena, "lease") },
		.peer = peer,
		.snapshot = snapshot->record.id,
		.root = snapshot->root,
		.expires = some_timestamp(clock_now_ms() + PEER_LEASE_MS),
	};
	meta_batch_expect(batch, &record_snapshot, snapshot); /* its tree is there until this is */
	meta_batch_put(batch, &record_peer_lease, &lease);
	return lease.record.id;
}

int peer_lease_find(struct amid *amid, const char *region, const char *peer, const char *id,
	struct arena *arena, struct peer_lease_record **lease, struct error *err)
{
	if (meta_get_any(amid->meta, &record_peer_lease, region, id, arena, lease, err))
		return -1;
	if (*lease && !text_equal((*lease)->peer, peer))
		*lease = NULL;
	return 0;
}

int peer_lease_renew(
	struct amid *amid, struct peer_lease_record *lease, struct arena *arena, struct error *err)
{
	int64_t now_ms = clock_now_ms();
	if (lease->expires.ms - now_ms > PEER_LEASE_MS / 4 * 3)
		return 0;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	lease->expires = some_timestamp(now_ms + PEER_LEASE_MS);
	meta_batch_put(batch, &record_peer_lease, lease);
	return meta_commit(amid->meta, batch, err);
}

int peer_lease_end(
	struct amid *amid, const struct peer_lease_record *lease, struct arena *arena, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_delete(batch, &record_peer_lease, lease);
	return meta_commit(amid->meta, batch, err);
}

int peer_lease_control(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct amid *amid = context;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct peer_lease_record *lease;
	if (meta_get_any(amid->meta, &record_peer_lease, NULL, id, arena, &lease, err))
		return -1;
	int64_t left_ms = lease ? lease->expires.ms - clock_now_ms() : 0;
	if (left_ms > 0)
		*again_ms = left_ms;
	if (!lease || left_ms > 0)
		return 0;
	if (peer_lease_end(amid, lease, arena, err))
		return -1;
	log_info("peer-lease-expired", "lease=%s snapshot=%s", id, lease->snapshot);
	return 0;
}
