/*
 * The journal of an upload: which block of the snapshot holds what, in the order in which blocks were acknowledged. A file of 64-byte records, little-endian:
 *
 *	header   0 magic "amidupl1"   8 snapshot id, NUL-padded, 32 bytes   40 zeros   60 CRC-32C of bytes 0-59
 *	record   0 index u64   8 digest   40 added u32   44 flags u32 (1: a record, 2: all zeros)   48 zeros   60 CRC-32C of the record's number (u64, from 0) and bytes 0-59
 *
 * The file is filled with zeros ahead of its records, so that a sync need not change its size. The first record that is not whole ends the journal: it was never acknowledged, nor was any behind it.
 * Every function is safe from every thread, but for open and close.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct journal;

struct journal_entry {
	uint64_t index;  /* of the block in the snapshot */
	uint64_t number; /* of the record in the journal; of two records for one block, the later counts */
	struct digest digest; /* of the block's bytes */
	uint32_t added;       /* bytes that the block added to the store */
	bool zero;            /* the block is all zeros, and so not in the store */
};

/* Opens the journal of a snapshot, making it (durably) if it is missing; cuts off a torn end. ERROR_CORRUPT if it is another snapshot's, or no journal. */
int journal_open(const char *path, const char *snapshot_id, struct journal **journal, struct error *err);
void journal_close(struct journal *journal); /* NULL is legal */
/*
 * Adds entries (their numbers apart) and waits until they are durable; concurrent calls share one sync. If it fails some of them may be in the journal. After a failed sync nobody knows what the disk holds, so the journal then takes no more.
 */
int journal_append(
	struct journal *journal, const struct journal_entry *entries, size_t count, struct error *err);
/*
 * All that was appended, one entry a block (the latest), in order of index. *entries is the caller's, to be freed.
 */
int journal_load(struct journal *journal, struct journal_entry **entries, size_t *count, struct error *err);
