/*
 * Reading trees. Owns a small cache of decoded pages: walks touch a page many times in a row, and random readers keep their own cache of what they found, so a few of each level do. A page is read and verified when it is
 * first needed, and shared by reference, so the cache's lock is held only to look. Comparing takes a page's checksum for its digest; nobody else is given a page that was not hashed. Pages of a tree that is
 * elsewhere (tree_open_from) are hashed as they come.
 * Any thread.
 */
#include "store/tree_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "store/store_internal.h"
#include "base/banned.h"

/* 2 GiB of disk under the leaves, 128 GiB under the pages next above; at most 340 KiB, if all were taken */
enum { LEAF_SLOTS = 32, UPPER_SLOTS = 8, CACHE_SLOTS = LEAF_SLOTS + (TREE_LEVELS_LIMIT - 1) * UPPER_SLOTS };

struct cache_slot {
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
	pthread_mutex_t run_lock;
	struct page_run *runs[2]; /* leaves, and what is above them; NULL: nothing was compared yet */
};

static struct tree *tree_create(const struct digest *digest, const struct root *root)
{
	struct tree *tree = memory_alloc(sizeof *tree);
	*tree = (struct tree){ .digest = *digest, .root = *root };
	pthread_mutex_init(&tree->lock, NULL);
	pthread_mutex_init(&tree->run_lock, NULL);
	return tree;
}

