/*
 * The check of what is reachable: from each root down to its blocks, everything is in the index. Marks are a bitmap over index slots, set once all below was looked at, so what trees share is
 * visited once. That the bytes themselves are right is for store_check. Reads only; puts may go on beside it, as the index does not grow while maintenance is held.
 */
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "base/banned.h"

struct walk {
	struct store *store;
	store_report *report;
	void *context;
	uint64_t faults;
	uint8_t *marks;
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

/* Whether an object is there, of that kind, and not visited before; it is read if it is no block. */
static int visit(struct walk *walk, const struct digest *digest, uint8_t kind, bool *new, size_t *size,
	struct error *err)
{
	struct index_entry entry;
	uint64_t slot;
	*new = false;
	if (!index_find_slot(walk->store->index, digest, &slot) ||
		!index_read_slot(walk->store->index, slot, &entry) || entry.kind != kind) {
		report_fault(walk, "is reachable from a root in use, and missing", digest);
		return 0;
	}
	if (walk->marks[slot / 8] >> slot % 8 & 1)
		return 0;
	walk->marks[slot / 8] |= (uint8_t)(1U << slot % 8);
	*size = entry.size;
	*new = true;
	if (kind == STORE_BLOCK || !store_read_entry(walk->store, &entry, walk->buffer, err))
		return 0;
	*new = false;
	if (err->code != ERROR_CORRUPT)
		return -1;
	report_fault(walk, "is reachable from a root in use, and damaged", digest);
	return 0;
}

static int walk_page(struct walk *walk, const struct digest *digest, unsigned level, struct error *err)
{
	struct page *page = &walk->pages[level];
	bool new;
	size_t size;
	if (visit(walk, digest, level ? STORE_PAGE : STORE_BLOCK, &new, &size, err))
		return -1;
	if (!new || !level)
		return 0;
	if (page_decode(walk->buffer, size, page) || page->level != level) {
		report_fault(walk, "is no page of the level it should have", digest);
		return 0;
	}
	for (unsigned i = 0; i < PAGE_FANOUT; i++)
		if (!digest_is_zero(&page->ids[i]) && walk_page(walk, &page->ids[i], level - 1, err))
			return -1;
	return 0;
}

static int walk_root(struct walk *walk, const struct digest *digest, struct error *err)
{
	struct root root;
	bool new;
	size_t size;
	if (visit(walk, digest, STORE_ROOT, &new, &size, err))
		return -1;
	if (!new)
		return 0;
	if (root_decode(walk->buffer, size, &root)) {
		report_fault(walk, "is no root", digest);
		return 0;
	}
	return digest_is_zero(&root.top) ? 0 : walk_page(walk, &root.top, root.levels, err);
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
	uint64_t mark_bytes = index_slot_count(store->index) / 8;
	struct walk walk = { .store = store,
		.report = report,
		.context = context,
		.marks = memory_alloc(mark_bytes),
		.pages = memory_alloc((TREE_LEVELS_LIMIT + 1) * sizeof(struct page)),
		.buffer = memory_alloc(STORE_BLOCK_SIZE) };
	memset(walk.marks, 0, mark_bytes);
	while (!result && (more = next_root(roots, &root, err)) != 0)
		result = more < 0 || (!digest_is_zero(&root) && walk_root(&walk, &root, err)) ? -1 : 0;
	pthread_mutex_unlock(&store->maintenance);
	free(walk.marks);
	free(walk.pages);
	free(walk.buffer);
	*faults = walk.faults;
	return result;
}
