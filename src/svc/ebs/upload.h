/*
 * Uploads: snapshots that a client writes block by block through the EBS direct APIs (StartSnapshot, PutSnapshotBlock, CompleteSnapshot). A block that was acknowledged is durable: it lies in the store, and its place in the
 * snapshot in the upload's journal, from which an upload goes on after a crash.
 *
 * An upload is a snapshot record that is `direct` and `pending`. Its `root` is what the store must keep for it: at first its parent's tree, so that the parent may be deleted meanwhile; after a restart the tree of what had been
 * written. Functions are safe from every thread; many blocks of one upload are put at once.
 */
#pragma once

#include "api/records.h"
#include "base/digest.h"
#include "svc/amid.h"

struct cipher;
struct uploads;

/* Takes up the uploads of all regions that an earlier run left unfinished. Must come before the first garbage collection. */
int uploads_open(struct amid *amid, struct uploads **uploads, struct error *err);
void uploads_close(struct uploads *uploads); /* unfinished ones go on at the next start; NULL is legal */

/* From now on the upload's time runs: when nothing has been put for snapshot->upload_timeout_minutes it becomes `error`. */
void upload_watch(struct uploads *uploads, const struct snapshot_record *snapshot);
/* A block of STORE_BLOCK_SIZE bytes, and its digest, which whoever gives it has computed. */
struct upload_block {
	uint64_t index;
	struct digest digest;
	const void *
		data; /* aligned to 4096 it goes to the disk as it is; good until the next block is asked for */
};
/* 1: *block is the next one; 0: there is none left; -1. */
typedef int upload_next_block(void *context, struct upload_block *block, struct error *err);
enum { UPLOAD_BLOCKS_MAX = 256 }; /* in one call */
/*
 * Puts blocks, one after the other, and waits until all of them are durable. If it fails, none counts, though they may be there. ERROR_CONFLICT: the upload ended meanwhile; look at the record again.
 */
int upload_put(struct uploads *uploads, const struct snapshot_record *snapshot, upload_next_block *next,
	void *context, struct error *err);

/* What the client believes to have written. */
struct upload_claim {
	int64_t changed_blocks; /* different block indexes put; negative: not said */
	const struct digest *
		checksum; /* SHA-256 over the SHA-256s of the blocks put, in order of their index; NULL: not said */
	struct cipher *
		cipher; /* of an encrypted snapshot, to check the checksum of its plain blocks; NULL: it is plain */
};
/*
 * Checks the claim (ERROR_VALIDATION), makes the tree and commits the snapshot as completed. *snapshot is changed. ERROR_CONFLICT: the record was changed meanwhile.
 */
int upload_complete(struct uploads *uploads, struct snapshot_record *snapshot,
	const struct upload_claim *claim, struct arena *arena, struct error *err);
