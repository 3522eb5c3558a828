/*
 * The check of what is reachable: from each root down to its blocks, everything is in the index, and a root says truly how many blocks there are. Each index slot has a number of blocks, set once all below was looked at, so what trees share is
 * visited once. That the bytes themselves are right is for store_check. Reads only; puts may go on beside it, as the index does not grow while maintenance is held.
 */
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "base/banned.h"

/* Of an index slot's object; else how many blocks lie below it. */
#define NOT_VISITED 0ULL
#define UNKNOWN UINT64_MAX /* something is missing or damaged */

struct walk {
	struct store *store;
	store_report *report;
	void *context;
	uint64_t faults;
	uint64_t *blocks;   /* by slot */
	uint64_t absent;    /* of what has no slot: UNKNOWN */
	struct page *pages; /* one for each level of the recursion */
	uint8_t *buffer;
};

static void report_fault(struct walk *walk, const char *format, const struct digest *digest)
{
	char line[256], hex[2 * DIGEST_SIZE + 1];
	walk->faults++;
	snprintf(line, sizeof line, "object %s %s", text_hex(digest, sizeof *digest, hex), format);
	if (walk->report)
		walk->report(walk->context, line);
}

/*
 * Looks for an object of that kind; if it was not visited before (*new), it is read, unless it is a block. Returns where its number of blocks belongs, or NULL when the disk fails.
 */
static uint64_t *visit(struct walk *walk, const struct digest *digest, uint8_t kind, bool *new, size_t *size,
	struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	*new = false;
	if (!index_find_slot(walk->store->index, digest, &slot) ||
		!index_read_slot(walk->store->index, slot, &entry) || entry.kind != kind) {
		report_fault(walk, "is reachable from a root in use, and missing", digest);
		return &walk->absent;
	}
	uint64_t *blocks = &walk->blocks[slot];
	if (*blocks != NOT_VISITED)
		return blocks;
	*blocks = kind == STORE_BLOCK ? 1 : UNKNOWN;
	*size = entry.size;
	*new = true;
	if (kind == STORE_BLOCK || !store_read_entry(walk->store, &entry, walk->buffer, err))
		return blocks;
	*new = false;
	if (err->code != ERROR_CORRUPT)
		return NULL;
	report_fault(walk, "is reachable from a root in use, and damaged", digest);
	return blocks;
}

static int walk_page(
	struct walk *walk, const struct digest *digest, unsigned level, uint64_t *found, struct error *err)
{
	struct page *page = &walk->pages[level];
	uint64_t sum = 0, below;
	bool new;
	size_t size;
	uint64_t *blocks = visit(walk, digest, level ? STORE_PAGE : STORE_BLOCK, &new, &size, err);
	if (!blocks)
		return -1;
	*found = *blocks;
	if (!new || !level)
		return 0;
	if (page_decode(walk->buffer, size, page) || page->level != level) {
		report_fault(walk, "is no page of the level it should have", digest);
		return 0;
	}
	for (unsigned i = 0; i < PAGE_FANOUT; i++) {
		if (digest_is_zero(&page->ids[i]))
			continue;
		if (walk_page(walk, &page->ids[i], level - 1, &below, err))
			return -1;
		sum = sum == UNKNOWN || below == UNKNOWN ? UNKNOWN : sum + below;
	}
	*found = *blocks = sum;
	return 0;
}

static int walk_root(struct walk *walk, const struct digest *digest, struct error *err)
{
	struct root root;
	uint64_t found = 0;
	bool new;
	size_t size;
	if (!visit(walk, digest, STORE_ROOT, &new, &size, err))
		return -1;
	if (!new)
		return 0;
	if (root_decode(walk->buffer, size, &root)) {
		report_fault(walk, "is no root", digest);
		return 0;
	}
	if (!digest_is_zero(&root.top) && walk_page(walk, &root.top, root.levels, &found, err))
		return -1;
	if (found != UNKNOWN && found != root.blocks)
		report_fault(walk, "is a root that counts its blocks wrongly", digest);
	return 0;
}

int store_check_roots(struct store *store, store_next_root *next_root, void *roots, store_report *report,
	void *context, uint64_t *faults, struct error *err)
{
	struct error own = { 0 };
	struct digest root;
	int more, result = 0;
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	err = err ? err : &own;
	pthread_mutex_lock(&store->maintenance);
	uint64_t slots = index_slot_count(store->index);
	struct walk walk = { .store = store,
		.report = report,
		.context = context,
		.blocks = memory_alloc(slots * sizeof(uint64_t)),
		.absent = UNKNOWN,
		.pages = memory_alloc((TREE_LEVELS_LIMIT + 1) * sizeof(struct page)),
		.buffer = memory_alloc(STORE_BLOCK_SIZE) };
	memset(walk.blocks, 0, slots * sizeof(uint64_t));
	while (!result && (more = next_root(roots, &root, err)) != 0)
		result = more < 0 || (!digest_is_zero(&root) && walk_root(&walk, &root, err)) ? -1 : 0;
	pthread_mutex_unlock(&store->maintenance);
	free(walk.blocks);
	free(walk.pages);
	free(walk.buffer);
	*faults = walk.faults;
	return result;
}
