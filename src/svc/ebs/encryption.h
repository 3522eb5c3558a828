/* Encrypted snapshots in the EBS direct APIs: clients see and send plain blocks, and checksums are of those; the store has them encrypted. */
#pragma once

#include "svc/ebs/common.h"
#include "volume/cipher.h"

/*
 * Sets what StartSnapshot's parameters, the parent (NULL: none) and the account's default come to; makes the data key, or takes the parent's. ValidationException for what the guide's tables refuse.
 */
int ebs_encrypt_start(struct call *call, const struct ebs_StartSnapshotRequest *request,
	const struct snapshot_record *parent, struct snapshot_record *snapshot, struct error *err);
/* For a snapshot that is being written: *cipher is the caller's; NULL if the snapshot is plain. */
int ebs_open_upload(
	struct call *call, const struct snapshot_record *snapshot, struct cipher **cipher, struct error *err);
/* A block at its place in the snapshot, as it lies in the store. */
int ebs_seal_block(struct cipher *cipher, uint64_t index, const void *plain, void *sealed, struct error *err);
/* For one that is read, with the caller's right to the KMS key. The same. */
int ebs_open_snapshot(
	struct call *call, const struct snapshot_record *snapshot, struct cipher **cipher, struct error *err);
