/*
 * Map of a layer: for each grain of 4 KiB whether the layer holds data, zeros, or nothing. Two bits a grain, in memory; live maps in a file on tmpfs, so that they outlive the
 * process. Safe from every thread; reads take no lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum map_state { MAP_ABSENT = 0, MAP_DATA = 1, MAP_ZERO = 2, MAP_DAMAGED = 3 };
enum {
	MAP_PAGE_SIZE = 4096,
	MAP_GRAINS_PER_PAGE = MAP_PAGE_SIZE * 4, /* 64 MiB of disk */
	MAP_HEADER_SIZE = 4096,                  /* before the map, in files */
	MAP_ID_SIZE = 16,
};
#define MAP_VOLUME_LIMIT (64ULL << 40) /* bytes of disk that a live map can speak of */

struct map;

/* What a live map belongs to, and how the layer came to be the top one. */
struct map_identity {
	uint8_t volume[MAP_ID_SIZE];
	uint64_t layer;
};

/* Makes a live map file, empty and not yet ready; an old one is replaced. */
int map_create_live(
	const char *path, const struct map_identity *identity, struct map **map, struct error *err);
/* Opens a live map file that is ready, of this boot and this identity. ERROR_NOT_FOUND if there is none such. All of it counts as dirty. */
int map_open_live(const char *path, const struct map_identity *identity, struct map **map, struct error *err);
/* A map in memory only, for frozen layers. */
int map_create_private(struct map **map, struct error *err);
void map_close(struct map *map); /* NULL is legal */

/* The live file's own marks. Ready: complete. Active: the layer is in the stack, the one below it was frozen at that size. */
void map_mark_ready(struct map *map);
/* Whoever opens it next finds that it is none: it may speak of data that the kernel has dropped. */
void map_distrust(struct map *map);
void map_mark_active(struct map *map, uint64_t frozen_size);
bool map_is_active(const struct map *map, uint64_t *frozen_size);

/* Reads a map file (behind its header page) into the map, which becomes dirty nowhere. */
int map_load(struct map *map, int fd, struct error *err);

enum map_state map_get(const struct map *map, uint64_t grain);
/* The state of `grain` and how many grains from it on, below `end`, are alike; at least 1. */
enum map_state map_run(const struct map *map, uint64_t grain, uint64_t end, uint64_t *length);
/* Sets grains from `grain` to before `end`. ERROR_NO_SPACE when tmpfs has no room: then some may be set. */
int map_set(struct map *map, uint64_t grain, uint64_t end, enum map_state state, struct error *err);

/* Takes the next dirty page at or after *page, no longer dirty then, and copies it. False if there is none. */
bool map_take_dirty(struct map *map, uint64_t *page, uint8_t copy[MAP_PAGE_SIZE]);
/* Makes a page dirty again, since writing it failed. */
void map_mark_dirty(struct map *map, uint64_t page);
/* The next grain at or after *grain that the map may say anything about (by whole pages). */
bool map_next_present(const struct map *map, uint64_t *grain);
