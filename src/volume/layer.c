/*
 * Layer files: `NNNNNNNN.data` (and more of them: layer_data.c), `NNNNNNNN.map` in the volume's folder, `ID-NNNNNNNN.live` in the runtime folder.
 *
 * The order that makes a crash harmless: a write puts data into the data file, then the state into the live map; a flush copies the changed map pages, then syncs the data file, then
 * writes the copies and syncs the map file. So a state on disk never speaks of data that is not.
 *
 * Any thread. `flush_lock` serializes flushes of one layer, which also makes one that finds nothing dirty wait for the one under way.
 */
#include "volume/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "base/disk.h"
#include "store/wire.h"
#include "base/banned.h"

enum { PATH_SIZE = 4096, FLUSH_BATCH = 64 };

static const char MAP_MAGIC[8] = { 'A', 'M', 'I', 'D', 'L', 'M', 'A', 'P' };

static void file_path(const char *folder, uint64_t number, const char *suffix, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%08" PRIu64 ".%s", folder, number, suffix);
}

static void live_path(const struct layer_place *place, uint64_t number, char path[PATH_SIZE])
{
	char hex[2 * MAP_ID_SIZE + 1];
	snprintf(path, PATH_SIZE, "%s/%s-%08" PRIu64 ".live", place->runtime_folder,
		text_hex(place->volume_id, MAP_ID_SIZE, hex), number);
}

static struct layer *allocate(uint64_t number)
{
	struct layer *layer = memory_alloc(sizeof *layer);
	*layer = (struct layer){ .number = number, .map_fd = -1 };
	layer_data_init(&layer->data);
	pthread_mutex_init(&layer->flush_lock, NULL);
	ahead_init(&layer->ahead);
	return layer;
}

void layer_close(struct layer *layer)
{
	if (!layer)
		return;
	map_close(layer->map);
	layer_data_close(&layer->data);
	if (layer->map_fd >= 0)
		close(layer->map_fd);
	pthread_mutex_destroy(&layer->flush_lock);
	ahead_destroy(&layer->ahead);
	free(layer->batch);
	free(layer);
}

static int open_file(
	const char *folder, uint64_t number, const char *suffix, int flags, int *fd, struct error *err)
{
	char path[PATH_SIZE];
	file_path(folder, number, suffix, path);
	*fd = disk_open(path, flags, 0600);
	return *fd < 0 ? error_set_errno(err, errno, "cannot open %s", path) : 0;
}

static int write_map_header(const struct layer *layer, struct error *err)
{
	uint8_t header[MAP_HEADER_SIZE] = { 0 };
	memcpy(header, MAP_MAGIC, sizeof MAP_MAGIC);
	wire_put(header + 8, 4, 1);
	wire_put(header + 16, 8, layer->number);
	if (disk_write(layer->map_fd, header, sizeof header, 0))
		return error_set_errno(err, errno, "cannot write the map of layer %" PRIu64, layer->number);
	return 0;
}

/* Empties a map that does not count, durably before there is a header that makes the rest count. */
static int empty_map(const struct layer *layer, struct error *err)
{
	if (disk_truncate(layer->map_fd, 0) || disk_sync(layer->map_fd))
		return error_set_errno(err, errno, "cannot empty the map of layer %" PRIu64, layer->number);
	return 0;
}

static int create_live(const struct layer_place *place, struct layer *layer, struct error *err)
{
	char path[PATH_SIZE];
	struct map_identity identity = { .layer = layer->number };
	memcpy(identity.volume, place->volume_id, MAP_ID_SIZE);
	live_path(place, layer->number, path);
	return map_create_live(path, &identity, &layer->map, err);
}

