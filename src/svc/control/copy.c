/*
 * Copying a snapshot's blocks from another region's store.
 *
 * What there is already of the tree that is to come is the snapshot's root until then. A step brings the next STEP_BLOCKS blocks (copy_blocks.c) and publishes the tree with them. A crash costs one step, and a snapshot that is
 * deleted meanwhile gives back what has come.
 *
 * The source's tree is kept by the collection in its region as long as a copy names it (collect.c).
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/copy_blocks.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/key_ring.h"
#include "base/banned.h"

enum { STEP_BLOCKS = 256 };

static int parse_root(const char *hex, const char *id, struct digest *root, struct error *err)
{
	if (hex && text_unhex(hex, root->bytes, DIGEST_SIZE) == 0)
		return 0;
	return error_set(
		err, ERROR_CORRUPT, "the root digest that snapshot %s is copied from is unreadable", id);
}

static int copy_open(struct copy_blocks **copy, const struct snapshot_view *view, struct error *err)
{
	const struct snapshot_record *snapshot = view->snapshot;
	struct amid_region *from = amid_find_region(view->amid, snapshot->copy->region);
	struct digest wanted, present;
	if (!from)
		return error_set(err, ERROR_NOT_FOUND,
			"the region %s, from which snapshot %s is copied, is not served any more",
			snapshot->copy->region, snapshot->record.id);
	if (parse_root(snapshot->copy->root, snapshot->record.id, &wanted, err) ||
		(snapshot->root && parse_root(snapshot->root, snapshot->record.id, &present, err)))
		return -1;
	return copy_blocks_open(
		from->store, view->region->store, &wanted, snapshot->root ? &present : NULL, copy, err);
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

static int publish(struct snapshot_view *view, struct copy_blocks *copy, const struct copy_blocks_step *step,
	struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	int64_t total = integer_or(snapshot->copy->blocks, -1);
	char hex[2 * DIGEST_SIZE + 1];
	if (total < 0 && copy_blocks_count(copy, &total, err))
		return -1;
	snapshot->root = arena_strdup(view->arena, text_hex(step->root.bytes, DIGEST_SIZE, hex));
	snapshot->added_bytes = some_integer(integer_or(snapshot->added_bytes, 0) + (int64_t)step->added);
	snapshot->copy->blocks = some_integer(total);
	snapshot->copy->copied = some_integer(integer_or(snapshot->copy->copied, 0) + (int64_t)step->blocks);
	return step->more ? snapshot_view_commit(view, err) : complete(view, err);
}

/* Published before the session ends with the copy. */
static int copy_more(struct snapshot_view *view, struct error *err)
{
	struct copy_blocks *copy;
	struct copy_blocks_step step;
	if (copy_open(&copy, view, err))
		return -1;
	int failed = copy_blocks_step(copy, STEP_BLOCKS, &step, err) || publish(view, copy, &step, err);
	copy_blocks_close(copy);
	return failed ? -1 : 0;
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
	if (snapshot->copy)    /* the encrypted step may have got as far as its end */
		snapshot_copy_end(view);
	if (snapshot_view_commit(view, err))
		return -1;
	work_enqueue(view->amid->work, "collect", snapshot->record.region);
	let_go_of_source(view);
	return 0;
}
