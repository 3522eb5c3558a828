/*
 * Building trees from the bottom up. Changes are gathered as (index, digest) pairs. For each level, the changes are sorted by index; each page they fall into is taken from the
 * base, changed, and put; its new digest is a change of the level above. So only pages on the way to a change are written, and the result depends on nothing but content and size.
 *
 * When the size changes, the pages over the new end (or, growing, those above the old top) are gone through as well: ids beyond the end are dropped, and so is what lies
 * behind the end within the last block.
 */
#include "store/tree_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "store/store_internal.h"
#include "base/banned.h"

struct change {
	uint64_t index;
	uint64_t order; /* the later of two for the same index counts */
	struct digest digest;
};

struct changes {
	struct change *items;
	size_t count, capacity;
};

struct tree_builder {
	struct store_session *session;
	struct tree *base;
	uint64_t size;
	uint64_t block_count;
	pthread_mutex_t lock; /* changes */
	struct changes changes;
	uint64_t added;
	uint64_t data_blocks; /* those of the base, and what pages gain and lose as they are built */
};

static void append_change(struct changes *changes, uint64_t index, const struct digest *digest)
{
	if (changes->count == changes->capacity) {
		changes->capacity = changes->capacity ? 2 * changes->capacity : 64;
		changes->items = memory_realloc(changes->items, changes->capacity * sizeof *changes->items);
	}
	changes->items[changes->count] =
		(struct change){ .index = index, .order = changes->count, .digest = *digest };
	changes->count++;
}

static int put_root(
	struct tree_builder *builder, const struct root *root, struct digest *digest, struct error *err)
{
	uint8_t bytes[ROOT_SIZE];
	uint64_t added = 0;
	root_encode(root, bytes);
	digest_sha256(bytes, sizeof bytes, digest);
	if (store_put(builder->session, STORE_ROOT, digest, bytes, sizeof bytes, &added, err))
		return -1;
	builder->added += added;
	return 0;
}

int tree_builder_create(struct store_session *session, struct tree *base, uint64_t size,
	struct tree_builder **builder_out, struct error *err)
{
	if (!size || size > INT64_MAX)
		return error_set(err, ERROR_INVALID, "a tree cannot have %" PRIu64 " bytes", size);
	struct tree_builder *builder = memory_alloc(sizeof *builder);
	*builder = (struct tree_builder){
		.session = session,
		.base = base,
		.size = size,
		.block_count = root_block_count(size),
		.data_blocks = base ? tree_data_blocks(base) : 0,
	};
	pthread_mutex_init(&builder->lock, NULL);
	struct digest digest;
	/* found present, so that the session protects the base, and all of it that will be shared */
	if (base && put_root(builder, tree_root(base), &digest, err)) {
		tree_builder_destroy(builder);
		return -1;
	}
	*builder_out = builder;
	return 0;
}

void tree_builder_destroy(struct tree_builder *builder)
{
	if (!builder)
		return;
	pthread_mutex_destroy(&builder->lock);
	free(builder->changes.items);
	free(builder);
}

uint64_t tree_builder_data_blocks(const struct tree_builder *builder)
{
	return builder->data_blocks;
}

int tree_builder_set(
	struct tree_builder *builder, uint64_t index, const struct digest *block, struct error *err)
{
	if (index >= builder->block_count)
		return error_set(
			err, ERROR_INVALID, "block %" PRIu64 " is beyond the end of the disk", index);
	pthread_mutex_lock(&builder->lock);
	append_change(&builder->changes, index, block);
	pthread_mutex_unlock(&builder->lock);
	return 0;
}

