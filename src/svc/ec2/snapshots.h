/* Snapshots as their handlers share them. */
#pragma once

#include "svc/ec2/common.h"
#include "svc/snapshot_state.h"

/* The caller's own snapshot. InvalidSnapshotID.Malformed, InvalidSnapshot.NotFound. */
int snapshot_find(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* The same, and it must be completed and not archived (IncorrectState otherwise). */
int snapshot_find_completed(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* A snapshot of `region` (NULL: any) that the caller may see and use, its own or another's: svc/sharing.h. Errors of snapshot_find. */
int snapshot_find_visible(struct call *call, const char *region, const char *id,
	struct snapshot_record **snapshot, struct error *err);
/* One of the call's region to make something of: visible, completed and not archived (IncorrectState otherwise). */
int snapshot_find_usable(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* Whether it may be shared with anybody: InvalidParameter if it is under the key that AWS manages, which no other account can use. */
int snapshot_check_shareable(struct call *call, const struct snapshot_record *snapshot, struct error *err);
/* What its permissions say. */
bool snapshot_is_public(const struct snapshot_record *snapshot);
bool snapshot_is_shared_with(const struct snapshot_record *snapshot, const char *account);
/*
 * For a new image: puts the snapshots of its devices, unchanged, into the batch that makes it. Merely expecting them would let a DeleteSnapshot through that has looked for images before: it must meet a conflict and
 * look again. Those of other accounts are only expected: their owners may delete them. Errors of snapshot_find_usable.
 */
int snapshot_keep_all(struct call *call, const struct record_image_block_device *devices, size_t count,
	struct meta_batch *batch, struct error *err);
/* The image of the caller that uses a snapshot, those in the recycle bin apart; NULL: none. */
int snapshot_find_user(struct call *call, const char *snapshot_id, const char *except_image,
	struct image_record **image, struct error *err);
/* A snapshot of that volume is encrypted as it is, with its data key. */
void snapshot_inherit_encryption(
	struct call *call, const struct volume_record *volume, struct snapshot_record *snapshot);
void snapshot_result(struct call *call, const struct snapshot_record *snapshot, struct ec2_Snapshot *result);
/* "100%" when completed, "0%" before; of a copy what has come. */
const char *snapshot_progress(struct call *call, const struct snapshot_record *snapshot);
