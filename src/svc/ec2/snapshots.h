/* Snapshots as their handlers share them. */
#pragma once

#include "svc/ec2/common.h"

/* The caller's own snapshot. InvalidSnapshotID.Malformed, InvalidSnapshot.NotFound. */
int snapshot_find(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* The same, and it must be completed (IncorrectState otherwise). */
int snapshot_find_completed(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* The image that uses a snapshot; NULL: none. */
int snapshot_find_user(struct call *call, const char *snapshot_id, const char *except_image, struct image_record **image, struct error *err);
void snapshot_result(struct call *call, const struct snapshot_record *snapshot, struct ec2_Snapshot *result);
/* "100%" when completed, "0%" before. */
const char *snapshot_progress(const struct snapshot_record *snapshot);
