/*
 * Which parts of trees are damaged. Pages are read from the top down. One under which all is well is remembered, so that trees that share pages, as successive snapshots do, cost little more than one of
 * them. A page that cannot be read takes all that lies below it with it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "store/page.h"
#include "store/scrub.h"
#include "store/store_internal.h"
#include "base/banned.h"

enum { FIRST_CAPACITY = 1024 };

struct store_damage_search {
	struct store *store;
	struct digest *sound; /* pages; open addressing, the zero digest is a free place */
	size_t sound_count, capacity;
	struct page *pages; /* one for each level of the recursion */
	uint8_t *buffer;
};

struct walk {
	struct store_damage_search *search;
	uint64_t disk_size;
	store_damage_visit *visit;
	void *context;
};

struct store_damage_search *store_damage_search_create(struct store *store)
{
	struct store_damage_search *search = memory_alloc(sizeof *search);
	*search = (struct store_damage_search){ .store = store, .capacity = FIRST_CAPACITY };
	search->sound = memory_alloc(search->capacity * sizeof *search->sound);
	search->pages = memory_alloc((TREE_LEVELS_LIMIT + 1) * sizeof *search->pages);
	search->buffer = memory_alloc(STORE_BLOCK_SIZE);
	return search;
}

void store_damage_search_destroy(struct store_damage_search *search)
{
	if (!search)
		return;
	free(search->sound);
	free(search->pages);
	free(search->buffer);
	free(search);
}

/* The place of a digest, or the free one where it belongs. */
static size_t place_of(const struct digest *table, size_t capacity, const struct digest *digest)
{
	size_t place;
	memcpy(&place, digest->bytes, sizeof place);
	place &= capacity - 1;
	while (!digest_is_zero(&table[place]) && memcmp(&table[place], digest, sizeof *digest))
		place = (place + 1) & (capacity - 1);
	return place;
}

static bool is_sound(const struct store_damage_search *search, const struct digest *digest)
{
	return !digest_is_zero(&search->sound[place_of(search->sound, search->capacity, digest)]);
}

static void note_sound(struct store_damage_search *search, const struct digest *digest)
{
	if (2 * ++search->sound_count > search->capacity) {
		size_t capacity = 2 * search->capacity;
		struct digest *larger = memory_alloc(capacity * sizeof *larger);
		for (size_t i = 0; i < search->capacity; i++)
			if (!digest_is_zero(&search->sound[i]))
				larger[place_of(larger, capacity, &search->sound[i])] = search->sound[i];
		free(search->sound);
		search->sound = larger;
		search->capacity = capacity;
	}
	search->sound[place_of(search->sound, search->capacity, digest)] = *digest;
}

/* All that lies under a page (level 0: a block) of that index is damaged. */
static int visit_range(struct walk *walk, unsigned level, uint64_t index, struct error *err)
{
	unsigned shift = PAGE_FANOUT_BITS * level;
	uint64_t offset = (index << shift) * STORE_BLOCK_SIZE;
	uint64_t size = shift < 45 ? (1ULL << shift) * STORE_BLOCK_SIZE : UINT64_MAX;
	if (offset >= walk->disk_size)
		return 0;
	if (size > walk->disk_size - offset)
		size = walk->disk_size - offset;
	return walk->visit(walk->context, offset, size, err);
}

static bool is_damaged(const struct store_damage_search *search, const struct digest *digest)
{
	return damage_has(search->store->damage, digest);
}

/* *sound: nothing at or below this page is damaged. */
static int walk_page(struct walk *walk, const struct digest *digest, unsigned level, uint64_t index,
	bool *sound, struct error *err)
{
	struct store_damage_search *search = walk->search;
	struct page *page = &search->pages[level];
	struct error unreadable;
	size_t size;
	*sound = is_sound(search, digest);
	if (*sound)
		return 0;
	if (is_damaged(search, digest) ||
		store_get(search->store, digest, search->buffer, &size, &unreadable) ||
		page_decode(search->buffer, size, page) || page->level != level)
		return visit_range(walk, level, index, err);
	bool all = true, below;
	for (unsigned i = 0; i < PAGE_FANOUT; i++) {
		uint64_t child = (index << PAGE_FANOUT_BITS) + i;
		if (digest_is_zero(&page->ids[i]))
			continue;
		if (level > 1) {
			if (walk_page(walk, &page->ids[i], level - 1, child, &below, err))
				return -1;
		} else {
			below = !is_damaged(search, &page->ids[i]);
			if (!below && visit_range(walk, 0, child, err))
				return -1;
		}
		all &= below;
	}
	*sound = all;
	if (all)
		note_sound(search, digest);
	return 0;
}

int store_damage_search_root(struct store_damage_search *search, const struct digest *root_digest,
	store_damage_visit *visit, void *context, struct error *err)
{
	struct walk walk = { .search = search, .disk_size = UINT64_MAX, .visit = visit, .context = context };
	struct root root;
	struct error unreadable;
	size_t size;
	bool sound;
	if (is_damaged(search, root_digest) ||
		store_get(search->store, root_digest, search->buffer, &size, &unreadable) ||
		root_decode(search->buffer, size, &root))
		return visit(context, 0, UINT64_MAX, err); /* not even its size is known */
	if (digest_is_zero(&root.top))
		return 0;
	walk.disk_size = root.size;
	return walk_page(&walk, &root.top, root.levels, 0, &sound, err);
}
