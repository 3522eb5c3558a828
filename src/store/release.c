/*
 * Freeing by reference counts: retired roots that are published no more, and all that nothing else refers to.
 *
 * Work goes down from those roots: an object is taken out of the index if nothing refers to it and no session protects it; then each of its children has one reference less, and those left with none are next. The
 * check and the removal are one step under the digest's stripe, which a put holds as well, as in collect.c: so a put either finds the object, which is then protected, or stores it anew. The limit is taken before the roots are
 * looked up: one that is published after being looked up was put or found by a session that the limit respects.
 *
 * On disk it is as in a collection: the index is marked `collecting` before the first object leaves it, dead headers are synced before payloads are punched.
 * Blocks and pages that a session has put and not used are loose: they have no references, and no root above them. When the oldest session ends and something is loose, the next time all slots are looked through for it (64
 * bytes each, without reading objects).
 *
 * Objects that the limit protects are left as they are. A root stays retired. Other things are loose then, and the protecting session's end brings the next look; if it has ended already, the end of this one does (store_end_freeing).
 */
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "store/compact.h"
#include "base/banned.h"

struct release {
	struct store *store;
	uint32_t limit;
	struct digest_list work; /* perhaps free now */
	struct digest_list kept; /* roots to be retired again */
	uint8_t *buffer;
	struct index_entry *batch;
	unsigned batch_count;
	bool marked; /* the index, as collecting */
	struct store_collect_result *result;
};

/* Takes an object out of the index if nothing refers to it. Under its stripe. */
static bool take_out(struct release *release, struct index_entry *entry)
{
	struct store *store = release->store;
	struct digest digest = entry->digest;
	pthread_mutex_t *stripe = store_stripe(store, &digest);
	uint64_t slot;
	bool removed = false;
	pthread_mutex_lock(stripe);
	if (index_find_slot(store->index, &digest, &slot) && index_read_slot(store->index, slot, entry) &&
		!references_get(store->references, slot)) {
		if (entry->generation < release->limit) {
			references_leave(store->references, slot, entry->kind == STORE_ROOT);
			removed = index_remove(store->index, slot, &digest);
		} else if (entry->kind == STORE_ROOT) {
			digest_list_append(&release->kept, &digest);
		}
	}
	pthread_mutex_unlock(stripe);
	return removed;
}

static int drop_child(void *context, const struct digest *child, struct error *err)
{
	struct release *release = context;
	char hex[2 * DIGEST_SIZE + 1];
	uint64_t slot;
	uint32_t left;
	if (!index_find_slot(release->store->index, child, &slot) ||
		references_drop(release->store->references, slot, &left))
		return error_set(err, ERROR_CORRUPT, "the references to object %s were counted wrongly",
			text_hex(child, sizeof *child, hex));
	if (!left)
		digest_list_append(&release->work, child);
	return 0;
}

static int flush_batch(struct release *release, struct error *err)
{
	if (release->batch_count &&
		store_free_batch(release->store, release->batch, release->batch_count, err))
		return -1;
	release->batch_count = 0;
	return 0;
}

static int free_object(struct release *release, const struct digest *digest, struct error *err)
{
	struct store *store = release->store;
	struct index_entry *entry = &release->batch[release->batch_count];
	if (!index_find(store->index, digest, entry))
		return 0;
	if (entry->kind != STORE_BLOCK && store_read_entry(store, entry, release->buffer, err)) {
		if (err->code != ERROR_CORRUPT)
			return -1;
		/* it is left alone, with all below it */
		log_error("object-not-freed", "folder=%s message=\"%s\"", store->folder, err->message);
		return 0;
	}
	if (!release->marked && index_mark_collecting(store->index, true, err))
		return -1;
	release->marked = true;
	if (!take_out(release, entry))
		return 0;
	release->result->objects_freed++;
	release->result->bytes_freed += store_entry_bytes(entry);
	release->batch_count++;
	if (store_visit_children(entry->kind, release->buffer, entry->size, drop_child, release, err))
		return -1;
	return release->batch_count == STORE_FREE_BATCH ? flush_batch(release, err) : 0;
}

