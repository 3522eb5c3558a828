/*
 * Reading a tree's blocks in place. For each block a 64-bit word remembers what was found out: that it is zeros, that it is compressed, or the pack's descriptor and the offset in it, and that it
 * was verified. The words lie in an anonymous mapping that takes memory only where it was touched. They are set by single atomic stores; two threads that find out the same thing at once store
 * the same word. A compressed block is read as a whole, through a small cache.
 *
 * The store may move blocks while they are read. What is remembered belongs to a view, and the view to an epoch of the store, loaded before anything was looked up: what was read by it counts
 * only if the epoch has not changed after the read. Else a new view, that knows nothing yet, takes its place, and the read is done again. Views that were replaced stay until their readers are out
 * of them (base_renew), and with them the files of packs that were removed.
 */
#include "volume/base.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "base/disk.h"
#include "store/tree.h"
#include "volume/block_cache.h"
#include "volume/trace.h"
#include "base/banned.h"

/* bit 0: known; bit 1: verified; bit 2: all zeros; bit 3: compressed; bits 4-23 descriptor; bits 24-63 offset in pages */
enum {
	KNOWN = 1,
	VERIFIED = 2,
	ZERO = 4,
	COMPRESSED = 8,
	FD_SHIFT = 4,
	FD_BITS = 20,
	OFFSET_SHIFT = 24,
	OFFSET_UNIT = 4096
};

struct base_view {
	uint64_t epoch;
	_Atomic uint64_t *places;
	uint64_t places_size;
	struct store *store;
	uint32_t *packs; /* leased, each once; guarded by the base's lock */
	unsigned pack_count;
	struct base_view *next;
};

struct base {
	struct store *store;
	struct tree *tree;
	uint64_t size;
	uint64_t block_count;
	char *name;
	struct trace *_Atomic trace; /* NULL: nobody wants to know */
	pthread_mutex_t lock;        /* packs of views, replacing the view, making the cache */
	struct base_view *_Atomic view;
	struct base_view *retired;
	struct block_cache *_Atomic cache; /* NULL until the first compressed block */
};

static void free_view(struct base_view *view)
{
	munmap((void *)view->places, view->places_size);
	for (unsigned i = 0; i < view->pack_count; i++)
		store_return_pack(view->store, view->packs[i]);
	free(view->packs);
	free(view);
}

void base_free_views(struct base_view *view)
{
	for (struct base_view *next; view; view = next) {
		next = view->next;
		free_view(view);
	}
}

static int make_view(struct base *base, struct base_view **view_out, struct error *err)
{
	uint64_t size = (base->block_count + 1) * sizeof(uint64_t);
	void *places =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (places == MAP_FAILED)
		return error_set_errno(err, errno, "no memory for the base of %s", base->name);
	struct base_view *view = memory_alloc(sizeof *view);
	*view = (struct base_view){
		.epoch = store_epoch(base->store), .places = places, .places_size = size, .store = base->store
	};
	*view_out = view;
	return 0;
}

int base_open(struct store *store, const struct digest *root, uint64_t size, const char *name,
	struct base **base_out, struct error *err)
{
	struct tree *tree;
	struct base_view *view;
	if (!store)
		return error_set(err, ERROR_INVALID, "a volume with a base needs a store");
	if (tree_open(store, root, &tree, err))
		return -1;
	struct base *base = memory_alloc(sizeof *base);
	*base = (struct base){ .store = store, .tree = tree, .name = memory_strdup(name) };
	pthread_mutex_init(&base->lock, NULL);
	base->size = size < tree_size(tree) ? size : tree_size(tree);
	base->block_count = (base->size + STORE_BLOCK_SIZE - 1) / STORE_BLOCK_SIZE;
	if (make_view(base, &view, err)) {
		base_close(base);
		return -1;
	}
	base->view = view;
	*base_out = base;
	return 0;
}

void base_close(struct base *base)
{
	if (!base)
		return;
	base_free_views(base->retired);
	if (base->view)
		free_view(base->view);
	block_cache_destroy(base->cache);
	tree_close(base->tree);
	pthread_mutex_destroy(&base->lock);
	free(base->name);
	free(base);
}

struct tree *base_tree(struct base *base)
{
	return base->tree;
}

/* Puts a new view in the place of `old`, unless another thread has. */
static int replace_view(struct base *base, struct base_view *old, struct error *err)
{
	struct base_view *view;
	int result = 0;
	pthread_mutex_lock(&base->lock);
	if (base->view == old && !(result = make_view(base, &view, err))) {
		old->next = base->retired;
		base->retired = old;
		atomic_store(&base->view, view);
	}
	pthread_mutex_unlock(&base->lock);
	return result;
}

int base_renew(struct base *base, struct base_view **replaced, struct error *err)
{
	*replaced = NULL;
	if (!base)
		return 0;
	struct base_view *view = atomic_load(&base->view);
	if (store_epoch(base->store) != view->epoch && replace_view(base, view, err))
		return -1;
	pthread_mutex_lock(&base->lock);
	*replaced = base->retired;
	base->retired = NULL;
	pthread_mutex_unlock(&base->lock);
	return 0;
}

