/* Copies of snapshots: what CopySnapshot and CopyImage share. */
#pragma once

#include "svc/ec2/common.h"

struct peer;

/* InvalidParameterValue unless the region is served here, or by a peer: *peer, else NULL. */
int snapshot_copy_check_region(
	struct call *call, const char *region, const struct peer **peer, struct error *err);
/* What a peer has answered, in the words of a call: that it cannot be reached, or refuses, is nothing that the caller did wrong. Returns -1. */
int snapshot_copy_word_error(struct error *err);
/* ResourceLimitExceeded if `count` more copies are too many to be under way at a time, for the caller and the call's region. */
int snapshot_copy_check_limit(struct call *call, size_t count, struct error *err);
/*
 * Puts a new snapshot of the caller, in the call's region, into the batch, which will be `source` (that the caller may use: usable, in whatever region it is; `lease`: what keeps it in a peer's, else NULL). The record's description, tags and image may be set before; the rest is
 * filled. Its controller (../control/copy.c) completes it. The batch expects the source as it is. `encrypted` and `kms_key_id` are the request's; a KMS key that cannot be used is no error here: the copy then is in state error, as with EBS.
 */
int snapshot_copy_put(struct call *call, const struct snapshot_record *source, const char *lease,
	struct shape_boolean encrypted, const char *kms_key_id, struct meta_batch *batch,
	struct snapshot_record *snapshot, struct error *err);
