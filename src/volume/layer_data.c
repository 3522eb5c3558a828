/*
 * The parts of a layer's data: `NNNNNNNN.data` from offset 0, `NNNNNNNN.data.1` from LAYER_PART_SIZE, and so on, each of full length from the start, so that syncs need not write a new one each time. Nearly every volume has one
 * part.
 *
 * Any thread reads, writes and syncs; extending is for one at a time.
 */
#include "volume/layer_data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "volume/volume.h"
#include "base/banned.h"

enum { PATH_SIZE = 4096 };

static void part_path(const char *folder, uint64_t number, unsigned part, char path[PATH_SIZE])
{
	if (part)
		snprintf(path, PATH_SIZE, "%s/%08" PRIu64 ".data.%u", folder, number, part);
	else
		snprintf(path, PATH_SIZE, "%s/%08" PRIu64 ".data", folder, number);
}

void layer_data_init(struct layer_data *data)
{
	*data = (struct layer_data){ 0 };
	for (unsigned i = 0; i < LAYER_PARTS; i++)
		data->fds[i] = -1;
}

void layer_data_close(struct layer_data *data)
{
	for (unsigned i = 0; i < LAYER_PARTS; i++)
		if (data->fds[i] >= 0)
			close(data->fds[i]);
}

/* ERROR_NOT_FOUND if there is none. */
static int open_part(struct layer_data *data, const char *folder, uint64_t number, unsigned part, int flags,
	struct error *err)
{
	char path[PATH_SIZE];
	part_path(folder, number, part, path);
	data->fds[part] = disk_open(path, flags, 0600);
	return data->fds[part] < 0 ? error_set_errno(err, errno, "cannot open %s", path) : 0;
}

int layer_data_extend(
	struct layer_data *data, const char *folder, uint64_t number, uint64_t size, struct error *err)
{
	for (unsigned part = 0; part < LAYER_PARTS && part * LAYER_PART_SIZE < size; part++) {
		/* whole grains: when the volume has grown, the last one of a layer that was frozen before is read to its end */
		uint64_t length = (size - part * LAYER_PART_SIZE + VOLUME_GRAIN_SIZE - 1) /
			VOLUME_GRAIN_SIZE * VOLUME_GRAIN_SIZE;
		if (data->fds[part] < 0 &&
			open_part(data, folder, number, part, O_RDWR | O_CREAT | O_TRUNC, err))
			return -1;
		if (disk_truncate(data->fds[part], length < LAYER_PART_SIZE ? length : LAYER_PART_SIZE))
			return error_set_errno(
				err, errno, "cannot make layer %" PRIu64 " of %s", number, folder);
	}
	return 0;
}

int layer_data_open(
	struct layer_data *data, const char *folder, uint64_t number, int flags, struct error *err)
{
	struct error found;
	if (open_part(data, folder, number, 0, flags, err))
		return -1;
	for (unsigned part = 1; part < LAYER_PARTS; part++) {
		if (open_part(data, folder, number, part, flags, &found) == 0)
			continue;
		if (found.code == ERROR_NOT_FOUND)
			return 0;
		return error_set(err, found.code, "%.500s", found.message);
	}
	return 0;
}

int layer_data_remove(const char *folder, uint64_t number, struct error *err)
{
	char path[PATH_SIZE];
	int result = 0;
	/* from the last: what a crash leaves is still a layer's beginning */
	for (unsigned part = LAYER_PARTS; part-- > 0;) {
		part_path(folder, number, part, path);
		if (disk_remove(path) && errno != ENOENT)
			result = error_set_errno(err, errno, "cannot remove %s", path);
	}
	return result;
}

/* The part that holds `offset`, where in it, and how much of `size` it takes. */
static unsigned place(uint64_t offset, uint64_t size, uint64_t *within, uint64_t *length)
{
	uint64_t part = offset / LAYER_PART_SIZE;
	*within = offset - part * LAYER_PART_SIZE;
	*length = LAYER_PART_SIZE - *within < size ? LAYER_PART_SIZE - *within : size;
	return (unsigned)part;
}

int layer_data_read(const struct layer_data *data, void *bytes, uint64_t size, uint64_t offset)
{
	uint8_t *at = bytes;
	for (uint64_t within, length; size; at += length, offset += length, size -= length) {
		unsigned part = place(offset, size, &within, &length);
		if (disk_read(data->fds[part], at, length, within))
			return -1;
	}
	return 0;
}

int layer_data_write(struct layer_data *data, const void *bytes, uint64_t size, uint64_t offset)
{
	const uint8_t *at = bytes;
	for (uint64_t within, length; size; at += length, offset += length, size -= length) {
		unsigned part = place(offset, size, &within, &length), bit = 1U << part;
		if (disk_write(data->fds[part], at, length, within))
			return -1;
		if (!(atomic_load_explicit(&data->dirty, memory_order_relaxed) & bit))
			atomic_fetch_or(&data->dirty, bit);
	}
	return 0;
}

int layer_data_punch(const struct layer_data *data, uint64_t offset, uint64_t size)
{
	for (uint64_t within, length; size; offset += length, size -= length) {
		unsigned part = place(offset, size, &within, &length);
		if (disk_punch(data->fds[part], within, length))
			return -1;
	}
	return 0;
}

int layer_data_sync(struct layer_data *data)
{
	unsigned dirty = atomic_exchange(&data->dirty, 0);
	for (unsigned part = 0; part < LAYER_PARTS; part++)
		if (dirty >> part & 1 && data->fds[part] >= 0 && disk_sync(data->fds[part]))
			return -1;
	return 0;
}

bool layer_data_is_cached(const struct layer_data *data, uint64_t offset, uint64_t size)
{
	uint64_t within, length;
	unsigned part = place(offset, size, &within, &length);
	return part < LAYER_PARTS && data->fds[part] >= 0 && disk_is_cached(data->fds[part], within, length);
}

bool layer_data_reaches(const struct layer_data *data, uint64_t offset)
{
	uint64_t within, length;
	struct stat status;
	unsigned part = place(offset, 1, &within, &length);
	return part < LAYER_PARTS && data->fds[part] >= 0 && fstat(data->fds[part], &status) == 0 &&
		within < (uint64_t)status.st_size;
}