static int free_all(struct release *release, struct error *err)
{
	int result = 0;
	while (!result && release->work.count) {
		struct digest digest = release->work.items[--release->work.count];
		result = free_object(release, &digest, err);
	}
	/* what is out of the index already must die in the packs too, even if the rest cannot be freed */
	struct error second;
	if (flush_batch(release, result ? &second : err))
		return -1;
	/* after a failed batch the mark stays, and the next opening makes the index again */
	if (release->marked && index_mark_collecting(release->store->index, false, result ? &second : err))
		return -1;
	return result;
}

/* Takes the retired roots that are in the store; it forgets them. */
static void take_retired(struct store *store, struct digest_list *roots)
{
	struct index_entry entry;
	size_t kept = 0;
	pthread_mutex_lock(&store->session_lock);
	*roots = store->retired;
	store->retired = (struct digest_list){ 0 };
	pthread_mutex_unlock(&store->session_lock);
	for (size_t i = 0; i < roots->count; i++)
		if (index_find(store->index, &roots->items[i], &entry))
			roots->items[kept++] = roots->items[i];
	roots->count = kept;
}

/* Moves retired roots to the work, but for those in use. On failure all of them stay retired. */
static int examine_roots(
	struct release *release, store_find_published *find_published, void *context, struct error *err)
{
	struct digest_list roots;
	take_retired(release->store, &roots);
	bool *published = memory_alloc(roots.count + 1);
	memset(published, 0, roots.count + 1);
	int result = roots.count ? find_published(context, roots.items, roots.count, published, err) : 0;
	for (size_t i = 0; i < roots.count; i++)
		if (result || !published[i])
			digest_list_append(result ? &release->kept : &release->work, &roots.items[i]);
	free(published);
	free(roots.items);
	return result;
}

static void find_strays(struct release *release)
{
	struct store *store = release->store;
	struct index_entry entry;
	for (uint64_t slot = 0; slot < index_slot_count(store->index); slot++)
		if (!references_get(store->references, slot) && index_read_slot(store->index, slot, &entry) &&
			entry.kind != STORE_ROOT && entry.generation < release->limit)
			digest_list_append(&release->work, &entry.digest);
}

/* A look at all slots must not cost more than what was freed since the last one. */
static int remove_packs(struct release *release, struct error *err)
{
	struct store *store = release->store;
	store->freed_since_packs += release->result->bytes_freed;
	if (store->freed_since_packs < index_slot_count(store->index) * sizeof(struct index_entry))
		return 0;
	store->freed_since_packs = 0;
	return store_remove_empty_packs(store, err);
}

static int release_all(
	struct release *release, store_find_published *find_published, void *context, struct error *err)
{
	struct store *store = release->store;
	if (store_check_movable(store, err))
		return -1;
	if (references_state(store->references) != REFERENCES_EXACT)
		return error_set(err, ERROR_UNAVAILABLE,
			"the references in store %s have to be counted first", store->folder);
	if (examine_roots(release, find_published, context, err))
		return -1;
	if (atomic_exchange(&store->strays, false))
		find_strays(release);
	if (!release->work.count)
		return 0;
	if (free_all(release, err)) {
		/* what was left half done is made good by a collection, which has to come next now */
		references_spoil(store->references);
		return -1;
	}
	return remove_packs(release, err);
}

int store_free_retired(struct store *store, store_find_published *find_published, void *context,
	struct store_collect_result *result, struct error *err)
{
	struct store_collect_result own_result = { 0 };
	struct error own_error;
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	struct release release = { .store = store,
		.result = &own_result,
		.buffer = memory_alloc(STORE_BLOCK_SIZE),
		.batch = memory_alloc((STORE_FREE_BATCH + 1) * sizeof(struct index_entry)) };
	pthread_mutex_lock(&store->maintenance);
	release.limit = store_begin_freeing(store);
	int failed = release_all(&release, find_published, context, err ? err : &own_error);
	pthread_mutex_lock(&store->session_lock);
	for (size_t i = 0; i < release.kept.count; i++)
		digest_list_append(&store->retired, &release.kept.items[i]);
	pthread_mutex_unlock(&store->session_lock);
	store_end_freeing(store);
	pthread_mutex_unlock(&store->maintenance);
	if (result)
		*result = own_result;
	free(release.work.items);
	free(release.kept.items);
	free(release.buffer);
	free(release.batch);
	return failed;
}
