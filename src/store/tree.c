/*
 * Reading trees. Owns a small cache of decoded pages, one slot for each residue of (level, index): walks touch a page 1,024 times in a row, and random readers keep their own cache
 * of what they found. A page is read and verified when it is first needed, and shared by reference, so the cache's lock is held only to look. The leaves that a comparison looks at are hashed by the first comparison in this process
 * only; nobody else is given one that was not. Pages of a tree that is elsewhere (tree_open_from) are hashed as they come.
 * Any thread.
 */
#include "store/tree_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "base/banned.h"

enum { CACHE_SLOTS = 32 };

struct cache_slot {
	unsigned level;
	uint64_t index;
	struct tree_page *page; /* NULL: free */
};

struct tree {
	struct store *store; /* NULL: it is elsewhere */
	struct tree_source source;
	struct digest digest;
	struct root root;
	pthread_mutex_t lock; /* the cache */
	struct cache_slot cache[CACHE_SLOTS];
};

static struct tree *tree_create(const struct digest *digest, const struct root *root)
{
	struct tree *tree = memory_alloc(sizeof *tree);
	*tree = (struct tree){ .digest = *digest, .root = *root };
	pthread_mutex_init(&tree->lock, NULL);
	return tree;
}

static int fail_root(const struct digest *digest, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	return error_set(err, ERROR_CORRUPT, "object %s is not the root of a tree",
		text_hex(digest, sizeof *digest, hex));
}

int tree_open(struct store *store, const struct digest *digest, struct tree **tree, struct error *err)
{
	struct root root;
	size_t size;
	if (store_stat(store, digest, &size, err))
		return -1;
	/* no more than it takes: a volume server keeps what its heap has grown to */
	uint8_t *buffer = memory_alloc(size > PAGE_LIMIT ? STORE_BLOCK_SIZE : PAGE_LIMIT);
	int failed = store_get(store, digest, buffer, &size, err);
	if (!failed && root_decode(buffer, size, &root))
		failed = fail_root(digest, err);
	free(buffer);
	if (failed)
		return -1;
	*tree = tree_create(digest, &root);
	(*tree)->store = store;
	return 0;
}

/* Whoever gives it may have made it up. */
static int read_from(const struct tree_source *source, unsigned level, uint64_t index,
	const struct digest *digest, void *data, size_t room, size_t *size, struct error *err)
{
	struct digest found;
	char hex[2 * DIGEST_SIZE + 1];
	if (source->read_page(source->context, level, index, digest, data, room, size, err))
		return -1;
	digest_sha256(data, *size, &found);
	if (digest_equal(&found, digest))
		return 0;
	return error_set(err, ERROR_CORRUPT, "the page of level %u at %" PRIu64 " that came is not object %s",
		level, index, text_hex(digest, sizeof *digest, hex));
}

int tree_open_from(
	const struct tree_source *source, const struct digest *digest, struct tree **tree, struct error *err)
{
	uint8_t buffer[ROOT_SIZE];
	struct root root;
	size_t size;
	if (read_from(source, 0, 0, digest, buffer, sizeof buffer, &size, err))
		return -1;
	if (root_decode(buffer, size, &root))
		return fail_root(digest, err);
	*tree = tree_create(digest, &root);
	(*tree)->source = *source;
	return 0;
}

