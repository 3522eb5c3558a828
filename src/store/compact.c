/*
 * Compaction: packs of which most is dead are emptied and removed.
 *
 * What is dead was punched when it was collected, as far as whole pages went. What is left of it lies between live objects: pages of 4 KiB in which anything lives, in packs of pages and roots, and
 * everything where a file system knows no holes. A pack is worth emptying when less than half of what it takes on the disk is alive, or, of a long one, a sixteenth of its length. The emptiest go
 * first, by the mover; a pack is removed when the index says that nothing lies in it.
 *
 * Only packs to which nothing is appended any more are touched: they are listed while no put is under way. One that is appended to but worth emptying gets a successor first.
 * One compaction, collection or check at a time (maintenance lock); everything else goes on beside it.
 */
#include "store/compact.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "store/mover.h"
#include "base/banned.h"

enum { MOVES_LIMIT = 65536, LEAST_GAIN = 1 << 20, SCATTERED_LENGTH = 1 << 30 };

struct pack_use {
	uint32_t number;
	uint64_t live;  /* objects */
	uint64_t bytes; /* theirs, on disk */
	uint64_t length, allocated;
};

struct compaction {
	struct store *store;
	struct mover *mover;
	struct pack_use *packs; /* complete ones, by number */
	uint32_t count;
	struct pack_use *emptied; /* by the scan that runs */
	uint64_t limit;
	uint64_t moves;
	struct store_compact_result *result;
};

/* All packs but those of the positions (NULL: really all). */
static void list_packs(struct compaction *compaction, const struct index_position *appended_to)
{
	uint32_t *numbers, count;
	packs_list(compaction->store->packs, &numbers, &count);
	free(compaction->packs);
	compaction->packs = memory_alloc((count + 1) * sizeof *compaction->packs);
	compaction->count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (!appended_to ||
			(numbers[i] != appended_to[PACK_BLOCKS].pack &&
				numbers[i] != appended_to[PACK_SMALL].pack))
			compaction->packs[compaction->count++] = (struct pack_use){ .number = numbers[i] };
	free(numbers);
}

/* The packs to which nothing is appended any more. */
static void list_complete(struct compaction *compaction)
{
	struct store *store = compaction->store;
	struct index_position positions[PACK_CLASS_COUNT];
	/* no put is under way: what will be appended from now on goes to these two, or to packs that are yet to be made */
	pthread_rwlock_wrlock(&store->quiet);
	packs_positions(store->packs, positions);
	list_packs(compaction, positions);
	pthread_rwlock_unlock(&store->quiet);
}

static int compare_number(const void *key, const void *item)
{
	uint32_t number = *(const uint32_t *)key;
	const struct pack_use *use = item;
	return (number > use->number) - (number < use->number);
}

static void count_live(struct compaction *compaction)
{
	struct index *index = compaction->store->index;
	struct index_entry entry;
	for (uint64_t slot = 0; compaction->count && slot < index_slot_count(index); slot++) {
		if (!index_read_slot(index, slot, &entry))
			continue;
		struct pack_use *use = bsearch(&entry.pack, compaction->packs, compaction->count,
			sizeof *compaction->packs, compare_number);
		if (use) {
			use->live++;
			use->bytes += store_entry_bytes(&entry);
		}
	}
}

static int remove_pack(struct compaction *compaction, struct pack_use *use, struct error *err)
{
	bool removed;
	/* before, so that whoever remembers places in it asks for them anew, and lets the file go */
	index_advance_epoch(compaction->store->index);
	if (packs_remove(compaction->store->packs, use->number, &removed, err))
		return -1;
	if (removed) {
		compaction->result->packs_removed++;
		compaction->result->bytes_freed += use->allocated;
	}
	return 0;
}

/* Whether the pack could be measured: one without a file, or with a damaged header, is no reason to stop. */
static bool measure(struct compaction *compaction, struct pack_use *use)
{
	struct error found;
	return !packs_measure(compaction->store->packs, use->number, &use->length, &use->allocated, &found);
}

static int remove_empty(struct compaction *compaction, struct error *err)
{
	for (uint32_t i = 0; i < compaction->count; i++) {
		struct pack_use *use = &compaction->packs[i];
		if (measure(compaction, use) && !use->live && remove_pack(compaction, use, err))
			return -1;
	}
	return 0;
}

static bool is_worth_it(const struct compaction *compaction, const struct pack_use *use)
{
	bool half_dead = 2 * use->bytes < use->allocated && use->allocated - use->bytes >= LEAST_GAIN;
	bool scattered = 16 * use->bytes < use->length && use->length >= SCATTERED_LENGTH;
	/* the copies come first, and others want to store something meanwhile */
	return use->live && (half_dead || scattered) &&
		packs_available(compaction->store->packs) / 2 > use->bytes;
}

