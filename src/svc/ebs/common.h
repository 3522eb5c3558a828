/* What the EBS direct handlers share. */
#pragma once

#include "api/ebs.h"
#include "api/records.h"
#include "aws/call.h"
#include "store/store.h"
#include "svc/amid.h"

/* The caller's own snapshot: ValidationException if the id is malformed, ResourceNotFoundException if there is none. */
int ebs_find_snapshot(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* A snapshot to read: the caller's own, or one that is shared with it, not just public; it must be completed (ValidationException). */
int ebs_find_completed(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* The caller's snapshot that is being written by these APIs. ValidationException if it is another, or completed. */
int ebs_find_upload(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err);
/* -1: ValidationException for a block index that is not below `count`. */
int ebs_refuse_index(int64_t index, uint64_t count, struct error *err);
/* The number of blocks of the snapshot's volume. */
uint64_t ebs_block_count(const struct snapshot_record *snapshot);
/* A checksum as the API writes it: Base64 of a SHA-256. ValidationException. `algorithm` NULL is refused too. */
int ebs_parse_checksum(struct call *call, const char *text, const char *algorithm, struct digest *checksum,
	struct error *err);
