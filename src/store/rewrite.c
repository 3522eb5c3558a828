/*
 * Plans and steps of rewrites. A plan for compression walks trees under the maintenance lock and marks what it saw in a bitmap over index slots, which do not move meanwhile, so a page that trees
 * share is read once. One for warming walks one tree and needs no lock. A step moves blocks with the mover; their old places are punched.
 */
#include "store/rewrite.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "store/encoding.h"
#include "store/mover.h"
#include "store/page.h"
#include "store/tree.h"
#include "base/banned.h"

enum { PLAN_LIMIT = 1 << 18, STEP_BYTES = 32 << 20, LOAD_BEFORE = 50 };

struct store_rewrite {
	struct store *store;
	uint8_t encoding; /* that the blocks are to have */
	struct digest *blocks;
	size_t count, capacity, next;
};

struct walk {
	struct store *store;
	uint8_t *seen;                 /* a bit for each slot of the index */
	struct store_rewrite *rewrite; /* gets the blocks seen first; NULL: none does */
	struct page *pages;            /* one for each level of the recursion */
	uint8_t *buffer;
};

static void add_block(struct store_rewrite *rewrite, const struct digest *digest)
{
	if (rewrite->count == rewrite->capacity) {
		rewrite->capacity = rewrite->capacity ? 2 * rewrite->capacity : 1024;
		rewrite->blocks =
			memory_realloc(rewrite->blocks, rewrite->capacity * sizeof *rewrite->blocks);
	}
	rewrite->blocks[rewrite->count++] = *digest;
}

/* An object's entry, and whether it was seen before; from now on it was. */
static int enter(struct walk *walk, const struct digest *digest, struct index_entry *entry, bool *seen,
	struct error *err)
{
	uint64_t slot;
	char hex[2 * DIGEST_SIZE + 1];
	if (!index_find_slot(walk->store->index, digest, &slot) ||
		!index_read_slot(walk->store->index, slot, entry))
		return error_set(
			err, ERROR_CORRUPT, "object %s is missing", text_hex(digest, sizeof *digest, hex));
	*seen = walk->seen[slot / 8] >> slot % 8 & 1;
	walk->seen[slot / 8] |= (uint8_t)(1U << slot % 8);
	return 0;
}

static int walk_page(struct walk *walk, const struct digest *digest, unsigned level, struct error *err);

/* `level` 0 is a block. */
static int walk_object(struct walk *walk, const struct digest *digest, unsigned level, struct error *err)
{
	struct index_entry entry;
	bool seen;
	if (level)
		return walk_page(walk, digest, level, err);
	if (enter(walk, digest, &entry, &seen, err))
		return -1;
	if (!seen && walk->rewrite && entry.kind == STORE_BLOCK &&
		(entry.encoding == ENCODING_PLAIN) != (walk->rewrite->encoding == ENCODING_PLAIN))
		add_block(walk->rewrite, digest);
	return 0;
}

static int walk_page(struct walk *walk, const struct digest *digest, unsigned level, struct error *err)
{
	struct index_entry entry;
	struct page *page = &walk->pages[level];
	bool seen;
	if (enter(walk, digest, &entry, &seen, err))
		return -1;
	if (seen)
		return 0;
	if (store_read_entry(walk->store, &entry, walk->buffer, err))
		return -1;
	if (page_decode(walk->buffer, entry.size, page) || page->level != level)
		return error_set(err, ERROR_CORRUPT, "a page of level %u is malformed", level);
	for (unsigned i = 0; i < PAGE_FANOUT; i++)
		if (!digest_is_zero(&page->ids[i]) && walk_object(walk, &page->ids[i], level - 1, err))
			return -1;
	return 0;
}

static int walk_root(struct walk *walk, const struct digest *digest, struct error *err)
{
	struct index_entry entry;
	struct root root;
	bool seen;
	char hex[2 * DIGEST_SIZE + 1];
	if (enter(walk, digest, &entry, &seen, err))
		return -1;
	if (seen || (!walk->rewrite && entry.kind == STORE_BLOCK))
		return 0;
	text_hex(digest, sizeof *digest, hex);
	if (store_read_entry(walk->store, &entry, walk->buffer, err))
		return -1;
	if (root_decode(walk->buffer, entry.size, &root))
		return error_set(err, ERROR_CORRUPT, "root %s is malformed", hex);
	if (!digest_is_zero(&root.top) && walk_object(walk, &root.top, root.levels, err))
		return error_prefix(err, "root %s", hex);
	return 0;
}

static int walk_roots(struct walk *walk, store_next_root *next_root, void *context, struct error *err)
{
	struct digest root;
	int more = 1;
	while (!(walk->rewrite && walk->rewrite->count >= PLAN_LIMIT) &&
		(more = next_root(context, &root, err)) > 0)
		if (!digest_is_zero(&root) && walk_root(walk, &root, err))
			return -1;
	return more < 0 ? -1 : 0;
}

static void walk_begin(struct walk *walk, struct store *store)
{
	uint64_t size = index_slot_count(store->index) / 8;
	*walk = (struct walk){ .store = store,
		.seen = memory_alloc(size),
		.pages = memory_alloc((TREE_LEVELS_LIMIT + 1) * sizeof(struct page)),
		.buffer = memory_alloc(STORE_BLOCK_SIZE) };
	memset(walk->seen, 0, size);
}

static void walk_end(struct walk *walk)
{
	free(walk->seen);
	free(walk->pages);
	free(walk->buffer);
}

static struct store_rewrite *make_rewrite(struct store *store, enum object_encoding encoding)
{
	struct store_rewrite *rewrite = memory_alloc(sizeof *rewrite);
	*rewrite = (struct store_rewrite){ .store = store, .encoding = encoding };
	return rewrite;
}

