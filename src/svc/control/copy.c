/*
 * Copying a snapshot's blocks from another region's store.
 *
 * What there is already of the tree that is to come is a tree as well, the snapshot's root until then. A step walks the difference of the two, brings the first STEP_BLOCKS blocks of it that this store does not have, and
 * publishes the tree with them, within one store session. A crash costs one step, and a snapshot that is deleted meanwhile gives back what has come. When nothing differs, the root is that of the source: a tree has one encoding.
 *
 * The source's tree is kept by the collection in its region as long as a copy names it (collect.c). Blocks are read with their digest checked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/tree.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/key_ring.h"
#include "base/banned.h"

enum { STEP_BLOCKS = 256, STEP_LOOKED_AT = 16384 };

struct copying {
	struct store *from;
	struct store *to;
	struct store_session *session;
	struct tree *source;
	struct tree *present; /* NULL: nothing has come yet */
	struct tree_builder *builder;
	uint8_t *data;    /* one block */
	uint64_t seen;    /* blocks put into the tree by this step */
	uint64_t brought; /* and into the store */
	uint64_t bytes;   /* that this added on disk */
};

static void copying_close(struct copying *copying)
{
	tree_builder_destroy(copying->builder);
	tree_close(copying->present);
	tree_close(copying->source);
	store_session_close(copying->session);
	free(copying->data);
}
#define COPYING_SCOPED __attribute__((cleanup(copying_close)))

static int parse_root(const char *hex, const char *id, struct digest *root, struct error *err)
{
	if (hex && text_unhex(hex, root->bytes, DIGEST_SIZE) == 0)
		return 0;
	return error_set(
		err, ERROR_CORRUPT, "the root digest that snapshot %s is copied from is unreadable", id);
}

static int copying_open(struct copying *copying, const struct snapshot_view *view, struct error *err)
{
	const struct snapshot_record *snapshot = view->snapshot;
	struct amid_region *from = amid_find_region(view->amid, snapshot->copy->region);
	struct digest wanted, present;
	if (!from)
		return error_set(err, ERROR_NOT_FOUND,
			"the region %s, from which snapshot %s is copied, is not served any more",
			snapshot->copy->region, snapshot->record.id);
	copying->from = from->store;
	copying->to = view->region->store;
	copying->data = memory_alloc(STORE_BLOCK_SIZE);
	if (parse_root(snapshot->copy->root, snapshot->record.id, &wanted, err) ||
		store_session_open(copying->to, &copying->session, err) ||
		tree_open(copying->from, &wanted, &copying->source, err))
		return -1;
	if (snapshot->root &&
		(parse_root(snapshot->root, snapshot->record.id, &present, err) ||
			tree_open(copying->to, &present, &copying->present, err)))
		return -1;
	return tree_builder_create(
		copying->session, copying->present, tree_size(copying->source), &copying->builder, err);
}

/* The bytes travel only if this store lacks them. */
static int copy_block(struct copying *copying, uint64_t index, const struct digest *block, struct error *err)
{
	bool present;
	size_t size;
	uint64_t added = 0;
	if (!digest_is_zero(block)) {
		if (store_keep(copying->session, block, &present, err))
			return -1;
		if (!present) {
			if (store_get(copying->from, block, copying->data, &size, err) ||
				store_put(copying->session, STORE_BLOCK, block, copying->data, size, &added,
					err))
				return -1;
			copying->brought++;
			copying->bytes += added;
		}
	}
	copying->seen++;
	return tree_builder_set(copying->builder, index, block, err);
}

/* The two trees lie in two stores, which does not matter: pages are equal if their digests are. *more false: nothing differs any more. */
static int copy_some(struct copying *copying, bool *more, struct error *err)
{
	struct digest old, block;
	uint64_t limit = tree_block_count(copying->source);
	*more = true;
	for (uint64_t index = 0; copying->brought < STEP_BLOCKS && copying->seen < STEP_LOOKED_AT; index++) {
		bool found = false;
		if (index < limit &&
			(copying->present ? tree_next_difference(copying->present, copying->source, &index,
						    &old, &block, &found, err)
					  : tree_next(copying->source, &index, &block, &found, err)))
			return -1;
		if (!found) {
			*more = false;
			return 0;
		}
		if (copy_block(copying, index, &block, err))
			return -1;
	}
	return 0;
}

