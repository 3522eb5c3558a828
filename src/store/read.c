/*
 * Reading objects: stat, get, locate. Lock-free: whoever was given a place that has become another's looks it up again.
 * Any thread, in the writer and in readers.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/disk.h"
#include "base/log.h"
#include "base/text.h"
#include "store/encoding.h"
#include "base/banned.h"

static int find(
	struct store *store, const struct digest *digest, struct index_entry *entry, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	if (index_find(store->index, digest, entry))
		return 0;
	return error_set(err, ERROR_NOT_FOUND, "object %s is not in store %s",
		text_hex(digest, sizeof *digest, hex), store->folder);
}

int store_stat(struct store *store, const struct digest *digest, size_t *size, struct error *err)
{
	struct index_entry entry;
	if (find(store, digest, &entry, err))
		return -1;
	*size = entry.size;
	return 0;
}

/* The bytes in the pack. */
static int read_payload(
	struct store *store, const struct index_entry *entry, void *data, const char *hex, struct error *err)
{
	int fd;
	if (packs_lease(store->packs, entry->pack, &fd, err))
		return -1;
	int failed = disk_read(fd, data, entry->stored_size,
		format_payload_offset(format_class_of(entry->kind), entry->offset));
	int read_errno = errno;
	packs_return(store->packs, entry->pack);
	if (!failed)
		return 0;
	return read_errno == ENODATA
		? error_set(err, ERROR_CORRUPT, "object %s: pack %" PRIu32 " is too short", hex, entry->pack)
		: error_set_errno(
			  err, read_errno, "cannot read object %s from pack %" PRIu32, hex, entry->pack);
}

int store_read_stored(struct store *store, const struct index_entry *entry, uint8_t *stored, uint8_t *plain,
	struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	struct digest actual;
	struct error why;
	bool encoded = entry->encoding != ENCODING_PLAIN;
	text_hex(&entry->digest, sizeof entry->digest, hex);
	if (entry->size > STORE_BLOCK_SIZE || entry->stored_size > STORE_BLOCK_SIZE ||
		(!encoded && entry->stored_size != entry->size))
		return error_set(err, ERROR_CORRUPT, "object %s has impossible sizes", hex);
	if (read_payload(store, entry, encoded ? stored : plain, hex, err))
		return -1;
	if (encoded &&
		encoding_restore(entry->encoding, stored, entry->stored_size, plain, entry->size, &why))
		return error_set(err, why.code,
			"object %s: %s (pack %s/packs/%010" PRIu32 ".pack offset %" PRIu64 ")", hex,
			why.message, store->folder, entry->pack, entry->offset);
	digest_sha256(plain, entry->size, &actual);
	if (memcmp(&actual, &entry->digest, sizeof actual))
		return error_set(err, ERROR_CORRUPT,
			"object %s is damaged (pack %s/packs/%010" PRIu32 ".pack offset %" PRIu64 ")", hex,
			store->folder, entry->pack, entry->offset);
	return 0;
}

int store_read_entry(struct store *store, const struct index_entry *entry, void *data, struct error *err)
{
	uint8_t *stored = entry->encoding != ENCODING_PLAIN ? memory_alloc(STORE_BLOCK_SIZE) : NULL;
	int result = store_read_stored(store, entry, stored, data, err);
	free(stored);
	return result;
}

/*
 * Whether an object that could not be read where the index said so lies elsewhere by now: it was moved meanwhile, and its old place punched or removed.
 */
static bool was_moved(struct store *store, const struct index_entry *entry)
{
	struct index_entry now;
	index_refresh(store->index);
	return index_find(store->index, &entry->digest, &now) &&
		(now.pack != entry->pack || now.offset != entry->offset);
}

int store_get(struct store *store, const struct digest *digest, void *data, size_t *size, struct error *err)
{
	struct index_entry entry;
	int failed;
	do
		if (find(store, digest, &entry, err))
			return -1;
	while ((failed = store_read_entry(store, &entry, data, err)) && was_moved(store, &entry));
	struct error found;
	/* remembered, so that the next put of the same content stores it anew */
	if (failed && store->writer && store_confirm_damage(store, digest, data, &entry, &found) == 1)
		log_error("object-damaged", "folder=%s object=\"%s\"", store->folder, found.message);
	*size = entry.size;
	return failed;
}

int store_get_once(
	struct store *store, const struct digest *digest, void *data, size_t *size, struct error *err)
{
	struct index_entry entry;
	struct digest actual;
	if (index_find(store->index, digest, &entry) && entry.kind == STORE_BLOCK &&
		entry.encoding == ENCODING_PLAIN && entry.size <= STORE_BLOCK_SIZE &&
		entry.stored_size == entry.size &&
		!packs_read_past_cache(store->packs, entry.pack, data, entry.size,
			format_payload_offset(PACK_BLOCKS, entry.offset))) {
		digest_sha256(data, entry.size, &actual);
		*size = entry.size;
		if (digest_equal(&actual, digest))
			return 0;
	}
	/* cached, compressed, moved, or damaged: whatever it is, it shows there */
	return store_get(store, digest, data, size, err);
}

int store_locate(
	struct store *store, const struct digest *digest, struct store_location *location, struct error *err)
{
	struct index_entry entry;
	int failed;
	do {
		if (find(store, digest, &entry, err))
			return -1;
		if (entry.encoding != ENCODING_PLAIN)
			return error_set(err, ERROR_UNSUPPORTED,
				"object has encoding %u, so it cannot be read in place", entry.encoding);
	} while ((failed = packs_lease(store->packs, entry.pack, &location->fd, err)) &&
		was_moved(store, &entry));
	location->offset = format_payload_offset(format_class_of(entry.kind), entry.offset);
	location->size = entry.size;
	location->pack = entry.pack;
	return failed;
}

void store_return_pack(struct store *store, uint32_t pack)
{
	packs_return(store->packs, pack);
}

uint64_t store_epoch(struct store *store)
{
	return index_epoch(store->index);
}

void store_let_go(struct store *store)
{
	index_refresh(store->index);
	packs_let_go(store->packs);
}
