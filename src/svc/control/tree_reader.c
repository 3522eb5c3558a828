/*
 * Reading all blocks of a snapshot, a chunk at a step: what that is good for is that each is found, whole and in the page cache afterwards. Where a walk is stands in the record, so that it goes on after a restart, and so does when the next
 * chunk may be read: guests need the disk too.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "store/tree.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "base/banned.h"

enum { CHUNK_BLOCKS = 64, RATE_BLOCKS = 512 /* a second: 256 MiB */ };

void tree_reader_rewind(struct snapshot_record *snapshot)
{
	snapshot->read_next = (struct shape_integer){ 0 };
	snapshot->read_after = (struct shape_timestamp){ 0 };
}

int64_t tree_reader_wait(const struct snapshot_view *view)
{
	struct shape_timestamp after = view->snapshot->read_after;
	int64_t left_ms = after.set ? after.ms - clock_now_ms() : 0;
	/* a clock that was set back must not hold it up for long */
	return left_ms < 0 ? 0 : left_ms > 1000 ? 1000 : left_ms;
}

/* Reads up to CHUNK_BLOCKS blocks; *next is behind the last. */
static int read_chunk(
	struct store *store, struct tree *tree, uint64_t *next, unsigned *count, struct error *err)
{
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	int result = 0;
	bool found = true;
	for (*count = 0; result == 0 && *count < CHUNK_BLOCKS && *next < tree_block_count(tree); ++*next) {
		struct digest block;
		size_t size;
		result = tree_next(tree, next, &block, &found, err);
		if (result || !found)
			break;
		result = store_get(store, &block, data, &size, err);
		++*count;
	}
	if (!found)
		*next = tree_block_count(tree);
	free(data);
	return result;
}

int tree_reader_step(struct snapshot_view *view, bool *done, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	struct digest root;
	struct tree *tree;
	uint64_t next = (uint64_t)integer_or(snapshot->read_next, 0);
	unsigned count;
	if (!snapshot->root || text_unhex(snapshot->root, root.bytes, DIGEST_SIZE))
		return error_set(err, ERROR_CORRUPT, "the root digest of snapshot %s is unreadable",
			snapshot->record.id);
	if (tree_open(view->region->store, &root, &tree, err))
		return -1;
	int result = read_chunk(view->region->store, tree, &next, &count, err);
	*done = next >= tree_block_count(tree);
	tree_close(tree);
	snapshot->read_next = some_integer((int64_t)next);
	snapshot->read_after = some_timestamp(clock_now_ms() + (int64_t)count * 1000 / RATE_BLOCKS);
	return result;
}
