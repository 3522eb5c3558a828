/*
 * Accounting. All three walks go down from roots and remember the slots they have met, with a number each; `maintenance` is held, so that slots stay what they are.
 *
 * Alone is a deletion that is only simulated: each child met has one reference less than the store counts, and is gone into when none is left. So what is shared is met at its edge and not entered.
 * Full enters everything once. Added enters what is not the same in the parent at the same place, two pages side by side.
 */
#include "store/account.h"

#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "base/banned.h"

/* A set of slots with what is left of their references; open addressing, a power of two of places. */
struct seen {
	struct {
		uint64_t slot; /* + 1; 0: free */
		uint32_t left;
	} * places;
	size_t count, capacity;
};

struct account {
	struct store *store;
	bool everything; /* whether an object is entered although others refer to it */
	struct seen seen;
	struct digest_list work;
	uint8_t *buffer;
	uint64_t bytes;
};

static size_t place_of(const struct seen *seen, uint64_t slot)
{
	size_t place = (size_t)(slot * 0x9e3779b97f4a7c15ULL >> 20) & (seen->capacity - 1);
	while (seen->places[place].slot && seen->places[place].slot != slot + 1)
		place = (place + 1) & (seen->capacity - 1);
	return place;
}

static void grow(struct seen *seen)
{
	struct seen next = { .count = seen->count, .capacity = seen->capacity ? 2 * seen->capacity : 256 };
	next.places = memory_alloc(next.capacity * sizeof *next.places);
	memset(next.places, 0, next.capacity * sizeof *next.places);
	for (size_t i = 0; i < seen->capacity; i++)
		if (seen->places[i].slot)
			next.places[place_of(&next, seen->places[i].slot - 1)] = seen->places[i];
	free(seen->places);
	*seen = next;
}

/* What is left of a slot's references, to be changed; *first: it was not met before, and is `count`. */
static uint32_t *meet(struct seen *seen, uint64_t slot, uint32_t count, bool *first)
{
	if (2 * seen->count >= seen->capacity)
		grow(seen);
	size_t place = place_of(seen, slot);
	*first = !seen->places[place].slot;
	if (*first) {
		seen->places[place].slot = slot + 1;
		seen->places[place].left = count;
		seen->count++;
	}
	return &seen->places[place].left;
}

static int find(struct account *account, const struct digest *digest, struct index_entry *entry,
	uint64_t *slot, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	if (index_find_slot(account->store->index, digest, slot) &&
		index_read_slot(account->store->index, *slot, entry))
		return 0;
	return error_set(err, ERROR_NOT_FOUND, "object %s is not in store %s",
		text_hex(digest, sizeof *digest, hex), account->store->folder);
}

/* Counts an object's bytes, and sees to it that what is below it is met. */
static void enter(struct account *account, const struct index_entry *entry)
{
	account->bytes += store_entry_bytes(entry);
	if (entry->kind != STORE_BLOCK)
		digest_list_append(&account->work, &entry->digest);
}

static int meet_child(void *context, const struct digest *child, struct error *err)
{
	struct account *account = context;
	struct index_entry entry;
	uint64_t slot;
	bool first;
	if (find(account, child, &entry, &slot, err))
		return -1;
	uint32_t *left = meet(&account->seen, slot, references_get(account->store->references, slot), &first);
	if (account->everything ? first : (*left && !--*left))
		enter(account, &entry);
	return 0;
}

static int walk(struct account *account, const struct digest *roots, size_t count, struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	bool first;
	for (size_t i = 0; i < count; i++) {
		if (digest_is_zero(&roots[i]))
			continue;
		if (find(account, &roots[i], &entry, &slot, err))
			return -1;
		meet(&account->seen, slot, 0, &first);
		if (first)
			enter(account, &entry);
	}
	while (account->work.count) {
		struct digest digest = account->work.items[--account->work.count];
		if (find(account, &digest, &entry, &slot, err) ||
			store_read_entry(account->store, &entry, account->buffer, err) ||
			store_visit_children(
				entry.kind, account->buffer, entry.size, meet_child, account, err))
			return -1;
	}
	return 0;
}

/* Rather an error than to wait for the end of a collection. */
static int check_counts(struct store *store, struct error *err)
{
	if (!store->writer || references_state(store->references) != REFERENCES_EXACT)
		return error_set(err, ERROR_UNAVAILABLE,
			"the references in store %s are being counted; try again later", store->folder);
	return 0;
}

static int account_roots(struct store *store, bool everything, const struct digest *roots, size_t count,
	uint64_t *bytes, struct error *err)
{
	struct account account = { .store = store, .everything = everything };
	if (check_counts(store, err))
		return -1;
	account.buffer = memory_alloc(STORE_BLOCK_SIZE);
	pthread_mutex_lock(&store->maintenance);
	int result = check_counts(store, err) || walk(&account, roots, count, err) ? -1 : 0;
	pthread_mutex_unlock(&store->maintenance);
	free(account.buffer);
	free(account.seen.places);
	free(account.work.items);
	*bytes = account.bytes;
	return result;
}

