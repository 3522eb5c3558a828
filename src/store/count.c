/*
 * Who refers to whom: keeps the reference counts (references.h) as objects come and go.
 *
 * A page or root that a put has newly entered counts its children, each under the child's stripe, before the put returns; the session protects page and children meanwhile. A child that is missing spoils the numbers: it
 * might come later, and would have too small a number then.
 * Counting everything anew runs beside puts. It begins and ends in a moment without puts; between, each page is counted by whoever claims it first: the put that enters it, the mark pass that reads it anyway
 * (collect.c), or count_rest. The caller holds `maintenance`, so slots do not move.
 */
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "base/banned.h"

int store_visit_children(
	uint8_t kind, const void *bytes, size_t size, store_child *visit, void *context, struct error *err)
{
	struct root root;
	if (kind == STORE_BLOCK)
		return 0;
	if (kind == STORE_ROOT)
		return root_decode(bytes, size, &root) || digest_is_zero(&root.top)
			? 0
			: visit(context, &root.top, err);
	struct page *page = memory_alloc(sizeof *page);
	int result = 0;
	if (!page_decode(bytes, size, page))
		for (unsigned i = 0; !result && i < PAGE_FANOUT; i++)
			if (!digest_is_zero(&page->ids[i]))
				result = visit(context, &page->ids[i], err);
	free(page);
	return result;
}

/* Never fails: what is missing is a fault of the numbers, not of the caller. */
int store_count_child(void *context, const struct digest *child, struct error *err)
{
	struct store *store = context;
	pthread_mutex_t *stripe = store_stripe(store, child);
	uint64_t slot;
	(void)err;
	pthread_mutex_lock(stripe);
	bool found = index_find_slot(store->index, child, &slot);
	if (found)
		references_add(store->references, slot);
	pthread_mutex_unlock(stripe);
	if (!found)
		references_spoil(store->references);
	return 0;
}

void store_count_put(struct store *store, uint64_t slot, uint8_t kind, const void *data, size_t size)
{
	enum references_state state = references_state(store->references);
	references_enter(store->references, kind == STORE_ROOT);
	if (kind == STORE_BLOCK || state == REFERENCES_UNKNOWN ||
		(state == REFERENCES_COUNTING && !references_claim(store->references, slot)))
		return;
	store_visit_children(kind, data, size, store_count_child, store, NULL);
}

void store_begin_counting(struct store *store)
{
	pthread_rwlock_wrlock(&store->quiet);
	references_begin_counting(store->references);
	pthread_rwlock_unlock(&store->quiet);
}

/* The pages that neither the mark pass nor a put has counted. */
static int count_rest(struct store *store, uint8_t *buffer, struct error *err)
{
	struct index_entry entry;
	for (uint64_t slot = 0; slot < index_slot_count(store->index); slot++) {
		if (!index_read_slot(store->index, slot, &entry) || entry.kind == STORE_BLOCK ||
			!references_claim(store->references, slot))
			continue;
		if (store_read_entry(store, &entry, buffer, err))
			return -1;
		store_visit_children(entry.kind, buffer, entry.size, store_count_child, store, NULL);
	}
	return 0;
}

static int64_t count_loose(struct store *store)
{
	struct index_entry entry;
	int64_t loose = 0;
	for (uint64_t slot = 0; slot < index_slot_count(store->index); slot++)
		loose += !references_get(store->references, slot) &&
			index_read_slot(store->index, slot, &entry) && entry.kind != STORE_ROOT;
	return loose;
}

void store_end_counting(struct store *store)
{
	uint8_t *buffer = memory_alloc(STORE_BLOCK_SIZE);
	struct error err;
	if (count_rest(store, buffer, &err)) {
		log_error("references-uncounted", "folder=%s message=\"%s\"", store->folder, err.message);
		references_spoil(store->references);
	}
	free(buffer);
	pthread_rwlock_wrlock(&store->quiet);
	references_end_counting(store->references, count_loose(store));
	pthread_rwlock_unlock(&store->quiet);
}
