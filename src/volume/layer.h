/*
 * A layer: sparse data, in which each written grain lies at its own offset in the disk, and the map that says which grains those are. For the volume folder only.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "volume/ahead.h"
#include "volume/layer_data.h"
#include "volume/map.h"

struct layer {
	uint64_t number;
	struct layer_data data;
	uint64_t data_size; /* of the data's first file; a volume that has grown since writes beyond it */
	struct ahead ahead;
	int map_fd; /* the durable map */
	struct map *map;
	uint64_t frozen_size; /* 0: not frozen. Set before the layer is published as frozen. */
	_Atomic bool durable; /* frozen and wholly on disk */
	_Atomic bool broken;  /* a sync failed: see disk_sync */
	bool map_synced; /* the map file, and be it only its header, is on disk. Guarded by flush_lock. */
	pthread_mutex_t flush_lock;
	struct layer_batch *batch; /* the flush's memory, made by the first */
};

/* Where a layer's files are. */
struct layer_place {
	const char *folder;
	const char *runtime_folder;
	const uint8_t *volume_id;
};

/* Makes the files of a new layer, empty, replacing leftovers of one that was never used. Their names are durable after the next manifest_write. */
int layer_create(const struct layer_place *place, uint64_t number, uint64_t size, struct layer **layer,
	struct error *err);
/* Opens the top layer, or a frozen one that is not durable yet: from its live map if this boot has one, else from the durable map. */
int layer_open_live(
	const struct layer_place *place, uint64_t number, struct layer **layer, struct error *err);
/* Whether the runtime folder has an active live map of that layer; *frozen_size is that of the layer below. */
bool layer_find_active(const struct layer_place *place, uint64_t number, uint64_t *frozen_size);
/* Opens a layer that is durable, for reading. */
int layer_open_frozen(const char *folder, uint64_t number, struct layer **layer, struct error *err);
/* Whether a layer's map was ever made durable; one that was not holds nothing that counts. */
bool layer_was_flushed(const char *folder, uint64_t number);
void layer_close(struct layer *layer); /* NULL is legal; removes nothing */
/* Removes the layer's live map, or all its files. Missing ones are fine. */
void layer_remove_live(const struct layer_place *place, uint64_t number);
int layer_remove(const struct layer_place *place, uint64_t number, struct error *err);

/* Data, then map: what was written before the call is durable when it returns. Does nothing when nothing was written since the last, but for the first: a layer that is durable has a map. */
int layer_flush(struct layer *layer, struct error *err);
