/*
 * Checking a whole store: every object of every pack against its digest, the index against the packs both ways, the kinds of what pages and roots refer to, with the counts of it. Whether it is there is no question of its own: what no
 * root in use reaches may be incomplete after a crash (see check_roots.c). Reads only; puts may go on beside it, a
 * collection may not.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "base/disk.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "base/banned.h"

struct check {
	struct store *store;
	store_report *report;
	void *context;
	uint64_t faults;
	uint8_t *buffer;
	struct page *page;
	uint32_t *counts; /* references found to each slot */
};

static void __attribute__((format(printf, 2, 3))) fault(struct check *check, const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	check->faults++;
	if (check->report)
		check->report(check->context, line);
}

static void check_child(struct check *check, const char *parent, const struct digest *child, uint8_t kind)
{
	struct index_entry entry;
	uint64_t slot;
	char hex[2 * DIGEST_SIZE + 1];
	text_hex(child, sizeof *child, hex);
	if (!index_find_slot(check->store->index, child, &slot) ||
		!index_read_slot(check->store->index, slot, &entry))
		return;
	check->counts[slot] += check->counts[slot] < UINT32_MAX;
	if (entry.kind != kind)
		fault(check, "object %s refers to %s, which is of kind %u, not %u", parent, hex, entry.kind,
			kind);
}

static void check_children(struct check *check, const struct index_entry *entry, const char *hex)
{
	struct root root;
	if (entry->kind == STORE_ROOT) {
		if (root_decode(check->buffer, entry->size, &root))
			fault(check, "root %s is malformed", hex);
		else if (!digest_is_zero(&root.top))
			check_child(check, hex, &root.top, STORE_PAGE);
	} else if (entry->kind == STORE_PAGE) {
		if (page_decode(check->buffer, entry->size, check->page)) {
			fault(check, "page %s is malformed", hex);
			return;
		}
		for (unsigned i = 0; i < PAGE_FANOUT; i++)
			if (!digest_is_zero(&check->page->ids[i]))
				check_child(check, hex, &check->page->ids[i],
					check->page->level > 1 ? STORE_PAGE : STORE_BLOCK);
	}
}

bool store_header_matches(struct store *store, const struct index_entry *entry)
{
	uint8_t bytes[OBJECT_HEADER_SIZE];
	struct pack_header pack;
	struct object_header object;
	int fd;
	return packs_read_header(store->packs, entry->pack, &pack, NULL) == 0 &&
		packs_descriptor(store->packs, entry->pack, &fd, NULL) == 0 &&
		disk_read(fd, bytes, sizeof bytes, entry->offset) == 0 &&
		format_decode_object(&pack, entry->offset, bytes, &object) == 0 &&
		object.state == OBJECT_LIVE && digest_equal(&object.digest, &entry->digest);
}

/* Every entry of the index: its object is there and intact. */
static int check_entry(struct check *check, const struct index_entry *entry, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	struct error found;
	struct pack_header header;
	text_hex(&entry->digest, sizeof entry->digest, hex);
	if (packs_read_header(check->store->packs, entry->pack, &header, &found)) {
		fault(check, "pack=%" PRIu32 " offset=%" PRIu64 " digest=%s: %s", entry->pack, entry->offset,
			hex, found.message);
		return 0;
	}
	if (!store_header_matches(check->store, entry))
		fault(check, "pack=%" PRIu32 " offset=%" PRIu64 " digest=%s: damaged object header",
			entry->pack, entry->offset, hex);
	if (store_read_entry(check->store, entry, check->buffer, &found)) {
		if (found.code == ERROR_INTERNAL) {
			if (err)
				*err = found;
			return -1;
		}
		fault(check, "pack=%" PRIu32 " offset=%" PRIu64 " digest=%s: %s", entry->pack, entry->offset,
			hex, found.message);
		return 0;
	}
	check_children(check, entry, hex);
	return 0;
}

