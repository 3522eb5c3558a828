/*
 * Blocks of an audit file, so that a word is found without reading everything: for each AUDIT_BLOCK_LINES lines a Bloom filter of the words of their records, in the file's .index. A word is what the
 * layer above makes a number of ("this account, this region, event name RunInstances"). The index is a help: what it does not cover is searched line by line, and it may be removed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum { AUDIT_BLOCK_LINES = 256, AUDIT_FILTER_SIZE = 1024 };

/* As it lies in the index file (little-endian, as every machine that amid runs on). */
struct audit_block {
	uint64_t offset, size;     /* of its lines in the file */
	int64_t first_ms, last_ms; /* the least and the greatest time of its records */
	uint32_t lines;
	uint32_t
		check; /* CRC-like sum of everything else: a block that is damaged ends what the index covers */
	uint8_t filter[AUDIT_FILTER_SIZE];
};

/* An empty block that begins at `offset`. */
void audit_block_begin(struct audit_block *block, uint64_t offset);
void audit_block_add(
	struct audit_block *block, uint64_t size, int64_t time_ms, const uint64_t *words, size_t count);
bool audit_block_may_have(const struct audit_block *block, uint64_t word);
/* Sums it up, before it is written. */
void audit_block_end(struct audit_block *block);
/* The blocks of an index file that hold together and lie within the first `limit` bytes of the log; none if it cannot be read. */
size_t audit_block_load(const char *path, uint64_t limit, struct arena *arena, struct audit_block **blocks);
