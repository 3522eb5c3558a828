/* A volume's manifest: its size, base and layers, in one small file that is replaced atomically. The layout is in docs/design/volume.md. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "volume/map.h"

enum { MANIFEST_LAYER_LIMIT = 1024, MANIFEST_FIXED_SIZE = 128, MANIFEST_LAYER_SIZE = 32 };
#define MANIFEST_SIZE_LIMIT (MANIFEST_FIXED_SIZE + MANIFEST_LAYER_LIMIT * MANIFEST_LAYER_SIZE)

struct manifest_layer {
	uint64_t number;
	uint64_t frozen_size; /* of the volume when it was frozen; 0 for the top layer */
	bool durable;         /* frozen, and all of it on disk: no live map counts any more */
};

struct manifest {
	uint8_t id[MAP_ID_SIZE];
	uint64_t size;
	struct digest base;   /* zero: none */
	uint64_t base_size;   /* how far the base reaches into the volume */
	uint64_t base_layer;  /* the last layer that went into the base; 0: none */
	uint32_t layer_count; /* at least 1; ascending numbers, the top one last */
	struct manifest_layer layers[MANIFEST_LAYER_LIMIT];
};

/* Returns the size. */
size_t manifest_encode(const struct manifest *manifest, uint8_t out[MANIFEST_SIZE_LIMIT]);
/* Total: -1 unless the bytes are a manifest that makes sense. */
int manifest_decode(const uint8_t *bytes, size_t size, struct manifest *manifest);
/* ERROR_NOT_FOUND, ERROR_CORRUPT. */
int manifest_read(const char *folder, struct manifest *manifest, struct error *err);
/* Durable on return; the folder is synced, so the names of files made in it before are durable too. */
int manifest_write(const char *folder, const struct manifest *manifest, struct error *err);
