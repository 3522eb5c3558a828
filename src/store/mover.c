/*
 * Moving in batches, each: copies appended; synced; the index marked `collecting`; each object's entry switched to its copy under the digest's stripe; the old headers marked dead and synced;
 * the epoch advanced; the old places punched, if at all; the index synced and the mark taken away.
 *
 * A crash before the mark leaves copies behind the checkpoint that the index does not know: recovery marks them dead. A crash under the mark has the index made again from the headers, of which
 * one of two live ones is kept: both are whole, as an old place is punched only when its header is durably dead and its copy durable. Readers are told by the epoch, see index_moves.c.
 */
#include "store/mover.h"

#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "store/encoding.h"
#include "base/banned.h"

struct move {
	struct index_entry from, to;
};

struct mover {
	struct store *store;
	bool punch;
	struct move *moves;
	size_t count, capacity;
	uint64_t pending;
	uint8_t *plain, *stored;
};

struct mover *mover_create(struct store *store, bool punch)
{
	struct mover *mover = memory_alloc(sizeof *mover);
	*mover = (struct mover){ .store = store,
		.punch = punch,
		.plain = memory_alloc(STORE_BLOCK_SIZE),
		.stored = memory_alloc(STORE_BLOCK_SIZE) };
	return mover;
}

void mover_destroy(struct mover *mover)
{
	struct error err;
	if (!mover)
		return;
	for (size_t i = 0; i < mover->count; i++)
		if (packs_mark_dead(mover->store->packs, &mover->moves[i].to, &err)) {
			/* no harm: recovery, or the compaction of that pack, does it some day */
			log_warning("copy-left", "message=\"%s\"", err.message);
			break;
		}
	free(mover->moves);
	free(mover->plain);
	free(mover->stored);
	free(mover);
}

uint64_t mover_pending(const struct mover *mover)
{
	return mover->pending;
}

/* The bytes that go to the new place: 1, or 0 if the object had better stay as it is. */
static int prepare(struct mover *mover, const struct index_entry *object, uint8_t encoding,
	struct object_header *header, const uint8_t **payload, struct error *err)
{
	/* always verified, whatever is copied: a damaged object keeps its place, and its damage is not spread */
	if (store_read_stored(mover->store, object, mover->stored, mover->plain, err))
		return -1;
	*header = (struct object_header){ .kind = object->kind,
		.encoding = encoding,
		.state = OBJECT_LIVE,
		.size = object->size,
		.stored_size = object->size,
		.digest = object->digest };
	*payload = mover->plain;
	if (encoding == ENCODING_PLAIN)
		return 1;
	if (object->encoding == encoding)
		header->stored_size = object->stored_size;
	else
		header->stored_size = (uint32_t)encoding_compress(mover->plain, object->size, mover->stored);
	*payload = mover->stored;
	return header->stored_size > 0;
}

int mover_add(struct mover *mover, const struct index_entry *object, uint8_t encoding, bool *moved,
	struct error *err)
{
	struct object_header header;
	const uint8_t *payload;
	if (mover->count == mover->capacity) {
		mover->capacity = mover->capacity ? 2 * mover->capacity : 256;
		mover->moves = memory_realloc(mover->moves, mover->capacity * sizeof *mover->moves);
	}
	struct move *move = &mover->moves[mover->count];
	int worth = prepare(mover, object, encoding, &header, &payload, err);
	*moved = worth > 0;
	if (worth <= 0)
		return worth;
	if (packs_append(mover->store->packs, &header, payload, PACKS_CACHED, &move->to, err))
		return -1;
	move->from = *object;
	mover->count++;
	uint64_t bytes = store_entry_bytes(&move->to);
	mover->pending += bytes;
	atomic_fetch_add(&mover->store->appended, bytes);
	return 0;
}

static void switch_entries(struct mover *mover)
{
	for (size_t i = 0; i < mover->count; i++) {
		struct move *move = &mover->moves[i];
		pthread_mutex_t *stripe = store_stripe(mover->store, &move->from.digest);
		pthread_mutex_lock(stripe);
		/* it does not lie there any more: then the copy is what nobody needs */
		if (!index_move(mover->store->index, &move->from, &move->to))
			move->from = move->to;
		pthread_mutex_unlock(stripe);
	}
}

static int give_up_old(struct mover *mover, struct error *err)
{
	struct packs *packs = mover->store->packs;
	for (size_t i = 0; i < mover->count; i++)
		if (packs_mark_dead(packs, &mover->moves[i].from, err))
			return -1;
	if (store_sync_packs(mover->store, err))
		return -1;
	if (!mover->punch)
		return 0;
	index_advance_epoch(mover->store->index);
	for (size_t i = 0; i < mover->count; i++)
		if (packs_punch(packs, &mover->moves[i].from, 1, err))
			return -1;
	return 0;
}

int mover_switch(struct mover *mover, struct error *err)
{
	struct store *store = mover->store;
	if (!mover->count)
		return 0;
	if (store_sync_packs(store, err) || index_mark_collecting(store->index, true, err))
		return -1;
	switch_entries(mover);
	int result = give_up_old(mover, err);
	mover->count = 0;
	mover->pending = 0;
	/* after a failure the mark stays, and the next opening makes the index again */
	if (result || index_mark_collecting(store->index, false, err))
		return -1;
	store_checkpoint_if_due(store);
	return 0;
}