/* Every live object of the packs: the index knows it, and there. */
static int check_object(void *context, const struct index_entry *object, bool live, struct error *err)
{
	struct check *check = context;
	struct index_entry entry;
	char hex[2 * DIGEST_SIZE + 1];
	bool found = index_find(check->store->index, &object->digest, &entry);
	bool same = found && entry.pack == object->pack && entry.offset == object->offset;
	text_hex(&object->digest, sizeof object->digest, hex);
	if (live && !found)
		fault(check, "pack=%" PRIu32 " offset=%" PRIu64 " digest=%s: not in the index", object->pack,
			object->offset, hex);
	else if (same && !live)
		fault(check, "pack=%" PRIu32 " offset=%" PRIu64 " digest=%s: in the index, but dead",
			object->pack, object->offset, hex);
	else if (same &&
		(entry.size != object->size || entry.kind != object->kind ||
			entry.encoding != object->encoding))
		fault(check, "pack=%" PRIu32 " offset=%" PRIu64 " digest=%s: index and header differ",
			object->pack, object->offset, hex);
	(void)err;
	return 0;
}

static int check_packs(struct check *check, struct error *err)
{
	struct store *store = check->store;
	uint32_t *numbers, count;
	int result = 0;
	packs_list(store->packs, &numbers, &count);
	for (uint32_t i = 0; !result && i < count; i++) {
		struct pack_header header;
		struct error found;
		uint64_t end;
		if (packs_read_header(store->packs, numbers[i], &header, &found)) {
			/* one that was begun when the power failed: its header, the first thing in it, is not there */
			if (found.code != ERROR_NOT_FOUND)
				fault(check, "pack=%" PRIu32 ": %s", numbers[i], found.message);
			continue;
		}
		/* an object between append and index is no fault */
		pthread_rwlock_wrlock(&store->quiet);
		result = packs_scan(store->packs, numbers[i], 0, check_object, check, &end, err);
		pthread_rwlock_unlock(&store->quiet);
	}
	free(numbers);
	return result;
}

/* `version`: of the counts, before the first object was read. When they have changed since, they are those of another moment. */
static void check_counts(struct check *check, uint64_t version)
{
	struct store *store = check->store;
	struct index_entry entry;
	char hex[2 * DIGEST_SIZE + 1];
	/* no put, so no count, is half done */
	pthread_rwlock_wrlock(&store->quiet);
	bool comparable = references_state(store->references) == REFERENCES_EXACT &&
		references_version(store->references) == version;
	for (uint64_t slot = 0; comparable && slot < index_slot_count(store->index); slot++) {
		uint32_t kept = references_get(store->references, slot);
		/* one that has reached the limit stays there */
		if (kept == check->counts[slot] || kept == UINT32_MAX)
			continue;
		if (index_read_slot(store->index, slot, &entry))
			fault(check, "digest=%s: %" PRIu32 " references kept, %" PRIu32 " found",
				text_hex(&entry.digest, sizeof entry.digest, hex), kept, check->counts[slot]);
		else
			fault(check, "slot %" PRIu64 " has no object, but %" PRIu32 " references", slot,
				kept);
	}
	pthread_rwlock_unlock(&store->quiet);
}

int store_check(struct store *store, store_report *report, void *context, uint64_t *faults, struct error *err)
{
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	struct check check = { .store = store,
		.report = report,
		.context = context,
		.buffer = memory_alloc(STORE_BLOCK_SIZE),
		.page = memory_alloc(sizeof(struct page)) };
	struct index_entry entry;
	int result = 0;
	pthread_mutex_lock(&store->maintenance);
	uint64_t version = references_version(store->references);
	size_t counts_size = index_slot_count(store->index) * sizeof *check.counts;
	check.counts = memory_alloc(counts_size);
	memset(check.counts, 0, counts_size);
	for (uint64_t slot = 0; !result && slot < index_slot_count(store->index); slot++)
		if (index_read_slot(store->index, slot, &entry))
			result = check_entry(&check, &entry, err);
	if (!result)
		result = check_packs(&check, err);
	if (!result)
		check_counts(&check, version);
	pthread_mutex_unlock(&store->maintenance);
	free(check.counts);
	free(check.buffer);
	free(check.page);
	*faults = check.faults;
	return result;
}