static int compare_changes(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Sorts, and keeps the last change of each index. */
static void sort_changes(struct changes *changes)
{
	size_t kept = 0;
	if (!changes->count)
		return;
	qsort(changes->items, changes->count, sizeof *changes->items, compare_changes);
	for (size_t i = 0; i < changes->count; i++)
		if (i + 1 == changes->count || changes->items[i].index != changes->items[i + 1].index)
			changes->items[kept++] = changes->items[i];
	changes->count = kept;
}

/* The base's last block, when the new end lies within it, without what lies behind that end: else growing again would bring it back. */
static int cut_last_block(struct tree_builder *builder, struct error *err)
{
	uint64_t last = builder->block_count - 1, tail = builder->size % STORE_BLOCK_SIZE, added = 0;
	struct digest digest;
	size_t size;
	if (!tail || builder->size >= tree_size(builder->base))
		return 0;
	for (size_t i = 0; i < builder->changes.count; i++)
		if (builder->changes.items[i].index == last)
			return 0; /* replaced anyway */
	if (tree_lookup(builder->base, last, &digest, err))
		return -1;
	if (digest_is_zero(&digest))
		return 0;
	uint8_t *block = memory_alloc(STORE_BLOCK_SIZE);
	int result = store_get(tree_store(builder->base), &digest, block, &size, err);
	if (!result && size > tail) {
		memset(block + tail, 0, size - tail);
		bool zero = !block[0] && !memcmp(block, block + 1, size - 1);
		memset(&digest, 0, sizeof digest);
		if (!zero) {
			digest_sha256(block, size, &digest);
			result = store_put(builder->session, STORE_BLOCK, &digest, block, size, &added, err);
			builder->added += added;
		}
		append_change(&builder->changes, last, &digest);
	}
	free(block);
	return result;
}

/* Ids of a page of this level that lie wholly beyond the end. */
static void drop_beyond_end(struct page *page, uint64_t index, uint64_t block_count)
{
	unsigned shift = PAGE_FANOUT_BITS * (page->level - 1U);
	uint64_t children = ((block_count - 1) >> shift) + 1, first = index << PAGE_FANOUT_BITS;
	for (unsigned i = 0; i < PAGE_FANOUT; i++)
		if (first + i >= children)
			memset(&page->ids[i], 0, DIGEST_SIZE);
}

static unsigned count_ids(const struct page *page)
{
	unsigned count = 0;
	for (unsigned i = 0; i < PAGE_FANOUT; i++)
		count += !digest_is_zero(&page->ids[i]);
	return count;
}

/* Blocks of the base that lie beyond the new end are lost; those in the page over the end are not counted here, as that page is built anyway. */
static int count_cut(struct tree_builder *builder, struct error *err)
{
	uint64_t index = ((builder->block_count - 1) / PAGE_FANOUT + 1) * PAGE_FANOUT;
	struct digest block;
	bool found = true;
	for (; index < tree_block_count(builder->base); index++) {
		if (tree_next(builder->base, &index, &block, &found, err))
			return -1;
		if (!found)
			break;
		builder->data_blocks--;
	}
	return 0;
}

static int put_page(struct tree_builder *builder, const struct page *page, uint8_t *bytes,
	struct digest *digest, struct error *err)
{
	uint64_t added = 0;
	memset(digest, 0, sizeof *digest);
	if (!page->count)
		return 0;
	size_t size = page_encode(page, bytes);
	digest_sha256(bytes, size, digest);
	if (store_put(builder->session, STORE_PAGE, digest, bytes, size, &added, err))
		return -1;
	builder->added += added;
	return 0;
}

/* Makes the page at `index` with the changes [from, to) and notes its digest as a change of the level above. */
static int build_page(struct tree_builder *builder, unsigned level, uint64_t index, const struct change *from,
	const struct change *to, struct changes *above, struct error *err)
{
	struct tree_page *old = NULL;
	struct digest digest;
	if (builder->base && tree_get_page(builder->base, level, index, &old, err))
		return -1;
	struct page *page = memory_alloc(sizeof *page);
	uint8_t *bytes = memory_alloc(PAGE_LIMIT);
	if (old)
		*page = old->page;
	else
		memset(page, 0, sizeof *page);
	tree_put_page(old);
	page->level = (uint8_t)level;
	for (const struct change *change = from; change < to; change++)
		page->ids[change->index % PAGE_FANOUT] = change->digest;
	uint64_t before = page->count;
	drop_beyond_end(page, index, builder->block_count);
	page->count = (uint16_t)count_ids(page);
	if (level == 1)
		builder->data_blocks += page->count - before; /* modulo 2^64 */
	int result = put_page(builder, page, bytes, &digest, err);
	if (!result)
		append_change(above, index, &digest);
	free(page);
	free(bytes);
	return result;
}

static int build_level(struct tree_builder *builder, unsigned level, const struct changes *changes,
	struct changes *above, struct error *err)
{
	/* the page over the end, if the end has moved; above the base's top, the first page */
	uint64_t border = (builder->block_count - 1) >> (PAGE_FANOUT_BITS * level);
	bool moved = builder->base && builder->block_count < tree_block_count(builder->base);
	bool grown = builder->base && level > tree_root(builder->base)->levels;
	bool border_done = !moved, first_done = !grown;
	for (size_t i = 0, next; i < changes->count; i = next) {
		uint64_t index = changes->items[i].index >> PAGE_FANOUT_BITS;
		for (next = i;
			next < changes->count && changes->items[next].index >> PAGE_FANOUT_BITS == index;
			next++)
			;
		border_done |= index == border;
		first_done |= index == 0;
		if (build_page(builder, level, index, changes->items + i, changes->items + next, above, err))
			return -1;
	}
	if (!border_done && build_page(builder, level, border, NULL, NULL, above, err))
		return -1;
	if (!first_done && build_page(builder, level, 0, NULL, NULL, above, err))
		return -1;
	sort_changes(above);
	return 0;
}

/* Builds all levels; the digest of the top page. */
static int build(struct tree_builder *builder, unsigned levels, struct digest *top, struct error *err)
{
	int result = 0;
	sort_changes(&builder->changes);
	for (unsigned level = 1; !result && level <= levels; level++) {
		struct changes above = { 0 };
		result = build_level(builder, level, &builder->changes, &above, err);
		free(builder->changes.items);
		builder->changes = above;
	}
	if (result)
		return -1;
	memset(top, 0, sizeof *top);
	if (builder->changes.count)
		*top = builder->changes.items[0].digest;
	else if (builder->base)
		return tree_get_digest(builder->base, levels, 0, top, err);
	return 0;
}

int tree_builder_finish(
	struct tree_builder *builder, struct digest *root_out, uint64_t *added, struct error *err)
{
	struct root root = { .levels = root_levels(builder->block_count), .size = builder->size };
	if (builder->base && (cut_last_block(builder, err) || count_cut(builder, err)))
		return -1;
	if (build(builder, root.levels, &root.top, err))
		return -1;
	root.blocks = builder->data_blocks;
	if (put_root(builder, &root, root_out, err))
		return -1;
	if (added)
		*added = builder->added;
	return store_sync(store_session_store(builder->session), err);
}