/* A view needs one lease of each pack. */
static void keep_pack(struct base *base, struct base_view *view, uint32_t pack)
{
	pthread_mutex_lock(&base->lock);
	unsigned i = 0;
	while (i < view->pack_count && view->packs[i] != pack)
		i++;
	bool had = i < view->pack_count;
	if (!had) {
		view->packs = memory_realloc(view->packs, (view->pack_count + 1) * sizeof *view->packs);
		view->packs[view->pack_count++] = pack;
	}
	pthread_mutex_unlock(&base->lock);
	if (had)
		store_return_pack(base->store, pack);
}

/* Where the block of this digest lies. */
static int locate(struct base *base, struct base_view *view, uint64_t block, const struct digest *digest,
	uint64_t *place, struct error *err)
{
	struct store_location location;
	struct error found;
	if (store_locate(base->store, digest, &location, &found)) {
		if (found.code != ERROR_UNSUPPORTED)
			return error_set(err, found.code, "%s", found.message);
		*place = KNOWN | COMPRESSED;
		return 0;
	}
	keep_pack(base, view, location.pack);
	if (location.size != STORE_BLOCK_SIZE || location.offset % OFFSET_UNIT || location.fd >= 1 << FD_BITS)
		return error_set(err, ERROR_CORRUPT, "block %" PRIu64 " of the base of %s is no block", block,
			base->name);
	*place = KNOWN | (uint64_t)location.fd << FD_SHIFT | location.offset / OFFSET_UNIT << OFFSET_SHIFT;
	return 0;
}