void tree_close(struct tree *tree)
{
	if (!tree)
		return;
	for (int i = 0; i < CACHE_SLOTS; i++)
		tree_put_page(tree->cache[i].page);
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

uint64_t tree_size(const struct tree *tree)
{
	return tree->root.size;
}

uint64_t tree_block_count(const struct tree *tree)
{
	return root_block_count(tree->root.size);
}

const struct root *tree_root(const struct tree *tree)
{
	return &tree->root;
}

struct store *tree_store(const struct tree *tree)
{
	return tree->store;
}

void tree_put_page(struct tree_page *page)
{
	if (page && atomic_fetch_sub(&page->references, 1) == 1)
		free(page);
}

/* The page itself is not filled in. */
static struct tree_page *new_page(void)
{
	enum { ALIGNMENT = 64, SIZE = (sizeof(struct tree_page) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };
	struct tree_page *page = memory_alloc_aligned(ALIGNMENT, SIZE);
	page->references = 1;
	page->verified = true;
	return page;
}

static struct cache_slot *slot_of(struct tree *tree, unsigned level, uint64_t index)
{
	return &tree->cache[(index + level * 7) % CACHE_SLOTS];
}

static struct tree_page *cache_find(struct tree *tree, unsigned level, uint64_t index, bool verified)
{
	struct cache_slot *slot = slot_of(tree, level, index);
	struct tree_page *page = NULL;
	pthread_mutex_lock(&tree->lock);
	if (slot->page && slot->level == level && slot->index == index &&
		(slot->page->verified || !verified)) {
		page = slot->page;
		atomic_fetch_add(&page->references, 1);
	}
	pthread_mutex_unlock(&tree->lock);
	return page;
}

static void cache_enter(struct tree *tree, unsigned level, uint64_t index, struct tree_page *page)
{
	struct cache_slot *slot = slot_of(tree, level, index);
	atomic_fetch_add(&page->references, 1);
	pthread_mutex_lock(&tree->lock);
	struct tree_page *old = slot->page;
	*slot = (struct cache_slot){ .level = level, .index = index, .page = page };
	pthread_mutex_unlock(&tree->lock);
	tree_put_page(old);
}

static int read_page(struct tree *tree, unsigned level, uint64_t index, const struct digest *digest,
	bool verified, struct tree_page **page_out, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	uint8_t buffer[PAGE_LIMIT];
	size_t size = 0;
	if (tree->store && verified && store_stat(tree->store, digest, &size, err))
		return -1;
	struct tree_page *page = new_page();
	int failed = 0;
	bool fits = !verified || size <= sizeof buffer;
	if (!tree->store) {
		failed = read_from(&tree->source, level, index, digest, buffer, sizeof buffer, &size, err);
		fits = true;
	} else if (!verified) {
		failed = store_get_again(
			tree->store, digest, buffer, sizeof buffer, &size, &page->verified, err);
		fits = !failed || err->code != ERROR_INVALID;
	} else if (fits) {
		failed = store_get(tree->store, digest, buffer, &size, err);
	}
	if (!fits || (!failed && (page_decode(buffer, size, &page->page) || page->page.level != level)))
		failed = error_set(err, ERROR_CORRUPT, "object %s is not a page of level %u",
			text_hex(digest, sizeof *digest, hex), level);
	if (failed) {
		tree_put_page(page);
		return -1;
	}
	*page_out = page;
	return 0;
}

int tree_get_digest(
	struct tree *tree, unsigned level, uint64_t index, struct digest *digest, struct error *err)
{
	struct tree_page *parent;
	memset(digest, 0, sizeof *digest);
	if (level > tree->root.levels)
		return 0;
	if (level == tree->root.levels) {
		if (index == 0)
			*digest = tree->root.top;
		return 0;
	}
	if (tree_get_page(tree, level + 1, index >> PAGE_FANOUT_BITS, &parent, err))
		return -1;
	if (parent)
		*digest = parent->page.ids[index % PAGE_FANOUT];
	tree_put_page(parent);
	return 0;
}

/* tree_get_page; without `verified`, of a page that was verified before, it is enough. */
static int get_page(struct tree *tree, unsigned level, uint64_t index, bool verified, struct tree_page **page,
	struct error *err)
{
	struct digest digest;
	*page = NULL;
	if (level > tree->root.levels) {
		if (index == 0 && level == tree->root.levels + 1U && !digest_is_zero(&tree->root.top)) {
			*page = new_page();
			(*page)->page = (struct page){ .level = (uint8_t)level };
			(*page)->page.ids[0] = tree->root.top;
		}
		return 0;
	}
	if ((*page = cache_find(tree, level, index, verified)))
		return 0;
	if (tree_get_digest(tree, level, index, &digest, err))
		return -1;
	if (digest_is_zero(&digest))
		return 0;
	if (read_page(tree, level, index, &digest, verified, page, err))
		return -1;
	cache_enter(tree, level, index, *page);
	return 0;
}

int tree_get_page(
	struct tree *tree, unsigned level, uint64_t index, struct tree_page **page, struct error *err)
{
	return get_page(tree, level, index, true, page, err);
}

int tree_lookup(struct tree *tree, uint64_t index, struct digest *block, struct error *err)
{
	if (index >= tree_block_count(tree))
		return error_set(
			err, ERROR_INVALID, "block %" PRIu64 " is beyond the end of the tree", index);
	return tree_get_digest(tree, 0, index, block, err);
}

int tree_next(struct tree *tree, uint64_t *index, struct digest *block, bool *found, struct error *err)
{
	struct digest nothing;
	return tree_next_difference(tree, NULL, index, block, &nothing, found, err);
}

/* What a tree says about a subtree: its digest, or that it has none of its own (levels above the tree's). */
static int subtree(struct tree *tree, unsigned level, uint64_t index, struct digest *digest, bool *known,
	struct error *err)
{
	memset(digest, 0, sizeof *digest);
	*known = true;
	if (!tree)
		return 0;
	if (level > tree->root.levels && index == 0 && !digest_is_zero(&tree->root.top)) {
		*known = false;
		return 0;
	}
	return tree_get_digest(tree, level, index, digest, err);
}

/* How many ids from `i` on are compared at one go: up to the next multiple of 64. */
static unsigned stretch(unsigned i)
{
	enum { STRETCH = 64 };
	return STRETCH - i % STRETCH;
}

/* The first id from `from` on that differs between the leaf pages over it; PAGE_FANOUT if none does. */
static int next_in_leaf(struct tree *a, struct tree *b, uint64_t leaf, unsigned from, unsigned *position,
	struct digest *block_a, struct digest *block_b, struct error *err)
{
	static const struct digest zeros[PAGE_FANOUT];
	struct tree_page *page_a = NULL, *page_b = NULL;
	if ((a && get_page(a, 1, leaf, false, &page_a, err)) ||
		(b && get_page(b, 1, leaf, false, &page_b, err))) {
		tree_put_page(page_a);
		return -1;
	}
	const struct digest *ids_a = page_a ? page_a->page.ids : zeros,
			    *ids_b = page_b ? page_b->page.ids : zeros;
	unsigned i = from;
	while (i < PAGE_FANOUT && !memcmp(ids_a + i, ids_b + i, stretch(i) * sizeof *zeros))
		i += stretch(i);
	while (i < PAGE_FANOUT && !memcmp(ids_a + i, ids_b + i, sizeof *zeros))
		i++;
	if (i < PAGE_FANOUT) {
		*block_a = ids_a[i];
		*block_b = ids_b[i];
	}
	*position = i;
	tree_put_page(page_a);
	tree_put_page(page_b);
	return 0;
}

/* Skips from *index over the largest subtree that is alike in both and begins there; whether it did. */
static int skip_alike(
	struct tree *a, struct tree *b, uint64_t *index, unsigned levels, bool *skipped, struct error *err)
{
	*skipped = false;
	for (unsigned level = levels; level >= 1; level--) {
		struct digest digest_a, digest_b;
		bool known_a, known_b;
		unsigned shift = PAGE_FANOUT_BITS * level;
		if (subtree(a, level, *index >> shift, &digest_a, &known_a, err) ||
			subtree(b, level, *index >> shift, &digest_b, &known_b, err))
			return -1;
		if (known_a && known_b && !memcmp(&digest_a, &digest_b, sizeof digest_a)) {
			*index = ((*index >> shift) + 1) << shift;
			*skipped = true;
			return 0;
		}
	}
	return 0;
}

int tree_next_difference(struct tree *a, struct tree *b, uint64_t *index, struct digest *block_a,
	struct digest *block_b, bool *found, struct error *err)
{
	uint64_t count_a = a ? tree_block_count(a) : 0, count_b = b ? tree_block_count(b) : 0;
	uint64_t count = count_a > count_b ? count_a : count_b;
	unsigned levels = root_levels(count);
	*found = false;
	while (*index < count) {
		bool skipped;
		unsigned position;
		if (skip_alike(a, b, index, levels, &skipped, err))
			return -1;
		if (skipped)
			continue;
		uint64_t leaf = *index >> PAGE_FANOUT_BITS;
		if (next_in_leaf(a, b, leaf, *index % PAGE_FANOUT, &position, block_a, block_b, err))
			return -1;
		*index = (leaf << PAGE_FANOUT_BITS) + position;
		if (position < PAGE_FANOUT) {
			*found = *index < count;
			return 0;
		}
	}
	return 0;
}
