/*
 * Reading a tree's blocks in place. For each block a 64-bit word remembers what was found out: that it is zeros, or the pack's descriptor and the offset in it, and that it was verified.
 * The words lie in an anonymous mapping that takes memory only where it was touched. They are set by single atomic stores; two threads that find out the same thing at once store
 * the same word.
 */
#include "volume/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "base/disk.h"
#include "store/tree.h"
#include "base/banned.h"

/* bit 0: known; bit 1: verified; bit 2: all zeros; bits 3-22 descriptor; bits 23-63 offset in pages */
enum { KNOWN = 1, VERIFIED = 2, ZERO = 4, FD_SHIFT = 3, FD_BITS = 20, OFFSET_SHIFT = 23, OFFSET_UNIT = 4096 };

struct base {
	struct store *store;
	struct tree *tree;
	uint64_t size;
	uint64_t block_count;
	char *name;
	_Atomic uint64_t *places;
	uint64_t places_size;
};

int base_open(struct store *store, const struct digest *root, uint64_t size, const char *name,
	struct base **base_out, struct error *err)
{
	struct tree *tree;
	if (!store)
		return error_set(err, ERROR_INVALID, "a volume with a base needs a store");
	if (tree_open(store, root, &tree, err))
		return -1;
	struct base *base = memory_alloc(sizeof *base);
	*base = (struct base){ .store = store, .tree = tree, .name = memory_strdup(name) };
	base->size = size < tree_size(tree) ? size : tree_size(tree);
	base->block_count = (base->size + STORE_BLOCK_SIZE - 1) / STORE_BLOCK_SIZE;
	base->places_size = base->block_count * sizeof *base->places + sizeof *base->places;
	void *places = mmap(NULL, base->places_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (places == MAP_FAILED) {
		error_set_errno(err, errno, "no memory for the base of %s", name);
		base_close(base);
		return -1;
	}
	base->places = places;
	*base_out = base;
	return 0;
}

void base_close(struct base *base)
{
	if (!base)
		return;
	if (base->places)
		munmap((void *)base->places, base->places_size);
	tree_close(base->tree);
	free(base->name);
	free(base);
}

struct tree *base_tree(struct base *base)
{
	return base->tree;
}

/* Finds out where a block lies. */
static int resolve(struct base *base, uint64_t block, uint64_t *place, struct error *err)
{
	struct digest digest;
	struct store_location location;
	*place = atomic_load_explicit(&base->places[block], memory_order_acquire);
	if (*place & KNOWN)
		return 0;
	if (tree_lookup(base->tree, block, &digest, err))
		return -1;
	if (digest_is_zero(&digest)) {
		*place = KNOWN | VERIFIED | ZERO;
	} else {
		if (store_locate(base->store, &digest, &location, err))
			return -1;
		if (location.size != STORE_BLOCK_SIZE || location.offset % OFFSET_UNIT ||
			location.fd >= 1 << FD_BITS)
			return error_set(err, ERROR_CORRUPT,
				"block %" PRIu64 " of the base of %s is no block", block, base->name);
		*place = KNOWN | (uint64_t)location.fd << FD_SHIFT |
			location.offset / OFFSET_UNIT << OFFSET_SHIFT;
	}
	atomic_store_explicit(&base->places[block], *place, memory_order_release);
	return 0;
}

static int place_fd(uint64_t place)
{
	return (int)(place >> FD_SHIFT & ((1 << FD_BITS) - 1));
}

static uint64_t place_offset(uint64_t place)
{
	return (place >> OFFSET_SHIFT) * OFFSET_UNIT;
}

/* Reads all of a block into `data` and verifies it. */
static int verify(struct base *base, uint64_t block, uint64_t place, void *data, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	struct digest expected, actual;
	if (tree_lookup(base->tree, block, &expected, err))
		return -1;
	text_hex(&expected, sizeof expected, hex);
	if (disk_read(place_fd(place), data, STORE_BLOCK_SIZE, place_offset(place)) && errno != ENODATA)
		return error_set_errno(
			err, errno, "cannot read block %" PRIu64 " of the base of %s", block, base->name);
	digest_sha256(data, STORE_BLOCK_SIZE, &actual);
	if (memcmp(&expected, &actual, sizeof actual)) {
		log_error("block-corrupt", "volume=%s block=%" PRIu64 " digest=%s", base->name, block, hex);
		return error_set(err, ERROR_CORRUPT, "block %" PRIu64 " (%s) of the base of %s is damaged",
			block, hex, base->name);
	}
	atomic_fetch_or(&base->places[block], VERIFIED);
	return 0;
}

/* A piece of one block, which it does not cross. */
static int read_piece(struct base *base, uint8_t *data, uint64_t offset, uint64_t size, struct error *err)
{
	uint64_t block = offset / STORE_BLOCK_SIZE, within = offset % STORE_BLOCK_SIZE, place;
	if (resolve(base, block, &place, err))
		return -1;
	if (place & ZERO) {
		memset(data, 0, size);
		return 0;
	}
	if (place & VERIFIED) {
		if (disk_read(place_fd(place), data, size, place_offset(place) + within))
			return error_set_errno(err, errno, "cannot read block %" PRIu64 " of the base of %s",
				block, base->name);
		return 0;
	}
	if (size == STORE_BLOCK_SIZE)
		return verify(base, block, place, data, err);
	uint8_t *whole = memory_alloc(STORE_BLOCK_SIZE);
	int result = verify(base, block, place, whole, err);
	if (!result)
		memcpy(data, whole + within, size);
	free(whole);
	return result;
}

int base_read(struct base *base, void *data, uint64_t offset, uint64_t size, struct error *err)
{
	uint8_t *at = data;
	while (size) {
		uint64_t piece = STORE_BLOCK_SIZE - offset % STORE_BLOCK_SIZE;
		if (!base || offset >= base->size) {
			memset(at, 0, size);
			return 0;
		}
		if (piece > size)
			piece = size;
		if (piece > base->size - offset)
			piece = base->size - offset;
		if (read_piece(base, at, offset, piece, err))
			return -1;
		at += piece;
		offset += piece;
		size -= piece;
	}
	return 0;
}

int base_extent(
	struct base *base, uint64_t offset, uint64_t size, bool *zero, uint64_t *length, struct error *err)
{
	if (!base || offset >= base->size) {
		*zero = true;
		*length = size;
		return 0;
	}
	uint64_t block = offset / STORE_BLOCK_SIZE, place, next = block;
	struct digest digest;
	bool found;
	if (resolve(base, block, &place, err))
		return -1;
	*zero = place & ZERO;
	uint64_t end = (block + 1) * STORE_BLOCK_SIZE;
	if (*zero) {
		/* on to the next block that is not, at one go */
		if (tree_next(base->tree, &next, &digest, &found, err))
			return -1;
		end = found && next < base->block_count ? next * STORE_BLOCK_SIZE : UINT64_MAX;
	} else if (end > base->size) {
		end = base->size;
	}
	*length = end - offset < size ? end - offset : size;
	return 0;
}
