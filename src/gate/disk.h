/*
 * A disk to be scanned, as bytes: what partition.c and ext.c read from. Blocks come from whoever has them (a socket to amid, a file in tests) and are kept for a while. One thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	GATE_BLOCK_SIZE = 512 * 1024, /* of one reading: a block of the store */
};

/* Fills `block` with all of a block's bytes (of the last one: those before the disk's end). 0, or -1: it cannot be had. */
typedef int gate_read_block(void *context, uint64_t index, void *block);

struct gate_disk;

struct gate_disk *gate_disk_create(uint64_t size, gate_read_block *read_block, void *context);
void gate_disk_destroy(struct gate_disk *disk); /* NULL is legal */
uint64_t gate_disk_size(const struct gate_disk *disk);
/* 0, or -1: beyond the end, or a block cannot be had. */
int gate_disk_read(struct gate_disk *disk, uint64_t offset, void *data, size_t size);
