/*
 * Recovery at opening: the index is brought in line with the packs.
 *
 * Everything before the checkpoint was durable, so headers there are believed. Behind it every object that the index does not have yet is hashed: what fails is a write that never
 * became durable, and is marked dead. After a loss of power, index entries behind the checkpoint count for nothing, as their pages may have been written without the
 * objects they speak of. An index that is missing, or that was left in the middle of a collection, is made again from all headers.
 * Runs in the thread that opens, before anybody else knows the store.
 */
#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "store/store_internal.h"
#include "base/banned.h"

enum { DEAD_LIMIT = 65536 };

struct recovery {
	struct store *store;
	struct index_position checkpoint;
	bool everything; /* not only what is behind the checkpoint */
	bool clean;      /* the store was closed in order */
	/* what a collection or a move may have died before punching; the first ones only, compaction finds the rest */
	struct index_entry *dead;
	size_t dead_count;
	uint8_t *buffer;
	uint64_t found, torn;
	bool wrote; /* packs or index differ from the checkpoint */
};

static bool is_behind(const struct index_entry *entry, struct index_position position)
{
	return entry->pack > position.pack ||
		(entry->pack == position.pack && entry->offset >= position.offset);
}

static int visit(void *context, const struct index_entry *found, bool live, struct error *err)
{
	struct recovery *recovery = context;
	struct store *store = recovery->store;
	struct index_entry entry = *found, known;
	recovery->wrote = true;
	if (!live) {
		if (recovery->dead_count < DEAD_LIMIT)
			recovery->dead[recovery->dead_count++] = entry;
		return 0;
	}
	if (index_find(store->index, &entry.digest, &known) &&
		(known.pack != entry.pack || known.offset != entry.offset)) {
		/* both are whole, or were never durable: it was being moved */
		index_remove_at(store->index, &entry);
		return packs_mark_dead(store->packs, &entry, err);
	}
	if (index_find(store->index, &entry.digest, &known))
		return 0;
	if (is_behind(&entry, recovery->checkpoint) &&
		store_read_entry(store, &entry, recovery->buffer, err)) {
		if (err->code != ERROR_CORRUPT)
			return -1;
		recovery->torn++;
		return packs_mark_dead(store->packs, &entry, err);
	}
	if (index_load_percent(store->index) >= 60 && index_rebuild(store->index, false, err))
		return -1;
	entry.generation = index_generation(store->index);
	index_insert(store->index, &entry);
	recovery->found++;
	return 0;
}

/*
 * What is read from now on is on the disk: a dead header that only a process before us knew must not lead to a punched payload; and if a sync failed in that process, memory holds objects that the disk has not,
 * and that no later sync writes.
 */
static int settle_pack(struct store *store, uint32_t number, struct error *err)
{
	packs_note_dirty(store->packs, number);
	if (packs_sync(store->packs, err))
		return -1;
	packs_forget_cached(store->packs, number);
	return 0;
}

/* Scans one pack as far as it has to be, and leaves the position for appending at its end if it is the last of its class. */
static int recover_pack(struct recovery *recovery, uint32_t number,
	struct index_position ends[PACK_CLASS_COUNT], struct error *err)
{
	struct store *store = recovery->store;
	struct pack_header header;
	uint64_t from = 0, end;
	if (!recovery->everything && number < index_checkpoint(store->index, PACK_BLOCKS).pack &&
		number < index_checkpoint(store->index, PACK_SMALL).pack)
		return 0; /* not even opened, as there may be thousands */
	if (!recovery->clean && settle_pack(store, number, err))
		return -1;
	if (packs_read_header(store->packs, number, &header, err)) {
		if (err->code == ERROR_NOT_FOUND)
			return 0;
		log_error("pack-ignored", "folder=%s pack=%" PRIu32 " message=\"%s\"", store->folder, number,
			err->message);
		return 0;
	}
	recovery->checkpoint = index_checkpoint(store->index, header.group);
	if (!recovery->everything) {
		if (number < recovery->checkpoint.pack)
			return 0;
		from = number == recovery->checkpoint.pack ? recovery->checkpoint.offset : 0;
	}
	if (packs_scan(store->packs, number, from, visit, recovery, &end, err))
		return -1;
	packs_note_dirty(store->packs, number);
	ends[header.group] = (struct index_position){ .pack = number, .offset = end };
	return 0;
}

static int scan_packs(struct recovery *recovery, struct error *err)
{
	struct store *store = recovery->store;
	struct index_position ends[PACK_CLASS_COUNT] = { 0 };
	uint32_t *numbers, count;
	int result = 0;
	packs_list(store->packs, &numbers, &count);
	for (uint32_t i = 0; !result && i < count; i++)
		result = recover_pack(recovery, numbers[i], ends, err);
	free(numbers);
	for (int group = 0; !result && group < PACK_CLASS_COUNT; group++)
		if (ends[group].pack)
			packs_set_position(store->packs, (enum pack_class)group, ends[group]);
	return result;
}

/*
 * Punches what is dead, now that all that is durable. Readers of before in other processes may remember places in it: they are told by the epoch. Those of an index that is gone are not, so then it is
 * left to compaction.
 */
static int punch_dead(struct recovery *recovery, struct error *err)
{
	index_advance_epoch(recovery->store->index);
	return packs_punch(recovery->store->packs, recovery->dead, recovery->dead_count, err);
}

static int recover(struct recovery *recovery, enum index_condition condition, struct error *err)
{
	struct store *store = recovery->store;
	if (condition == INDEX_COLLECTING && index_rebuild(store->index, true, err))
		return -1;
	if (condition == INDEX_LOST_POWER)
		index_forget_after_checkpoint(store->index);
	else if (condition == INDEX_INTERRUPTED)
		index_recount(store->index);
	if (scan_packs(recovery, err))
		return -1;
	/* older generations belong to sessions of a process that is gone */
	index_advance_generation(store->index);
	index_mark_built(store->index);
	if (condition == INDEX_CLEAN && !recovery->wrote)
		return 0;
	if (recovery->found || recovery->torn)
		log_info("store-recovered", "folder=%s found=%" PRIu64 " torn=%" PRIu64, store->folder,
			recovery->found, recovery->torn);
	if (condition == INDEX_ABSENT && !recovery->wrote)
		return 0; /* a new store: there is nothing to make durable */
	if (store_checkpoint(store, err))
		return -1;
	if (condition == INDEX_COLLECTING && index_mark_collecting(store->index, false, err))
		return -1;
	return condition == INDEX_ABSENT ? 0 : punch_dead(recovery, err);
}

int store_recover(struct store *store, enum index_condition condition, struct error *err)
{
	struct recovery recovery = { .store = store,
		.everything = condition == INDEX_COLLECTING || condition == INDEX_ABSENT,
		.clean = condition == INDEX_CLEAN };
	struct error scratch;
	recovery.buffer = memory_alloc(STORE_BLOCK_SIZE);
	recovery.dead = memory_alloc(DEAD_LIMIT * sizeof *recovery.dead);
	int result = recover(&recovery, condition, err ? err : &scratch);
	free(recovery.buffer);
	free(recovery.dead);
	return result;
}
