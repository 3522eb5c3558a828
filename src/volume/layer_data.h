/* The data of a layer: bytes at the disk's own offsets, in as many sparse files as the file system needs for them. For the volume folder only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What one file holds: the longest that ext4 knows with blocks of 4 KiB, so a part never ends within a grain. */
#define LAYER_PART_SIZE ((UINT64_C(1) << 44) - 4096)
enum { LAYER_PARTS = 5 }; /* for 64 TiB */

struct layer_data {
	int fds[LAYER_PARTS];   /* -1: there is no such part */
	_Atomic unsigned dirty; /* a bit for each part that was written since the last sync of it */
};

void layer_data_init(struct layer_data *data);
void layer_data_close(struct layer_data *data);
/*
 * Makes room for `size` bytes, in whole grains: parts that are not open yet are made, empty, replacing leftovers. Their names are durable after the next manifest_write. Nobody may write beyond the old size meanwhile.
 */
int layer_data_extend(
	struct layer_data *data, const char *folder, uint64_t number, uint64_t size, struct error *err);
/* Opens the parts that are there; the first must be. */
int layer_data_open(
	struct layer_data *data, const char *folder, uint64_t number, int flags, struct error *err);
/* Missing parts are fine. */
int layer_data_remove(const char *folder, uint64_t number, struct error *err);

/* As those of base/disk.h: -1 with errno. A write notes that its parts are to be synced. */
int layer_data_read(const struct layer_data *data, void *bytes, uint64_t size, uint64_t offset);
int layer_data_write(struct layer_data *data, const void *bytes, uint64_t size, uint64_t offset);
int layer_data_punch(const struct layer_data *data, uint64_t offset, uint64_t size);
/* Syncs the parts that were written since they were synced. */
int layer_data_sync(struct layer_data *data);
/* Whether the page cache has what one part holds of a range, from its beginning on. */
bool layer_data_is_cached(const struct layer_data *data, uint64_t offset, uint64_t size);
/* Whether the byte at `offset` is within its file. */
bool layer_data_reaches(const struct layer_data *data, uint64_t offset);
