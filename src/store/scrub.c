/*
 * Scrubbing. Owns STORE/scrub: how far the pass is, and what is known to be damaged (docs/design/store.md). It says nothing that could not be found out again, so one that is missing or damaged
 * itself counts as empty.
 *
 * Objects are taken in the order in which they lie on the disk. The index has no such order, so it is gone through for the next few thousand behind the cursor, in one look that holds the
 * maintenance lock. Each of them is then read without a lock. It may be freed, moved or put anew meanwhile; therefore what looks damaged is looked at once more under the lock of its digest,
 * where neither can happen.
 * One thread scrubs; any may ask for the state, put, and report damage.
 */
#include "store/scrub.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "store/scrub_format.h"
#include "store/store_internal.h"
#include "base/banned.h"

enum { BATCH_LEAST = 4096, SLOTS_PER_ITEM = 1024 };
static const uint64_t SAVE_BYTES = 64ULL << 20;

struct item {
	uint64_t key; /* pack and header offset / 64: the order on the disk */
	struct digest digest;
};

struct scrub {
	pthread_mutex_t lock; /* state, cursor */
	struct store_scrub_state state;
	uint64_t cursor; /* everything up to and with this key is done */
	struct item *items;
	size_t count, next;
	uint64_t unsaved;
	uint8_t *buffer;
};

static uint64_t key_of(const struct index_entry *entry)
{
	return (uint64_t)entry->pack << 32 | entry->offset / OBJECT_HEADER_SIZE;
}

static const char *file_path(struct store *store, struct arena *arena)
{
	return arena_printf(arena, "%s/scrub", store->folder);
}

static void load(struct store *store, const uint8_t *bytes, size_t size)
{
	struct digest *damaged;
	size_t count;
	if (scrub_decode(bytes, size, &store->scrub->state, &store->scrub->cursor, &damaged, &count)) {
		log_warning("scrub-state-damaged", "folder=%s", store->folder);
		return;
	}
	for (size_t i = 0; i < count; i++)
		damage_add(store->damage, &damaged[i]);
	free(damaged);
}

void store_scrub_open(struct store *store)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *bytes;
	size_t size;
	store->damage = damage_create();
	store->scrub = memory_alloc(sizeof *store->scrub);
	pthread_mutex_init(&store->scrub->lock, NULL);
	if (file_read(file_path(store, scratch), SCRUB_SIZE_LIMIT, scratch, &bytes, &size, NULL) == 0)
		load(store, (const uint8_t *)bytes, size);
}

void store_scrub_close(struct store *store)
{
	damage_destroy(store->damage);
	if (!store->scrub)
		return;
	pthread_mutex_destroy(&store->scrub->lock);
	free(store->scrub->items);
	free(store->scrub->buffer);
	free(store->scrub);
}

int store_scrub_save(struct store *store, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct scrub *scrub = store->scrub;
	size_t count;
	pthread_mutex_lock(&scrub->lock);
	struct digest *damaged = damage_copy(store->damage, &count);
	uint8_t *bytes = arena_alloc(scratch, SCRUB_HEADER_SIZE + count * DIGEST_SIZE);
	size_t size = scrub_encode(&scrub->state, scrub->cursor, damaged, count, bytes);
	scrub->unsaved = 0;
	free(damaged);
	/* under the lock, so that no older state replaces a newer one */
	int result = file_replace(file_path(store, scratch), bytes, size, 0600, err);
	pthread_mutex_unlock(&scrub->lock);
	return result;
}

void store_scrub_get_state(struct store *store, struct store_scrub_state *state)
{
	pthread_mutex_lock(&store->scrub->lock);
	*state = store->scrub->state;
	pthread_mutex_unlock(&store->scrub->lock);
	state->damaged = damage_count(store->damage);
}

int store_scrub_begin(struct store *store, int64_t now_ms, struct error *err)
{
	struct scrub *scrub = store->scrub;
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	pthread_mutex_lock(&scrub->lock);
	scrub->state = (struct store_scrub_state){
		.pass = scrub->state.pass + 1, .running = true, .begun_ms = now_ms
	};
	scrub->cursor = 0;
	scrub->count = scrub->next = 0;
	pthread_mutex_unlock(&scrub->lock);
	return store_scrub_save(store, err);
}

/* The largest key of a heap goes down to where it belongs. */
static void sift_down(struct item *items, size_t count)
{
	for (size_t at = 0, child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && items[child + 1].key > items[child].key)
			child++;
		if (items[child].key <= items[at].key)
			return;
		struct item swap = items[at];
		items[at] = items[child];
		items[child] = swap;
	}
}

static void sift_up(struct item *items, size_t at)
{
	for (size_t parent; at && items[parent = (at - 1) / 2].key < items[at].key; at = parent) {
		struct item swap = items[at];
		items[at] = items[parent];
		items[parent] = swap;
	}
}

static int compare_items(const void *a, const void *b)
{
	uint64_t x = ((const struct item *)a)->key, y = ((const struct item *)b)->key;
	return (x > y) - (x < y);
}