static int fail_root(const struct digest *digest, const uint8_t *bytes, size_t size, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	unsigned version = root_version(bytes, size);
	if (version && version != TREE_VERSION)
		return error_set(err, ERROR_UNSUPPORTED,
			"tree %s is of version %u, which this version does not read (it reads %d)",
			text_hex(digest, sizeof *digest, hex), version, TREE_VERSION);
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
		failed = fail_root(digest, buffer, size, err);
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
		return fail_root(digest, buffer, size, err);
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
	for (int i = 0; i < 2; i++)
		page_run_destroy(tree->runs[i]);
	pthread_mutex_destroy(&tree->run_lock);
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

uint64_t tree_data_blocks(const struct tree *tree)
{
	return tree->root.blocks;
}

int tree_get_data_blocks(struct store *store, const struct digest *root, uint64_t *blocks, struct error *err)
{
	struct tree *tree;
	if (tree_open(store, root, &tree, err))
		return -1;
	*blocks = tree_data_blocks(tree);
	tree_close(tree);
	return 0;
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
	struct tree_page *page = memory_alloc(sizeof *page);
	page->references = 1;
	page->verified = true;
	return page;
}

static struct cache_slot *slot_of(struct tree *tree, unsigned level, uint64_t index)
{
	return level == 1 ? &tree->cache[index % LEAF_SLOTS]
			  : &tree->cache[LEAF_SLOTS + (level - 2) * UPPER_SLOTS + index % UPPER_SLOTS];
}

static struct tree_page *cache_find(struct tree *tree, unsigned level, uint64_t index, bool verified)
{
	struct cache_slot *slot = slot_of(tree, level, index);
	struct tree_page *page = NULL;
	pthread_mutex_lock(&tree->lock);
	if (slot->page && slot->index == index && (slot->page->verified || !verified)) {
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
	*slot = (struct cache_slot){ .index = index, .page = page };
	pthread_mutex_unlock(&tree->lock);
	tree_put_page(old);
}

/* For comparing: whoever comes while another thread is at it reads page by page. */
static int get_unverified(struct tree *tree, unsigned level, const struct digest *digest, uint8_t *bytes,
	size_t *size, bool *verified, struct error *err)
{
	struct page_run **run = &tree->runs[level > 1];
	if (pthread_mutex_trylock(&tree->run_lock))
		return store_get_page(tree->store, NULL, digest, bytes, size, verified, err);
	if (!*run)
		*run = page_run_create();
	int result = store_get_page(tree->store, *run, digest, bytes, size, verified, err);
	pthread_mutex_unlock(&tree->run_lock);
	return result;
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
		failed = get_unverified(tree, level, digest, buffer, &size, &page->verified, err);
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

static int get_page(struct tree *tree, unsigned level, uint64_t index, bool verified, struct tree_page **page,
	struct error *err);

static int get_digest(struct tree *tree, unsigned level, uint64_t index, bool verified, struct digest *digest,
	struct error *err)
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
	if (get_page(tree, level + 1, index >> PAGE_FANOUT_BITS, verified, &parent, err))
		return -1;
	if (parent)
		*digest = parent->page.ids[index % PAGE_FANOUT];
	tree_put_page(parent);
	return 0;
}

int tree_get_digest(
	struct tree *tree, unsigned level, uint64_t index, struct digest *digest, struct error *err)
{
	return get_digest(tree, level, index, true, digest, err);
}

/* tree_get_page; without `verified`, the page's checksum is enough, and those of the pages above it. */
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
	if (get_digest(tree, level, index, verified, &digest, err))
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

/*
 * The page whose ids are compared at a level. Where the other tree is higher by more than a level, ids of our own are not known; the top's stands for them: it is no page of that level's, so it
 * differs from whatever the other has there, and what is below is looked at.
 */
static int get_compared(
	struct tree *tree, unsigned level, uint64_t index, struct tree_page **page, struct error *err)
{
	*page = NULL;
	if (!tree)
		return 0;
	if (level > tree->root.levels + 1U && index == 0)
		level = tree->root.levels + 1U;
	return get_page(tree, level, index, false, page, err);
}

/* The first place from `from` on at which two pages differ (NULL: all zeros); PAGE_FANOUT if none does. */
static unsigned first_difference(const struct tree_page *a, const struct tree_page *b, unsigned from,
	struct digest *id_a, struct digest *id_b)
{
	enum { STRETCH = 16 }; /* compared at one go */
	static const struct digest zeros[PAGE_FANOUT];
	const struct digest *ids_a = a ? a->page.ids : zeros, *ids_b = b ? b->page.ids : zeros;
	unsigned i = from, length;
	for (; i < PAGE_FANOUT; i += length) {
		length = STRETCH - i % STRETCH;
		if (memcmp(ids_a + i, ids_b + i, length * sizeof *zeros))
			break;
	}
	while (i < PAGE_FANOUT && !memcmp(ids_a + i, ids_b + i, sizeof *zeros))
		i++;
	if (i < PAGE_FANOUT) {
		*id_a = ids_a[i];
		*id_b = ids_b[i];
	}
	return i;
}

/* Goes on, within the page of that level over *index, to the first child that differs; `position` PAGE_FANOUT: behind the page. */
static int seek_in_page(struct tree *a, struct tree *b, unsigned level, uint64_t *index, unsigned *position,
	struct digest *id_a, struct digest *id_b, struct error *err)
{
	unsigned shift = PAGE_FANOUT_BITS * (level - 1);
	uint64_t child = *index >> shift, page = child >> PAGE_FANOUT_BITS;
	struct tree_page *page_a = NULL, *page_b = NULL;
	int failed = get_compared(a, level, page, &page_a, err) || get_compared(b, level, page, &page_b, err);
	if (!failed) {
		*position = first_difference(page_a, page_b, child % PAGE_FANOUT, id_a, id_b);
		if (*position != child % PAGE_FANOUT)
			*index = ((page << PAGE_FANOUT_BITS) + *position) << shift;
	}
	tree_put_page(page_a);
	tree_put_page(page_b);
	return failed ? -1 : 0;
}

/* Down to the child that differs; at the end of a page, up as far as it ends other pages as well. */
int tree_next_difference(struct tree *a, struct tree *b, uint64_t *index, struct digest *block_a,
	struct digest *block_b, bool *found, struct error *err)
{
	uint64_t count_a = a ? tree_block_count(a) : 0, count_b = b ? tree_block_count(b) : 0;
	uint64_t count = count_a > count_b ? count_a : count_b;
	unsigned levels = root_levels(count), level = levels, position;
	struct digest id_a, id_b;
	*found = false;
	while (*index < count) {
		if (seek_in_page(a, b, level, index, &position, &id_a, &id_b, err))
			return -1;
		if (position == PAGE_FANOUT) {
			while (level < levels &&
				*index >> PAGE_FANOUT_BITS * level << PAGE_FANOUT_BITS * level == *index)
				level++;
		} else if (level > 1) {
			level--;
		} else {
			*found = *index < count;
			*block_a = id_a;
			*block_b = id_b;
			return 0;
		}
	}
	return 0;
}