static int count_blocks(struct tree *tree, int64_t *count, struct error *err)
{
	struct digest block;
	bool found = true;
	*count = 0;
	for (uint64_t index = 0; index < tree_block_count(tree); index++) {
		if (tree_next(tree, &index, &block, &found, err))
			return -1;
		if (!found)
			break;
		++*count;
	}
	return 0;
}

void snapshot_copy_end(struct snapshot_view *view)
{
	struct snapshot_record *snapshot = view->snapshot;
	view->retired[0] = data_key_take_grant(snapshot->copy->source_key);
	view->retired[1] = data_key_take_grant(snapshot->data_key);
	snapshot->copy = NULL;
}

/* The source's blocks are kept for this copy no more: that may have been all that kept them. */
static void let_go_of_source(const struct snapshot_view *view)
{
	work_enqueue(view->amid->work, "collect", view->snapshot->source_region);
}

static int complete(struct snapshot_view *view, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	if (strcmp(snapshot->root, snapshot->copy->root) != 0)
		return error_set(err, ERROR_CORRUPT, "snapshot %s was copied as %s, which is not %s",
			snapshot->record.id, snapshot->root, snapshot->copy->root);
	snapshot_copy_end(view);
	snapshot->state = "completed";
	snapshot->completed = some_timestamp(clock_now_ms());
	if (snapshot_view_commit(view, err))
		return -1;
	log_info("snapshot-copied", "snapshot=%s source=%s region=%s added_bytes=%lld", snapshot->record.id,
		snapshot->source_snapshot, snapshot->source_region, (long long)snapshot->added_bytes.value);
	if (strcmp(snapshot->source_region, snapshot->record.region) != 0)
		let_go_of_source(view);
	return 0;
}

static int publish(struct snapshot_view *view, struct copying *copying, bool more, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	struct digest root;
	uint64_t pages = 0;
	int64_t total = integer_or(snapshot->copy->blocks, -1);
	char hex[2 * DIGEST_SIZE + 1];
	if (tree_builder_finish(copying->builder, &root, &pages, err) ||
		(total < 0 && count_blocks(copying->source, &total, err)))
		return -1;
	snapshot->root = arena_strdup(view->arena, text_hex(root.bytes, DIGEST_SIZE, hex));
	snapshot->added_bytes =
		some_integer(integer_or(snapshot->added_bytes, 0) + (int64_t)(copying->bytes + pages));
	snapshot->copy->blocks = some_integer(total);
	snapshot->copy->copied = some_integer(integer_or(snapshot->copy->copied, 0) + (int64_t)copying->seen);
	return more ? snapshot_view_commit(view, err) : complete(view, err);
}

static int copy_more(struct snapshot_view *view, struct error *err)
{
	struct copying copying COPYING_SCOPED = { 0 };
	bool more;
	return copying_open(&copying, view, err) || copy_some(&copying, &more, err) ||
			publish(view, &copying, more, err)
		? -1
		: 0;
}

/* Of what cannot go better another time, the snapshot's owner is told. */
int snapshot_copy_step(struct snapshot_view *view, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	bool reencrypt = boolean_or(snapshot->copy->reencrypt, false);
	if ((reencrypt ? snapshot_copy_encrypted_step(view, err) : copy_more(view, err)) == 0)
		return 0;
	/* if the snapshot was deleted meanwhile, what this step brought was not collected with the rest */
	if (err->code == ERROR_CONFLICT)
		work_enqueue(view->amid->work, "collect", snapshot->record.region);
	bool refused = data_key_is_refused(err);
	if (!refused && err->code != ERROR_CORRUPT && err->code != ERROR_NOT_FOUND &&
		err->code != ERROR_NO_SPACE)
		return -1;
	log_error("snapshot-copy-failed", "snapshot=%s error=\"%s\"", snapshot->record.id, err->message);
	snapshot->state = "error";
	snapshot->state_message = arena_printf(
		view->arena, "%s%s", refused ? "Given key ID is not accessible. " : "", err->message);
	snapshot->root = NULL; /* what has come may be collected */
	if (snapshot->copy) /* the encrypted step may have got as far as its end */
		snapshot_copy_end(view);
	if (snapshot_view_commit(view, err))
		return -1;
	work_enqueue(view->amid->work, "collect", snapshot->record.region);
	let_go_of_source(view);
	return 0;
}
