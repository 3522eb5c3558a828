/*
 * Pages and roots of trees as bytes: encoders and total decoders, no I/O. An encoding is canonical: the same content has one encoding, so one digest, and whatever is
 * not canonical is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

enum {
	PAGE_FANOUT = 128,
	PAGE_FANOUT_BITS = 7,
	PAGE_HEADER_SIZE = 8,
	PAGE_BITMAP_SIZE = PAGE_FANOUT / 8,
	PAGE_LIMIT = PAGE_HEADER_SIZE + PAGE_BITMAP_SIZE + PAGE_FANOUT * DIGEST_SIZE,
	ROOT_SIZE = 64,
	TREE_LEVELS_LIMIT = 7, /* 2^49 blocks of 512 KiB: more than a file offset can say */
	TREE_VERSION = 3,      /* of pages and roots */
};

/* Ids of the level below (blocks below level 1); the zero digest stands for all zeros. */
struct page {
	uint8_t level;  /* from 1 */
	uint16_t count; /* of ids that are not zero */
	struct digest ids[PAGE_FANOUT];
};

struct root {
	uint8_t levels;    /* root_levels of the block count */
	uint64_t size;     /* of the disk, in bytes */
	uint64_t blocks;   /* of the disk that are not all zeros */
	struct digest top; /* the page of that level; zero if the disk is all zeros */
};

/* `out` has room for PAGE_LIMIT; returns the size. Counts the ids itself. */
size_t page_encode(const struct page *page, uint8_t *out);
/* -1 unless the bytes are exactly one canonical page. */
int page_decode(const uint8_t *bytes, size_t size, struct page *page);

void root_encode(const struct root *root, uint8_t out[ROOT_SIZE]);
int root_decode(const uint8_t *bytes, size_t size, struct root *root);
/* The version that the bytes of a root say they are of, whether it is known or not; 0 if they are no root's. */
unsigned root_version(const uint8_t *bytes, size_t size);
/* How many levels a tree over so many blocks has: the fewest, at least 1. */
uint8_t root_levels(uint64_t block_count);
uint64_t root_block_count(uint64_t size);