/* The objects that lie next behind the cursor: those with the smallest keys are kept in a heap whose top is the largest of them. */
static void fill_batch(struct store *store)
{
	struct scrub *scrub = store->scrub;
	struct index_entry entry;
	pthread_mutex_lock(&store->maintenance);
	uint64_t slots = index_slot_count(store->index);
	size_t limit = slots / SLOTS_PER_ITEM > BATCH_LEAST ? slots / SLOTS_PER_ITEM : BATCH_LEAST;
	size_t count = 0;
	free(scrub->items);
	struct item *items = memory_alloc(limit * sizeof *items);
	for (uint64_t slot = 0; slot < slots; slot++) {
		if (!index_read_slot(store->index, slot, &entry) || key_of(&entry) <= scrub->cursor)
			continue;
		if (count < limit) {
			items[count] = (struct item){ .key = key_of(&entry), .digest = entry.digest };
			sift_up(items, count++);
		} else if (key_of(&entry) < items[0].key) {
			items[0] = (struct item){ .key = key_of(&entry), .digest = entry.digest };
			sift_down(items, count);
		}
	}
	pthread_mutex_unlock(&store->maintenance);
	if (count)
		qsort(items, count, sizeof *items, compare_items);
	scrub->items = items;
	scrub->count = count;
	scrub->next = 0;
}

/* Whether header and bytes of an entry are what they should be: 1, 0, or -1 if that cannot be found out. */
static int examine(struct store *store, const struct index_entry *entry, void *buffer, struct error *err)
{
	int fd;
	/* a lost pack is damage; too many open files are none */
	if (packs_descriptor(store->packs, entry->pack, &fd, err))
		return err->code == ERROR_NOT_FOUND ? 0 : -1;
	if (!store_header_matches(store, entry)) {
		error_set(err, ERROR_CORRUPT, "its header is damaged");
		return 0;
	}
	errno = 0;
	if (store_read_entry(store, entry, buffer, err) == 0)
		return 1;
	/* a sector that the disk cannot read is damaged as well */
	return err->code == ERROR_CORRUPT || errno == EIO ? 0 : -1;
}

int store_confirm_damage(struct store *store, const struct digest *digest, void *buffer,
	struct index_entry *entry, struct error *err)
{
	pthread_mutex_t *stripe = store_stripe(store, digest);
	pthread_mutex_lock(stripe);
	int sound = index_find(store->index, digest, entry) ? examine(store, entry, buffer, err) : 1;
	bool news = !sound && damage_add(store->damage, digest);
	if (sound == 1)
		damage_remove(store->damage, digest);
	pthread_mutex_unlock(stripe);
	return sound < 0 ? -1 : news;
}

static void note_damage(struct store *store, const struct digest *digest, const struct index_entry *entry,
	const struct error *why, store_scrub_report *report, void *context)
{
	static const char *const kinds[] = { "object", "block", "page", "root" };
	char line[600], hex[2 * DIGEST_SIZE + 1];
	snprintf(line, sizeof line, "%s %s, pack=%" PRIu32 " offset=%" PRIu64 ": %s",
		kinds[entry->kind <= STORE_ROOT ? entry->kind : 0], text_hex(digest->bytes, DIGEST_SIZE, hex),
		entry->pack, entry->offset, why->message);
	log_error("object-damaged", "folder=%s object=\"%s\"", store->folder, line);
	if (report)
		report(context, digest, line);
}

static int verify(struct store *store, const struct item *item, store_scrub_report *report, void *context,
	uint64_t *bytes, struct error *err)
{
	struct index_entry entry;
	struct error found;
	/* freed, or moved to where the cursor will come by */
	if (!index_find(store->index, &item->digest, &entry) || key_of(&entry) != item->key)
		return 0;
	*bytes = entry.stored_size;
	if (examine(store, &entry, store->scrub->buffer, &found) == 1) {
		if (damage_has(store->damage, &item->digest))
			damage_remove(store->damage, &item->digest);
		return 0;
	}
	int news = store_confirm_damage(store, &item->digest, store->scrub->buffer, &entry, &found);
	if (news < 0)
		return error_set(err, found.code, "%s", found.message);
	if (!news)
		return 0;
	note_damage(store, &item->digest, &entry, &found, report, context);
	return store_scrub_save(store, err);
}

/* Damaged objects that nothing has any more, since the last of their owners is gone, are no damage. */
static void forget_freed(struct store *store)
{
	struct index_entry entry;
	size_t count;
	struct digest *damaged = damage_copy(store->damage, &count);
	for (size_t i = 0; i < count; i++)
		if (!index_find(store->index, &damaged[i], &entry))
			damage_remove(store->damage, &damaged[i]);
	free(damaged);
}

static int end_pass(struct store *store, int64_t now_ms, struct error *err)
{
	struct scrub *scrub = store->scrub;
	forget_freed(store);
	pthread_mutex_lock(&scrub->lock);
	scrub->state.running = false;
	scrub->state.ended_ms = now_ms;
	free(scrub->items);
	free(scrub->buffer);
	scrub->items = NULL;
	scrub->buffer = NULL;
	scrub->count = scrub->next = 0;
	pthread_mutex_unlock(&scrub->lock);
	return store_scrub_save(store, err);
}

int store_scrub_step(struct store *store, int64_t now_ms, store_scrub_report *report, void *context,
	uint64_t *bytes, bool *ended, struct error *err)
{
	struct scrub *scrub = store->scrub;
	*bytes = 0;
	*ended = false;
	if (!scrub->buffer)
		scrub->buffer = memory_alloc(STORE_BLOCK_SIZE);
	if (scrub->next == scrub->count)
		fill_batch(store);
	if (!scrub->count) {
		*ended = true;
		return end_pass(store, now_ms, err);
	}
	const struct item *item = &scrub->items[scrub->next];
	if (verify(store, item, report, context, bytes, err))
		return -1;
	pthread_mutex_lock(&scrub->lock);
	scrub->cursor = item->key;
	scrub->next++;
	scrub->state.objects += *bytes > 0;
	scrub->state.bytes += *bytes;
	scrub->unsaved += *bytes;
	bool save = scrub->unsaved >= SAVE_BYTES;
	pthread_mutex_unlock(&scrub->lock);
	return save ? store_scrub_save(store, err) : 0;
}
