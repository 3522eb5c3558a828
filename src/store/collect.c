/*
 * Garbage collection: mark from the roots, sweep what is unmarked and older than every open session.
 *
 * Each entry carries the generation in which it was last put. A collection begins a new generation; its limit is the smaller of that and the oldest open session's. Entries at or above the limit stay, and
 * pages and roots among them count as roots themselves, so a session protects all that its trees reach. Then come the published roots, read only after the limit is
 * fixed: a root published before is among them, one published later was put by a session that the limit respects.
 * A page that is missing below a published root stops the collection before anything is freed.
 *
 * Sweeping goes in batches, each: out of the index; dead headers written; synced; payloads punched. So at no point of a crash can a header that counts as live stand before a punched payload. The
 * index is marked `collecting` meanwhile: after a crash it is made again from the headers.
 * The references are counted anew on the way (count.c): whatever they were before, afterwards they are exact, and release.c can free by them.
 * One collection at a time (maintenance lock); puts go on beside it. Marks are a bitmap over index slots, which do not move meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "store/compact.h"
#include "store/page.h"
#include "base/banned.h"

enum { LOAD_BEFORE = 50 };

struct collection {
	struct store *store;
	uint32_t limit;
	uint8_t *marks;
	struct page *pages; /* one for each level of the recursion */
	uint8_t *buffer;
	struct index_entry *batch;
	unsigned batch_count;
	struct store_collect_result *result;
};

static int mark(
	struct collection *collection, const struct digest *digest, unsigned level, struct error *err);

static int mark_page(
	struct collection *collection, const struct index_entry *entry, unsigned level, struct error *err)
{
	struct page *page = &collection->pages[level];
	if (store_read_entry(collection->store, entry, collection->buffer, err))
		return -1;
	if (page_decode(collection->buffer, entry->size, page) || page->level != level)
		return error_set(err, ERROR_CORRUPT, "a page of level %u is malformed", level);
	for (unsigned i = 0; i < PAGE_FANOUT; i++)
		if (!digest_is_zero(&page->ids[i]) && mark(collection, &page->ids[i], level - 1, err))
			return -1;
	return 0;
}

/* What the mark pass has read need not be read again to be counted. */
static void count_page(struct collection *collection, uint64_t slot, unsigned level)
{
	const struct page *page = &collection->pages[level];
	if (!references_claim(collection->store->references, slot))
		return;
	for (unsigned i = 0; i < PAGE_FANOUT; i++)
		if (!digest_is_zero(&page->ids[i]))
			store_count_child(collection->store, &page->ids[i], NULL);
}

/* Marks an object and all below it. `level` 0 is a block. */
static int mark(struct collection *collection, const struct digest *digest, unsigned level, struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	char hex[2 * DIGEST_SIZE + 1];
	if (!index_find_slot(collection->store->index, digest, &slot) ||
		!index_read_slot(collection->store->index, slot, &entry))
		return error_set(err, ERROR_CORRUPT, "object %s is missing (level %u)",
			text_hex(digest, sizeof *digest, hex), level);
	if (collection->marks[slot / 8] >> slot % 8 & 1)
		return 0;
	if (level) {
		if (mark_page(collection, &entry, level, err))
			return -1;
		count_page(collection, slot, level);
	}
	/* after what is below it, so that a mark means a whole subtree */
	collection->marks[slot / 8] |= (uint8_t)(1U << slot % 8);
	return 0;
}

static int mark_root(struct collection *collection, const struct digest *digest, struct error *err)
{
	struct index_entry entry;
	struct root root;
	uint64_t slot;
	char hex[2 * DIGEST_SIZE + 1];
	text_hex(digest, sizeof *digest, hex);
	if (!index_find_slot(collection->store->index, digest, &slot) ||
		!index_read_slot(collection->store->index, slot, &entry))
		return error_set(err, ERROR_CORRUPT, "root %s is missing", hex);
	if (collection->marks[slot / 8] >> slot % 8 & 1)
		return 0;
	if (store_read_entry(collection->store, &entry, collection->buffer, err))
		return -1;
	if (root_decode(collection->buffer, entry.size, &root))
		return error_set(err, ERROR_CORRUPT, "root %s is malformed", hex);
	if (!digest_is_zero(&root.top) && mark(collection, &root.top, root.levels, err))
		return error_prefix(err, "root %s", hex);
	collection->marks[slot / 8] |= (uint8_t)(1U << slot % 8);
	return 0;
}

/*
 * What an open session put last keeps all it reaches. Missing children are no fault here: a session may have found an old page whose children a crashed collection has freed, and put them again later or given up.
 */
static int mark_protected(struct collection *collection, struct error *err)
{
	struct index *index = collection->store->index;
	struct index_entry entry;
	for (uint64_t slot = 0; slot < index_slot_count(index); slot++) {
		int result = 0;
		if (!index_read_slot(index, slot, &entry) || entry.generation < collection->limit)
			continue;
		if (entry.kind == STORE_ROOT) {
			result = mark_root(collection, &entry.digest, err);
		} else if (entry.kind == STORE_PAGE) {
			if (store_read_entry(collection->store, &entry, collection->buffer, err))
				return -1;
			/* byte 5 is the level; mark() decodes the page and refuses what is none */
			uint8_t level = entry.size > 5 ? collection->buffer[5] : 0;
			if (level >= 1 && level <= TREE_LEVELS_LIMIT)
				result = mark(collection, &entry.digest, level, err);
		}
		if (result && err->code != ERROR_CORRUPT)
			return -1;
	}
	return 0;
}