int layer_create(const struct layer_place *place, uint64_t number, uint64_t size, struct layer **layer_out,
	struct error *err)
{
	struct layer *layer = allocate(number);
	if (layer_data_extend(&layer->data, place->folder, number, size, err) ||
		open_file(place->folder, number, "map", O_RDWR | O_CREAT | O_TRUNC, &layer->map_fd, err) ||
		write_map_header(layer, err))
		goto failed;
	layer->data_size = size < LAYER_PART_SIZE ? size : LAYER_PART_SIZE;
	if (place->runtime_folder) {
		if (create_live(place, layer, err))
			goto failed;
		map_mark_ready(layer->map);
	}
	*layer_out = layer;
	return 0;
failed:
	layer_close(layer);
	layer_remove(place, number, NULL);
	return -1;
}

/* The header of a map goes to disk with the first flush. Before that nothing in the file counts, whatever of it was written out. */
static bool is_unwritten(uint64_t size, const uint8_t header[MAP_HEADER_SIZE])
{
	return size < MAP_HEADER_SIZE || !header[0];
}

bool layer_was_flushed(const char *folder, uint64_t number)
{
	uint8_t header[MAP_HEADER_SIZE];
	struct stat status;
	int fd FILE_SCOPED = -1;
	return !open_file(folder, number, "map", O_RDONLY, &fd, NULL) && !fstat(fd, &status) &&
		!disk_read(fd, header, sizeof header, 0) && !is_unwritten((uint64_t)status.st_size, header);
}

/* An empty map file is that of a layer that was never flushed. */
static int load_durable_map(struct layer *layer, const char *folder, bool may_be_empty, struct error *err)
{
	uint8_t header[MAP_HEADER_SIZE];
	struct stat status;
	if (fstat(layer->map_fd, &status))
		return error_set_errno(err, errno, "cannot examine the map of layer %" PRIu64 " of %s",
			layer->number, folder);
	bool sound = !disk_read(layer->map_fd, header, sizeof header, 0) &&
		!memcmp(header, MAP_MAGIC, sizeof MAP_MAGIC) && wire_get(header + 8, 4) == 1 &&
		wire_get(header + 16, 8) == layer->number;
	if (!sound) {
		if (may_be_empty && is_unwritten((uint64_t)status.st_size, header))
			return empty_map(layer, err);
		return error_set(err, ERROR_CORRUPT, "the map of layer %" PRIu64 " of %s is damaged",
			layer->number, folder);
	}
	return map_load(layer->map, layer->map_fd, err);
}

int layer_open_live(
	const struct layer_place *place, uint64_t number, struct layer **layer_out, struct error *err)
{
	char path[PATH_SIZE];
	struct map_identity identity = { .layer = number };
	struct layer *layer = allocate(number);
	memcpy(identity.volume, place->volume_id, MAP_ID_SIZE);
	live_path(place, number, path);
	if (layer_data_open(&layer->data, place->folder, number, O_RDWR, err) ||
		open_file(place->folder, number, "map", O_RDWR | O_CREAT, &layer->map_fd, err))
		goto failed;
	struct stat status;
	if (!fstat(layer->data.fds[0], &status))
		layer->data_size = (uint64_t)status.st_size;
	struct error found;
	if (map_open_live(path, &identity, &layer->map, &found) == 0) {
		layer->data.dirty = UINT_MAX; /* who knows what the process before had not synced */
	} else if (found.code != ERROR_NOT_FOUND) {
		if (err)
			*err = found;
		goto failed;
	} else {
		/* the header anew: if a sync of it failed, what was read just now may be in the page cache only */
		if (create_live(place, layer, err) || load_durable_map(layer, place->folder, true, err) ||
			write_map_header(layer, err))
			goto failed;
		map_mark_ready(layer->map);
	}
	*layer_out = layer;
	return 0;
failed:
	layer_close(layer);
	return -1;
}

bool layer_find_active(const struct layer_place *place, uint64_t number, uint64_t *frozen_size)
{
	char path[PATH_SIZE];
	struct map *map;
	struct map_identity identity = { .layer = number };
	memcpy(identity.volume, place->volume_id, MAP_ID_SIZE);
	live_path(place, number, path);
	if (map_open_live(path, &identity, &map, NULL))
		return false;
	bool active = map_is_active(map, frozen_size);
	map_close(map);
	return active;
}