int store_account_alone(
	struct store *store, const struct digest *roots, size_t count, uint64_t *bytes, struct error *err)
{
	return account_roots(store, false, roots, count, bytes, err);
}

int store_account_full(
	struct store *store, const struct digest *roots, size_t count, uint64_t *bytes, struct error *err)
{
	return account_roots(store, true, roots, count, bytes, err);
}

static int read_page(struct account *account, const struct digest *digest, unsigned level, struct page *page,
	struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	char hex[2 * DIGEST_SIZE + 1];
	memset(page, 0, sizeof *page);
	if (digest_is_zero(digest))
		return 0;
	if (find(account, digest, &entry, &slot, err) ||
		store_read_entry(account->store, &entry, account->buffer, err))
		return -1;
	if (page_decode(account->buffer, entry.size, page) || page->level != level)
		return error_set(err, ERROR_CORRUPT, "object %s is not a page of level %u",
			text_hex(digest, sizeof *digest, hex), level);
	return 0;
}

/* Adds what the subtree `id` has and `parent`, at the same place and level, has not. Level 0 is a block. */
static int add_difference(struct account *account, const struct digest *id, const struct digest *parent,
	unsigned level, struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	bool first;
	if (digest_is_zero(id) || !memcmp(id, parent, sizeof *id))
		return 0;
	if (find(account, id, &entry, &slot, err))
		return -1;
	meet(&account->seen, slot, 0, &first);
	account->bytes += first ? store_entry_bytes(&entry) : 0;
	if (!level)
		return 0;
	struct page *pages = memory_alloc(2 * sizeof *pages);
	int result = read_page(account, id, level, &pages[0], err) ||
			read_page(account, parent, level, &pages[1], err)
		? -1
		: 0;
	for (unsigned i = 0; !result && i < PAGE_FANOUT; i++)
		result = add_difference(account, &pages[0].ids[i], &pages[1].ids[i], level - 1, err);
	free(pages);
	return result;
}

static int read_root(
	struct account *account, const struct digest *digest, struct root *root, struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	char hex[2 * DIGEST_SIZE + 1];
	if (find(account, digest, &entry, &slot, err) ||
		store_read_entry(account->store, &entry, account->buffer, err))
		return -1;
	if (root_decode(account->buffer, entry.size, root))
		return error_set(err, ERROR_CORRUPT, "object %s is not the root of a tree",
			text_hex(digest, sizeof *digest, hex));
	return 0;
}

/* Two trees of different heights: the higher one's first pages, down to the other's top, lie over the same blocks as it. */
static int add_tree(
	struct account *account, const struct root *root, const struct root *parent, struct error *err)
{
	static const struct digest none;
	struct digest top = root->top, other = parent->top;
	struct page *page = memory_alloc(sizeof *page);
	int result = 0;
	for (unsigned level = parent->levels; !result && level > root->levels; level--) {
		result = read_page(account, &other, level, page, err);
		other = page->ids[0];
	}
	for (unsigned level = root->levels; !result && level > parent->levels && !digest_is_zero(&top);
		level--) {
		struct index_entry entry;
		uint64_t slot;
		bool first;
		result = find(account, &top, &entry, &slot, err) || read_page(account, &top, level, page, err)
			? -1
			: 0;
		if (result)
			break;
		meet(&account->seen, slot, 0, &first);
		account->bytes += first ? store_entry_bytes(&entry) : 0;
		for (unsigned i = 1; !result && i < PAGE_FANOUT; i++)
			result = add_difference(account, &page->ids[i], &none, level - 1, err);
		top = page->ids[0];
	}
	unsigned level = root->levels < parent->levels ? root->levels : parent->levels;
	free(page);
	return result || add_difference(account, &top, &other, level, err) ? -1 : 0;
}

int store_account_added(struct store *store, const struct digest *root, const struct digest *parent,
	uint64_t *bytes, struct error *err)
{
	struct account account = { .store = store };
	struct root roots[2];
	struct index_entry entry;
	uint64_t slot;
	*bytes = 0;
	if (!memcmp(root, parent, sizeof *root))
		return 0;
	if (check_counts(store, err))
		return -1;
	account.buffer = memory_alloc(STORE_BLOCK_SIZE);
	pthread_mutex_lock(&store->maintenance);
	int result = read_root(&account, root, &roots[0], err) ||
			read_root(&account, parent, &roots[1], err) ||
			add_tree(&account, &roots[0], &roots[1], err) ||
			find(&account, root, &entry, &slot, err)
		? -1
		: 0;
	pthread_mutex_unlock(&store->maintenance);
	if (!result)
		*bytes = account.bytes + store_entry_bytes(&entry);
	free(account.buffer);
	free(account.seen.places);
	return result;
}