/* A pack that is appended to is complete from now on, if it is worth emptying. */
static int complete_appended(struct compaction *compaction, struct error *err)
{
	struct store *store = compaction->store;
	struct index_position positions[PACK_CLASS_COUNT];
	int result = 0;
	packs_positions(store->packs, positions);
	list_packs(compaction, NULL);
	count_live(compaction);
	for (uint32_t i = 0; !result && i < compaction->count; i++)
		for (int group = 0; !result && group < PACK_CLASS_COUNT; group++)
			if (compaction->packs[i].number == positions[group].pack &&
				measure(compaction, &compaction->packs[i]) &&
				is_worth_it(compaction, &compaction->packs[i])) {
				pthread_rwlock_wrlock(&store->quiet);
				result = packs_begin_new(store->packs, (enum pack_class)group, err);
				pthread_rwlock_unlock(&store->quiet);
			}
	return result;
}

static bool is_full(const struct compaction *compaction)
{
	return compaction->result->bytes_moved + mover_pending(compaction->mover) >= compaction->limit ||
		compaction->moves >= MOVES_LIMIT;
}

static int move_object(void *context, const struct index_entry *found, bool live, struct error *err)
{
	struct compaction *compaction = context;
	struct index_entry entry;
	struct error own_error;
	bool moved;
	if (!live || is_full(compaction) || !index_find(compaction->store->index, &found->digest, &entry) ||
		entry.pack != found->pack || entry.offset != found->offset)
		return 0;
	if (mover_add(compaction->mover, &entry, entry.encoding, &moved, &own_error) == 0) {
		compaction->emptied->live -= moved;
		compaction->moves += moved;
		return 0;
	}
	if (own_error.code != ERROR_CORRUPT) {
		if (err)
			*err = own_error;
		return -1;
	}
	/* it stays, and so does its pack, for whoever wants to see what is left of it */
	log_error("object-corrupt", "message=\"%s\"", own_error.message);
	return 0;
}

static int empty_pack(struct compaction *compaction, struct pack_use *use, struct error *err)
{
	uint64_t end, before = mover_pending(compaction->mover);
	compaction->emptied = use;
	int result = packs_scan(compaction->store->packs, use->number, 0, move_object, compaction, &end, err);
	compaction->result->bytes_moved += mover_pending(compaction->mover) - before;
	/* also after an error: what was copied is good */
	struct error own_error;
	if (mover_switch(compaction->mover, result ? &own_error : err))
		return -1;
	if (!result && !use->live)
		result = remove_pack(compaction, use, err);
	return result;
}

static int compare_bytes(const void *a, const void *b)
{
	uint64_t x = ((const struct pack_use *)a)->bytes, y = ((const struct pack_use *)b)->bytes;
	return (x > y) - (x < y);
}

static int compact(struct compaction *compaction, struct error *err)
{
	if (complete_appended(compaction, err))
		return -1;
	list_complete(compaction);
	count_live(compaction);
	if (remove_empty(compaction, err))
		return -1;
	if (compaction->count)
		qsort(compaction->packs, compaction->count, sizeof *compaction->packs, compare_bytes);
	for (uint32_t i = 0; i < compaction->count; i++) {
		struct pack_use *use = &compaction->packs[i];
		if (!is_worth_it(compaction, use))
			continue;
		if (is_full(compaction)) {
			compaction->result->more = true;
			break;
		}
		uint64_t moves = compaction->moves;
		if (empty_pack(compaction, use, err))
			return -1;
		/* what cannot be moved will not be movable at once */
		compaction->result->more |= use->live && compaction->moves > moves;
	}
	return 0;
}

int store_compact(
	struct store *store, uint64_t limit, struct store_compact_result *result_out, struct error *err)
{
	struct store_compact_result result = { 0 };
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	struct compaction compaction = { .store = store, .limit = limit, .result = &result };
	pthread_mutex_lock(&store->maintenance);
	compaction.mover = mover_create(store, false);
	int failed = store_check_movable(store, err) || compact(&compaction, err) ? -1 : 0;
	mover_destroy(compaction.mover);
	pthread_mutex_unlock(&store->maintenance);
	free(compaction.packs);
	if (result_out)
		*result_out = result;
	return failed;
}

int store_remove_empty_packs(struct store *store, struct error *err)
{
	struct store_compact_result result = { 0 };
	struct compaction compaction = { .store = store, .result = &result };
	list_complete(&compaction);
	count_live(&compaction);
	int failed = remove_empty(&compaction, err);
	free(compaction.packs);
	return failed;
}