int layer_open_frozen(const char *folder, uint64_t number, struct layer **layer_out, struct error *err)
{
	struct layer *layer = allocate(number);
	if (layer_data_open(&layer->data, folder, number, O_RDONLY, err) ||
		open_file(folder, number, "map", O_RDONLY, &layer->map_fd, err) ||
		map_create_private(&layer->map, err) || load_durable_map(layer, folder, false, err)) {
		layer_close(layer);
		return -1;
	}
	layer->durable = true;
	*layer_out = layer;
	return 0;
}

void layer_remove_live(const struct layer_place *place, uint64_t number)
{
	char path[PATH_SIZE];
	live_path(place, number, path);
	disk_remove(path);
}

int layer_remove(const struct layer_place *place, uint64_t number, struct error *err)
{
	char path[PATH_SIZE];
	if (place->runtime_folder)
		layer_remove_live(place, number);
	int result = layer_data_remove(place->folder, number, err);
	file_path(place->folder, number, "map", path);
	if (disk_remove(path) && errno != ENOENT)
		result = error_set_errno(err, errno, "cannot remove %s", path);
	return result;
}

/* Map pages on their way to the disk. */
struct layer_batch {
	unsigned count;
	uint64_t pages[FLUSH_BATCH];
	uint8_t copies[FLUSH_BATCH][MAP_PAGE_SIZE];
};

static void take_batch(struct layer *layer, uint64_t *from, struct layer_batch *batch)
{
	uint64_t page = *from;
	for (batch->count = 0; batch->count < FLUSH_BATCH; batch->count++) {
		if (!map_take_dirty(layer->map, &page, batch->copies[batch->count]))
			break;
		batch->pages[batch->count] = page++;
	}
	*from = page;
}

static int write_batch(struct layer *layer, const struct layer_batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++)
		if (disk_write(layer->map_fd, batch->copies[i], MAP_PAGE_SIZE,
			    MAP_HEADER_SIZE + batch->pages[i] * MAP_PAGE_SIZE))
			return -1;
	return 0;
}

/*
 * After a failed sync what was written since the last one may be on the disk or not, and read back so or so. Grains that were made of what lies below, flushed long ago, are among it: so the live map counts no
 * more, and whoever opens the layer next starts from the last flush.
 */
static void give_up(struct layer *layer)
{
	layer->broken = true;
	map_distrust(layer->map);
}

/* The caller holds flush_lock. */
static int flush_locked(struct layer *layer, struct layer_batch *batch, struct error *err)
{
	uint64_t from = 0;
	bool map_written = false;
	for (;;) {
		/* copies first: what they speak of was written before, so the sync covers it */
		take_batch(layer, &from, batch);
		if (layer_data_sync(&layer->data)) {
			give_up(layer);
			goto failed;
		}
		if (write_batch(layer, batch))
			goto failed;
		map_written |= batch->count > 0;
		if (batch->count < FLUSH_BATCH)
			break;
	}
	/* a layer in which nothing was ever written has a map, too: frozen, it may not be taken for a damaged one */
	if ((map_written || !layer->map_synced) && disk_sync(layer->map_fd)) {
		give_up(layer);
		goto failed;
	}
	layer->map_synced = true;
	return 0;
failed:
	error_set_errno(err, errno, "cannot flush layer %" PRIu64, layer->number);
	for (unsigned i = 0; i < batch->count; i++)
		map_mark_dirty(layer->map, batch->pages[i]);
	return -1;
}

int layer_flush(struct layer *layer, struct error *err)
{
	pthread_mutex_lock(&layer->flush_lock);
	if (!layer->batch)
		layer->batch = memory_alloc(sizeof *layer->batch);
	int result = flush_locked(layer, layer->batch, err);
	pthread_mutex_unlock(&layer->flush_lock);
	return result;
}
