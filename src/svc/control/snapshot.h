/* What the snapshot controller does, a file for each; nobody else includes this. */
#pragma once

#include "svc/amid.h"
#include "api/records.h"

struct snapshot_view {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct snapshot_record *snapshot;
	const char *retired[2]; /* grants that the record has no more, once it is committed */
};

/* Puts the record as it is now. The view must not be used again: the change brings another look. */
int snapshot_view_commit(struct snapshot_view *view, struct error *err);

/*
 * tree_reader.c: reads some of the blocks of the snapshot's tree, from snapshot->read_next on, which checks them and leaves them in the page cache; *done at the end. Sets read_next and read_after for the next
 * time, which is to be kept to by asking tree_reader_wait first.
 */
int tree_reader_step(struct snapshot_view *view, bool *done, struct error *err);
/* Milliseconds until the next step may be made; 0: now. */
int64_t tree_reader_wait(const struct snapshot_view *view);
/* From the beginning. */
void tree_reader_rewind(struct snapshot_record *snapshot);

/* tier.c: an archival or restore that is under way goes on. */
int snapshot_tier_step(struct snapshot_view *view, int64_t *again_ms, struct error *err);
/* Ends a temporary restore if its time is over (*ended: the view is used up then); otherwise *again_ms says when that will be. */
int snapshot_tier_expire(struct snapshot_view *view, bool *ended, int64_t *again_ms, struct error *err);
/* fast_restore.c: brings unsettled fast restores nearer to where they should be. */
int snapshot_fast_restore_step(struct snapshot_view *view, int64_t *again_ms, struct error *err);
/* copy.c: brings some more blocks of a copy, or completes it. *again_ms: others are being brought. */
int snapshot_copy_step(struct snapshot_view *view, int64_t *again_ms, struct error *err);
/* The copy is over, one way or the other: its record asks for nothing more, nor has it grants any more. */
void snapshot_copy_end(struct snapshot_view *view);
/* copy_encrypted.c: the same for a copy that is encrypted anew; what fails is for snapshot_copy_step. */
int snapshot_copy_encrypted_step(struct snapshot_view *view, struct error *err);