int store_free_batch(struct store *store, struct index_entry *entries, unsigned count, struct error *err)
{
	for (unsigned i = 0; i < count; i++)
		if (packs_mark_dead(store->packs, &entries[i], err))
			return -1;
	return packs_sync(store->packs, err) || packs_punch(store->packs, entries, count, err) ? -1 : 0;
}

static int free_batch(struct collection *collection, struct error *err)
{
	if (store_free_batch(collection->store, collection->batch, collection->batch_count, err))
		return -1;
	collection->batch_count = 0;
	return 0;
}

/* Takes the object in a slot out of the index, unless it is marked or was put since. */
static bool sweep_slot(struct collection *collection, uint64_t slot, struct index_entry *entry)
{
	struct store *store = collection->store;
	if (!index_read_slot(store->index, slot, entry))
		return false;
	bool unmarked = !(collection->marks[slot / 8] >> slot % 8 & 1), removed = false;
	if (unmarked && entry->generation < collection->limit) {
		pthread_mutex_t *stripe = store_stripe(store, &entry->digest);
		pthread_mutex_lock(stripe);
		if (index_read_slot(store->index, slot, entry) && entry->generation < collection->limit &&
			store_stripe(store, &entry->digest) == stripe) {
			references_leave(store->references, slot, entry->kind == STORE_ROOT);
			removed = index_remove(store->index, slot, &entry->digest);
		}
		pthread_mutex_unlock(stripe);
	}
	if (removed) {
		collection->result->objects_freed++;
		collection->result->bytes_freed += store_entry_bytes(entry);
	} else {
		collection->result->objects_kept++;
		collection->result->bytes_kept += store_entry_bytes(entry);
	}
	return removed;
}

static int sweep_all(struct collection *collection, struct error *err)
{
	uint64_t slots = index_slot_count(collection->store->index);
	for (uint64_t slot = 0; slot < slots; slot++) {
		if (sweep_slot(collection, slot, &collection->batch[collection->batch_count]))
			collection->batch_count++;
		if (collection->batch_count == STORE_FREE_BATCH && free_batch(collection, err))
			return -1;
	}
	return free_batch(collection, err);
}

uint32_t store_begin_freeing(struct store *store)
{
	pthread_mutex_lock(&store->session_lock);
	uint32_t limit = index_advance_generation(store->index);
	store->ended_before = store->protections_ended;
	for (struct store_session *session = store->sessions; session; session = session->next)
		if (session->generation < limit)
			limit = session->generation;
	pthread_mutex_unlock(&store->session_lock);
	return limit;
}

void store_end_freeing(struct store *store)
{
	pthread_mutex_lock(&store->session_lock);
	bool ended = store->protections_ended != store->ended_before, retired = store->retired.count > 0;
	pthread_mutex_unlock(&store->session_lock);
	bool loose = references_loose(store->references) > 0;
	if (!ended || !(loose || retired))
		return;
	if (loose)
		atomic_store(&store->strays, true);
	store_tell(store);
}

static int mark_all(
	struct collection *collection, store_next_root *next_root, void *context, struct error *err)
{
	struct digest root;
	int more;
	while ((more = next_root(context, &root, err)) > 0)
		if (!digest_is_zero(&root) && mark_root(collection, &root, err))
			return -1;
	return more < 0 ? -1 : mark_protected(collection, err);
}

static int mark_and_sweep(
	struct collection *collection, store_next_root *next_root, void *context, struct error *err)
{
	struct store *store = collection->store;
	uint64_t mark_bytes = index_slot_count(store->index) / 8;
	collection->marks = memory_alloc(mark_bytes);
	memset(collection->marks, 0, mark_bytes);
	collection->limit = store_begin_freeing(store);
	if (mark_all(collection, next_root, context, err) || store_checkpoint(store, err) ||
		index_mark_collecting(store->index, true, err))
		return -1;
	/* after a failure the mark stays, and the next opening makes the index again */
	return sweep_all(collection, err) || index_mark_collecting(store->index, false, err) ? -1 : 0;
}

static int collect(
	struct collection *collection, store_next_root *next_root, void *context, struct error *err)
{
	struct store *store = collection->store;
	if (store_check_movable(store, err))
		return -1;
	if (index_load_percent(store->index) >= LOAD_BEFORE) {
		/* now, since it may not grow while its slots are marked */
		pthread_rwlock_wrlock(&store->quiet);
		int failed = index_rebuild(store->index, false, err);
		pthread_rwlock_unlock(&store->quiet);
		if (failed)
			return -1;
	}
	store_begin_counting(store);
	int result = mark_and_sweep(collection, next_root, context, err);
	/* whatever came of it: what is in the index now can be counted */
	store_end_counting(store);
	store_end_freeing(store);
	if (result)
		return -1;
	store->freed_since_packs = 0;
	return store_remove_empty_packs(store, err);
}

int store_collect(struct store *store, store_next_root *next_root, void *context,
	struct store_collect_result *result, struct error *err)
{
	struct store_collect_result own_result = { 0 };
	struct error own_error;
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	struct collection collection = { .store = store,
		.result = &own_result,
		.pages = memory_alloc((TREE_LEVELS_LIMIT + 1) * sizeof(struct page)),
		.buffer = memory_alloc(STORE_BLOCK_SIZE),
		.batch = memory_alloc((STORE_FREE_BATCH + 1) * sizeof(struct index_entry)) };
	pthread_mutex_lock(&store->maintenance);
	int failed = collect(&collection, next_root, context, err ? err : &own_error);
	pthread_mutex_unlock(&store->maintenance);
	free(collection.marks);
	free(collection.pages);
	free(collection.buffer);
	free(collection.batch);
	if (result)
		*result = own_result;
	return failed;
}
