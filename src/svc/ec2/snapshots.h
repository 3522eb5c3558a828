/* Snapshots as their handlers share them. */
#pragma once

#include "svc/ec2/common.h"

/* The caller's own snapshot. InvalidSnapshotID.Malformed, InvalidSnapshot.NotFound. */
int snapshot_find(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* The same, and it must be completed (IncorrectState otherwise). */
int snapshot_find_completed(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/*
 * For a new image: puts the snapshots of its devices, unchanged, into the batch that makes it. Merely expecting them would let a DeleteSnapshot through that has looked for images before: it must meet a conflict and
 * look again. Errors of snapshot_find_completed.
 */
int snapshot_keep_all(struct call *call, const struct record_image_block_device *devices, size_t count,
	struct meta_batch *batch, struct error *err);
/* The image that uses a snapshot; NULL: none. */
int snapshot_find_user(struct call *call, const char *snapshot_id, const char *except_image,
	struct image_record **image, struct error *err);
void snapshot_result(struct call *call, const struct snapshot_record *snapshot, struct ec2_Snapshot *result);
/* "100%" when completed, "0%" before. */
const char *snapshot_progress(const struct snapshot_record *snapshot);
