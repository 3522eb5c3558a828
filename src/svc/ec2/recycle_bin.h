/* Deleting snapshots and images, into the recycle bin where a rule says so. */
#pragma once

#include "svc/ec2/common.h"

/* Puts into the batch that the caller's snapshot goes: into the bin, or altogether. It must be neither locked nor used by an image. */
int recycle_snapshot(
	struct call *call, struct snapshot_record *snapshot, struct meta_batch *batch, struct error *err);
/* The same of an image. */
int recycle_image(struct call *call, struct image_record *image, struct meta_batch *batch, struct error *err);