/* Finds out where a block lies. */
static int resolve(
	struct base *base, struct base_view *view, uint64_t block, uint64_t *place, struct error *err)
{
	struct digest digest;
	*place = atomic_load_explicit(&view->places[block], memory_order_acquire);
	if (*place & KNOWN)
		return 0;
	if (tree_lookup(base->tree, block, &digest, err))
		return -1;
	if (digest_is_zero(&digest))
		*place = KNOWN | VERIFIED | ZERO;
	else if (locate(base, view, block, &digest, place, err))
		return -1;
	atomic_store_explicit(&view->places[block], *place, memory_order_release);
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

/* Reads all of a block and hashes it, in pieces that stay in the processor's cache; `size` bytes from `within` on go to `data`. */
static int read_and_hash(uint64_t place, uint8_t *data, uint64_t within, uint64_t size, struct digest *digest)
{
	enum { PIECE = 64 * 1024 };
	struct digest_stream stream;
	uint8_t *piece = memory_alloc(PIECE);
	int failed = 0;
	digest_stream_begin(&stream);
	for (uint64_t at = 0; !failed && at < STORE_BLOCK_SIZE; at += PIECE) {
		failed = disk_read(place_fd(place), piece, PIECE, place_offset(place) + at);
		digest_stream_add(&stream, piece, PIECE);
		uint64_t from = within > at ? within : at;
		uint64_t to = within + size < at + PIECE ? within + size : at + PIECE;
		if (from < to)
			memcpy(data + (from - within), piece + (from - at), to - from);
	}
	digest_stream_end(&stream, digest);
	int read_errno = errno;
	free(piece);
	errno = read_errno;
	return failed && errno != ENODATA ? -1 : 0; /* one cut short is damaged */
}

static int read_failed(const struct base *base, uint64_t block, struct error *err)
{
	return error_set_errno(
		err, errno, "cannot read block %" PRIu64 " of the base of %s", block, base->name);
}

static int report_damage(struct base *base, uint64_t block, const struct digest *digest, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	text_hex(digest, sizeof *digest, hex);
	log_error("block-corrupt", "volume=%s block=%" PRIu64 " digest=%s", base->name, block, hex);
	return error_set(err, ERROR_CORRUPT, "block %" PRIu64 " (%s) of the base of %s is damaged", block,
		hex, base->name);
}

static bool is_current(struct base *base, const struct base_view *view)
{
	return store_epoch(base->store) == view->epoch;
}

/* Verifies a block; `size` bytes from `within` on go to `data`, which count only if it returns 1; 0: the view is of the past. */
static int verify(struct base *base, struct base_view *view, uint64_t block, uint64_t place, uint8_t *data,
	uint64_t within, uint64_t size, struct error *err)
{
	struct digest expected, actual;
	if (tree_lookup(base->tree, block, &expected, err))
		return -1;
	int failed = read_and_hash(place, data, within, size, &actual), read_errno = errno;
	if (!is_current(base, view))
		return 0;
	errno = read_errno;
	if (failed)
		return read_failed(base, block, err);
	if (memcmp(&expected, &actual, sizeof actual)) {
		/* forgotten, as the store may get a good copy of it: the next read looks where it lies then */
		atomic_store(&view->places[block], 0);
		return report_damage(base, block, &expected, err);
	}
	atomic_fetch_or(&view->places[block], VERIFIED);
	return 1;
}

static struct block_cache *cache_of(struct base *base)
{
	struct block_cache *cache = atomic_load(&base->cache);
	if (cache)
		return cache;
	pthread_mutex_lock(&base->lock);
	if (!base->cache)
		base->cache = block_cache_create();
	cache = base->cache;
	pthread_mutex_unlock(&base->lock);
	return cache;
}

/* The store decompresses and verifies, wherever the block lies: no view can be wrong about that. */
static int read_compressed(
	struct base *base, uint64_t block, uint8_t *data, uint64_t within, uint64_t size, struct error *err)
{
	struct digest digest;
	struct error found;
	size_t whole_size;
	struct block_cache *cache = cache_of(base);
	if (block_cache_read(cache, block, data, within, size))
		return 1;
	if (tree_lookup(base->tree, block, &digest, err))
		return -1;
	uint8_t *whole = memory_alloc(STORE_BLOCK_SIZE);
	if (store_get(base->store, &digest, whole, &whole_size, &found)) {
		free(whole);
		return found.code == ERROR_CORRUPT ? report_damage(base, block, &digest, err)
						   : error_set(err, found.code, "%s", found.message);
	}
	memcpy(data, whole + within, size);
	block_cache_enter(cache, block, whole);
	return 1;
}

/* A piece of a block by what a view knows: 1, 0 if the view is of the past, -1. */
static int read_by_view(struct base *base, struct base_view *view, uint64_t block, uint8_t *data,
	uint64_t within, uint64_t size, struct error *err)
{
	uint64_t place;
	if (resolve(base, view, block, &place, err))
		return -1;
	if (place & ZERO) {
		memset(data, 0, size);
		return 1;
	}
	if (place & COMPRESSED)
		return read_compressed(base, block, data, within, size, err);
	if (!(place & VERIFIED))
		return verify(base, view, block, place, data, within, size, err);
	int failed = disk_read(place_fd(place), data, size, place_offset(place) + within);
	int read_errno = errno;
	if (!is_current(base, view))
		return 0;
	errno = read_errno;
	return failed ? read_failed(base, block, err) : 1;
}

/* A piece of one block, which it does not cross. */
static int read_piece(struct base *base, uint8_t *data, uint64_t offset, uint64_t size, struct error *err)
{
	uint64_t block = offset / STORE_BLOCK_SIZE, within = offset % STORE_BLOCK_SIZE;
	for (;;) {
		struct base_view *view = atomic_load(&base->view);
		int done = read_by_view(base, view, block, data, within, size, err);
		if (done)
			return done < 0 ? -1 : 0;
		if (replace_view(base, view, err))
			return -1;
	}
}

int base_prefetch(struct base *base, uint64_t block, struct error *err)
{
	if (!base || block >= base->block_count)
		return 0;
	for (;;) {
		uint64_t place;
		struct base_view *view = atomic_load(&base->view);
		if (resolve(base, view, block, &place, err))
			return -1;
		if (place & (ZERO | VERIFIED | COMPRESSED))
			return 0;
		int done = verify(base, view, block, place, NULL, 0, 0, err);
		if (done)
			return done < 0 ? -1 : 0;
		if (replace_view(base, view, err))
			return -1;
	}
}

void base_set_trace(struct base *base, struct trace *trace)
{
	atomic_store_explicit(&base->trace, trace, memory_order_release);
}

int base_read(struct base *base, void *data, uint64_t offset, uint64_t size, struct error *err)
{
	uint8_t *at = data;
	struct trace *trace = base ? atomic_load_explicit(&base->trace, memory_order_acquire) : NULL;
	if (trace)
		trace_note_read(trace, offset, size);
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

int base_read_block(struct base *base, uint64_t block, void *data, struct error *err)
{
	struct digest digest = { 0 };
	struct error found;
	size_t size = 0;
	uint64_t offset = block * STORE_BLOCK_SIZE;
	if (!base || block >= base->block_count) {
		memset(data, 0, STORE_BLOCK_SIZE);
		return 0;
	}
	if (tree_lookup(base->tree, block, &digest, err))
		return -1;
	if (!digest_is_zero(&digest) && store_get_once(base->store, &digest, data, &size, &found))
		return found.code == ERROR_CORRUPT ? report_damage(base, block, &digest, err)
						   : error_set(err, found.code, "%s", found.message);
	if (size && size != STORE_BLOCK_SIZE)
		return error_set(err, ERROR_CORRUPT, "block %" PRIu64 " of the base of %s is no block", block,
			base->name);
	if (size && size > base->size - offset)
		size = base->size - offset;
	memset((uint8_t *)data + size, 0, STORE_BLOCK_SIZE - size);
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
	if (resolve(base, atomic_load(&base->view), block, &place, err))
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
