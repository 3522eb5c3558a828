/*
 * Reading pages whose checksum is enough. The pages of a tree were mostly written one after another, and lie so: when a page is found to lie behind the one that was read before it, those that follow are read along, and taken from
 * memory when they are asked for, without a look into the index. What is taken has the digest that was asked for, so it is right wherever it came from, even if it has been freed or moved since.
 * No locks: a run belongs to one reader at a time.
 */
#include <string.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/text.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "base/banned.h"

enum { RUN_SIZE = 32 * 1024, OBJECT_LIMIT = OBJECT_HEADER_SIZE + PAGE_LIMIT };

struct page_run {
	uint32_t pack; /* where the last page that was read ends; 0: none was */
	uint64_t end;
	size_t at, filled; /* what of `bytes` was read along and not taken yet */
	uint8_t *bytes;    /* RUN_SIZE; NULL: there was nothing to read along yet */
};

struct page_run *page_run_create(void)
{
	struct page_run *run = memory_alloc(sizeof *run);
	*run = (struct page_run){ 0 };
	return run;
}

void page_run_destroy(struct page_run *run)
{
	if (!run)
		return;
	free(run->bytes);
	free(run);
}

/* Takes the object of that digest if it begins at `bytes`; its size, or 0. */
static uint32_t take(const uint8_t *bytes, size_t available, const struct digest *digest, void *data)
{
	uint32_t size = format_sound_object(bytes, available, digest);
	if (!size || size > PAGE_LIMIT)
		return 0;
	memcpy(data, bytes + OBJECT_HEADER_SIZE, size);
	return size;
}

static uint32_t take_from_run(struct page_run *run, const struct digest *digest, void *data)
{
	if (!run || run->at >= run->filled)
		return 0;
	uint32_t size = take(run->bytes + run->at, run->filled - run->at, digest, data);
	if (size) {
		uint64_t length = format_object_end(PACK_SMALL, 0, size);
		run->at += length;
		run->end += length;
	}
	return size;
}

/* Header and payload at one go, and what follows them if the one before lies right before them. */
static uint32_t read_object(
	struct store *store, struct page_run *run, const struct index_entry *entry, void *data)
{
	uint8_t own[OBJECT_LIMIT], *bytes = own;
	size_t length = OBJECT_HEADER_SIZE + entry->size, filled = 0;
	uint32_t size = 0;
	int fd;
	if (packs_lease(store->packs, entry->pack, &fd, NULL))
		return 0;
	if (run && run->pack == entry->pack && run->end == entry->offset) {
		if (!run->bytes)
			run->bytes = memory_alloc(RUN_SIZE);
		bytes = run->bytes;
		run->filled = 0;
		/* a pack may end before */
		filled = disk_read(fd, bytes, RUN_SIZE, entry->offset) ? 0 : RUN_SIZE;
	}
	if (filled || !disk_read(fd, bytes, length, entry->offset))
		size = take(bytes, filled ? filled : length, &entry->digest, data);
	packs_return(store->packs, entry->pack);
	if (run && size) {
		length = format_object_end(PACK_SMALL, 0, size);
		run->pack = entry->pack;
		run->end = entry->offset + length;
		run->at = length;
		run->filled = filled;
	}
	return size;
}

int store_get_page(struct store *store, struct page_run *run, const struct digest *digest, void *data,
	size_t *size, bool *verified, struct error *err)
{
	struct index_entry entry;
	char hex[2 * DIGEST_SIZE + 1];
	bool suspect = store->damage && damage_has(store->damage, digest);
	*verified = false;
	if (!suspect && (*size = take_from_run(run, digest, data)))
		return 0;
	if (!index_find(store->index, digest, &entry))
		return error_set(err, ERROR_NOT_FOUND, "object %s is not in store %s",
			text_hex(digest, sizeof *digest, hex), store->folder);
	if (entry.size > PAGE_LIMIT)
		return error_set(err, ERROR_INVALID, "object %s has %u bytes",
			text_hex(digest, sizeof *digest, hex), entry.size);
	if (!suspect && entry.kind != STORE_BLOCK && (*size = read_object(store, run, &entry, data)))
		return 0;
	/* moved meanwhile, or damaged */
	*verified = true;
	return store_get(store, digest, data, size, err);
}
