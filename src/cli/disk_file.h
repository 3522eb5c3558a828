/* Disk files that can be imported, read block by block: raw and qcow2. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct disk_file;

enum { DISK_BLOCK_SIZE = 512 * 1024 };

/* `format` "raw", "qcow2", or NULL: by the file's first bytes. A file of another known format is ERROR_UNSUPPORTED (unless said to be raw). Messages name the file. */
int disk_file_open(const char *path, const char *format, struct disk_file **disk, struct error *err);
void disk_file_close(struct disk_file *disk);          /* NULL is legal */
uint64_t disk_file_size(const struct disk_file *disk); /* bytes */
uint64_t disk_file_block_count(const struct disk_file *disk);
/* The first block at or after `index` that may hold data; the count of blocks if there is none. Not by two threads at once. */
uint64_t disk_file_next(struct disk_file *disk, uint64_t index);
/* Reads a block, zeros behind the end. *zero: it is all zeros, and `block` may not have been touched. Safe from every thread. */
int disk_file_read(struct disk_file *disk, uint64_t index, void *block, bool *zero, struct error *err);