void store_rewrite_close(struct store_rewrite *rewrite)
{
	if (!rewrite)
		return;
	free(rewrite->blocks);
	free(rewrite);
}

uint64_t store_rewrite_left(const struct store_rewrite *rewrite)
{
	return rewrite->count - rewrite->next;
}

int store_plan_compression(struct store *store, store_next_root *cold, void *cold_context,
	store_next_root *warm, void *warm_context, struct store_rewrite **rewrite_out, struct error *err)
{
	struct walk walk;
	struct error own_error = { 0 };
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	struct store_rewrite *rewrite = make_rewrite(store, ENCODING_ZSTD);
	pthread_mutex_lock(&store->maintenance);
	walk_begin(&walk, store);
	err = err ? err : &own_error;
	int result = walk_roots(&walk, warm, warm_context, err);
	walk.rewrite = rewrite;
	if (!result)
		result = walk_roots(&walk, cold, cold_context, err);
	walk_end(&walk);
	pthread_mutex_unlock(&store->maintenance);
	if (result) {
		store_rewrite_close(rewrite);
		return -1;
	}
	*rewrite_out = rewrite;
	return 0;
}

static int find_compressed(struct store_rewrite *rewrite, struct tree *tree, struct error *err)
{
	struct digest digest;
	struct index_entry entry;
	bool found;
	for (uint64_t block = 0; block < tree_block_count(tree); block++) {
		if (tree_next(tree, &block, &digest, &found, err))
			return -1;
		if (!found)
			break;
		if (index_find(rewrite->store->index, &digest, &entry) && entry.encoding != ENCODING_PLAIN)
			add_block(rewrite, &digest);
	}
	return 0;
}

int store_plan_warming(
	struct store *store, const struct digest *root, struct store_rewrite **rewrite_out, struct error *err)
{
	struct tree *tree;
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	if (tree_open(store, root, &tree, err))
		return -1;
	struct store_rewrite *rewrite = make_rewrite(store, ENCODING_PLAIN);
	int result = find_compressed(rewrite, tree, err);
	tree_close(tree);
	if (result) {
		store_rewrite_close(rewrite);
		return -1;
	}
	*rewrite_out = rewrite;
	return 0;
}

/* A move to another encoding takes a new slot. The caller holds maintenance. */
static int make_room(struct store *store, struct error *err)
{
	if (index_load_percent(store->index) < LOAD_BEFORE)
		return 0;
	pthread_rwlock_wrlock(&store->quiet);
	int result = index_rebuild(store->index, false, err);
	pthread_rwlock_unlock(&store->quiet);
	return result;
}

static int rewrite_block(struct store_rewrite *rewrite, struct mover *mover, const struct digest *digest,
	struct store_rewrite_result *result, struct error *err)
{
	struct index_entry entry;
	struct error own_error;
	bool moved = false;
	uint64_t before = mover_pending(mover);
	/* gone, or done by somebody else */
	if (!index_find(rewrite->store->index, digest, &entry) || entry.encoding == rewrite->encoding) {
		result->unchanged++;
		return 0;
	}
	if (mover_add(mover, &entry, rewrite->encoding, &moved, &own_error)) {
		if (own_error.code != ERROR_CORRUPT) {
			if (err)
				*err = own_error;
			return -1;
		}
		log_error("object-corrupt", "message=\"%s\"", own_error.message);
	}
	if (!moved) {
		result->unchanged++;
		return 0;
	}
	result->blocks++;
	result->bytes_before += store_entry_bytes(&entry);
	result->bytes_after += mover_pending(mover) - before;
	return 0;
}

int store_rewrite_step(
	struct store_rewrite *rewrite, uint64_t limit, struct store_rewrite_result *result, struct error *err)
{
	struct store *store = rewrite->store;
	pthread_mutex_lock(&store->maintenance);
	struct mover *mover = mover_create(store, true);
	int failed = store_check_movable(store, err) || make_room(store, err) ? -1 : 0;
	for (uint64_t done = 0; !failed && done < limit && rewrite->next < rewrite->count;
		done += STORE_BLOCK_SIZE) {
		failed = rewrite_block(rewrite, mover, &rewrite->blocks[rewrite->next], result, err);
		rewrite->next += !failed;
	}
	/* also after an error: what was copied is good */
	struct error own_error;
	failed |= mover_switch(mover, failed ? &own_error : err);
	mover_destroy(mover);
	pthread_mutex_unlock(&store->maintenance);
	return failed;
}

/* Carries a rewrite out, and closes it. */
static int run(struct store_rewrite *rewrite, struct store_rewrite_result *result, struct error *err)
{
	struct store_rewrite_result own = { 0 };
	int failed = 0;
	while (!failed && store_rewrite_left(rewrite))
		failed = store_rewrite_step(rewrite, STEP_BYTES, &own, err);
	store_rewrite_close(rewrite);
	if (result)
		*result = own;
	return failed;
}

int store_compress(struct store *store, store_next_root *cold, void *cold_context, store_next_root *warm,
	void *warm_context, struct store_rewrite_result *result, struct error *err)
{
	struct store_rewrite *rewrite;
	if (store_plan_compression(store, cold, cold_context, warm, warm_context, &rewrite, err))
		return -1;
	return run(rewrite, result, err);
}

int store_warm(struct store *store, const struct digest *root, struct store_rewrite_result *result,
	struct error *err)
{
	struct store_rewrite *rewrite;
	if (store_plan_warming(store, root, &rewrite, err))
		return -1;
	return run(rewrite, result, err);
}
