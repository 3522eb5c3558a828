/*
 * The index's part in moving objects: an entry gets another place, and whoever remembers places learns that it happened.
 *
 * A place is one word of a slot, so an object that is copied as it is changes its place by one store. One that is stored in another encoding changes more than a word: it gets a second slot
 * first, and loses the old one then. A lookup without a lock may pass the second slot before it is filled and the first one after it is cleared; `switches` moves in between, and a lookup that
 * missed looks at it and tries again. A crash between the two leaves both slots, each with a place that holds the object; recovery removes one.
 *
 * The epoch is for readers that remember places (src/volume/base.c): it is advanced after the switch and before an old place is punched, removed or closed. So what was read from a place is right
 * if the epoch, loaded after the read, is still the one that was loaded before the place was looked up.
 * Threads: any; of one digest the caller serializes (the store's stripes).
 */
#include <string.h>

#include "store/index_internal.h"
#include "base/banned.h"

void index_set_follower(struct index *index, const struct index_follower *follower)
{
	index->follower = *follower;
}

static bool is_at(const struct index_entry *entry, const struct index_entry *place)
{
	return entry->pack == place->pack && entry->offset == place->offset;
}

/* The live slot of this object at this place, if there is one. The caller holds both locks. */
static bool find_at(struct index *index, const struct index_entry *place, uint64_t *slot)
{
	struct index_entry entry;
	uint64_t at;
	memcpy(&at, place->digest.bytes, sizeof at);
	for (uint64_t n = 0; n < index->capacity; n++, at++) {
		at &= index->capacity - 1;
		if ((atomic_load(&index->slots[at][7]) & SLOT_STATE_MASK) == SLOT_EMPTY)
			return false;
		if (index_read_slot(index, at, &entry) && is_at(&entry, place) &&
			!memcmp(&entry.digest, &place->digest, sizeof entry.digest)) {
			*slot = at;
			return true;
		}
	}
	return false;
}

static void switch_slot(
	struct index *index, uint64_t slot, const struct index_entry *from, const struct index_entry *to)
{
	struct index_entry old, fresh = *to;
	index_read_slot(index, slot, &old);
	fresh.generation = old.generation;
	if (from->encoding == to->encoding && from->stored_size == to->stored_size) {
		atomic_store(&index->slots[slot][4], to->pack | (to->offset / OBJECT_HEADER_SIZE) << 32);
		return;
	}
	uint64_t fresh_slot = index_put_entry(index, &fresh);
	if (index->follower.begin)
		index->follower.shift(index->follower.context, slot, fresh_slot);
	atomic_fetch_add(&index->header->switches, 1);
	index_clear_slot(index, slot, &old);
}

bool index_move(struct index *index, const struct index_entry *from, const struct index_entry *to)
{
	uint64_t slot;
	pthread_rwlock_rdlock(&index->mapping_lock);
	pthread_mutex_lock(&index->insert_lock);
	bool found = find_at(index, from, &slot);
	if (found) {
		index_note_change(index);
		switch_slot(index, slot, from, to);
	}
	pthread_mutex_unlock(&index->insert_lock);
	pthread_rwlock_unlock(&index->mapping_lock);
	return found;
}

bool index_remove_at(struct index *index, const struct index_entry *place)
{
	uint64_t slot;
	struct index_entry entry;
	pthread_rwlock_rdlock(&index->mapping_lock);
	pthread_mutex_lock(&index->insert_lock);
	bool found = find_at(index, place, &slot) && index_read_slot(index, slot, &entry);
	if (found) {
		index_note_change(index);
		index_clear_slot(index, slot, &entry);
	}
	pthread_mutex_unlock(&index->insert_lock);
	pthread_rwlock_unlock(&index->mapping_lock);
	return found;
}

uint64_t index_epoch(struct index *index)
{
	for (;;) {
		pthread_rwlock_rdlock(&index->mapping_lock);
		bool superseded = atomic_load(&index->header->superseded);
		uint64_t epoch = atomic_load(&index->header->epoch);
		pthread_rwlock_unlock(&index->mapping_lock);
		/* the epoch of a file that was replaced stands still */
		if (!superseded || index->writer || !index_follow_replacement(index))
			return epoch;
	}
}

void index_advance_epoch(struct index *index)
{
	pthread_rwlock_rdlock(&index->mapping_lock);
	atomic_fetch_add(&index->header->epoch, 1);
	pthread_rwlock_unlock(&index->mapping_lock);
}

void index_mark_built(struct index *index)
{
	atomic_store(&index->header->building, 0);
}

void index_refresh(struct index *index)
{
	(void)index_follow_replacement(index);
}
