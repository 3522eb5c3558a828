/* The guest's model. For a check the changes are gone through in order; each that is certain replaces what a sector may hold, each other one adds to it. One thread. */
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "simulated_disk.h"
#include "base/banned.h"

enum { ALTERNATIVES = 15 };

struct sector {
	uint32_t count;
	uint32_t ids[ALTERNATIVES];
};

static uint64_t sector_word(uint32_t id, uint64_t sector)
{
	return id ? (uint64_t)id << 32 | (sector + 1) : 0;
}

void model_begin(struct model *model, void *data, uint64_t offset, uint64_t size)
{
	model->changes = memory_realloc(model->changes, (model->change_count + 1) * sizeof *model->changes);
	struct model_change *change = &model->changes[model->change_count++];
	*change = (struct model_change){ .begin = simulated_disk_position(), .offset = offset, .size = size };
	change->failed = true;
	change->end = UINT64_MAX;
	change->id = data ? (uint32_t)model->change_count : 0;
	uint64_t *words = data;
	for (uint64_t at = 0; data && at < size / 8; at++)
		words[at] = sector_word(change->id, (offset + 8 * at) / SECTOR_SIZE);
}

void model_end(struct model *model, bool failed)
{
	struct model_change *change = &model->changes[model->change_count - 1];
	change->failed = failed;
	change->end = simulated_disk_position();
}

void model_flushed(struct model *model, size_t changes)
{
	model->flushes = memory_realloc(model->flushes, (model->flush_count + 1) * sizeof *model->flushes);
	model->flushes[model->flush_count++] =
		(struct model_flush){ .end = simulated_disk_position(), .changes = changes };
}

void model_sync_failed(struct model *model)
{
	size_t flushed = model->flush_count ? model->flushes[model->flush_count - 1].changes : 0;
	for (size_t i = flushed; i < model->change_count; i++)
		model->changes[i].failed = true;
}

void model_free(struct model *model)
{
	free(model->changes);
	free(model->flushes);
}

static void allow(struct sector *sectors, uint64_t offset, uint64_t size, const struct model_change *change,
	bool certain)
{
	uint64_t from = change->offset > offset ? change->offset : offset;
	uint64_t to =
		change->offset + change->size < offset + size ? change->offset + change->size : offset + size;
	for (uint64_t at = from; at < to; at += SECTOR_SIZE) {
		struct sector *sector = &sectors[(at - offset) / SECTOR_SIZE];
		if (certain)
			sector->count = 0;
		if (sector->count == ALTERNATIVES)
			abort(); /* the scenario has to flush more often */
		sector->ids[sector->count++] = change->id;
	}
}

static int check_sector(
	const struct sector *sector, const uint64_t *words, uint64_t number, struct error *err)
{
	for (unsigned i = 1; i < SECTOR_SIZE / 8; i++)
		if (words[i] != words[0])
			return error_set(err, ERROR_CORRUPT,
				"sector %" PRIu64 " is no sector that was ever written", number);
	for (unsigned i = 0; i < sector->count; i++)
		if (words[0] == sector_word(sector->ids[i], number))
			return 0;
	char wanted[256] = "";
	size_t used = 0;
	for (unsigned i = 0; i < sector->count && used < sizeof wanted - 16; i++)
		used += (size_t)snprintf(wanted + used, sizeof wanted - used, " %" PRIu32, sector->ids[i]);
	return error_set(err, ERROR_CORRUPT,
		"sector %" PRIu64 " holds change %" PRIu64 " (of sector %" PRId64 "), not one of:%s", number,
		words[0] >> 32, (int64_t)(words[0] & UINT32_MAX) - 1, wanted);
}

static int check_sectors(
	const struct sector *sectors, const void *data, uint64_t offset, uint64_t size, struct error *err)
{
	for (uint64_t at = 0; at < size; at += SECTOR_SIZE)
		if (check_sector(&sectors[at / SECTOR_SIZE], (const uint64_t *)((const char *)data + at),
			    (offset + at) / SECTOR_SIZE, err))
			return -1;
	return 0;
}

static struct sector *new_sectors(uint64_t size)
{
	uint64_t count = size / SECTOR_SIZE;
	struct sector *sectors = memory_alloc(count * sizeof *sectors + 1);
	for (uint64_t i = 0; i < count; i++) {
		sectors[i].count = 1;
		sectors[i].ids[0] = 0;
	}
	return sectors;
}

int model_check(const struct model *model, uint64_t position, enum crash_kind kind, const void *data,
	uint64_t offset, uint64_t size, struct error *err)
{
	size_t flushed = 0;
	for (size_t i = 0; i < model->flush_count; i++)
		if (model->flushes[i].end <= position && model->flushes[i].changes > flushed)
			flushed = model->flushes[i].changes;
	bool survives = kind == CRASH_PROCESS;
	struct sector *sectors = new_sectors(size);
	for (size_t i = 0; i < model->change_count; i++) {
		const struct model_change *change = &model->changes[i];
		if (change->begin >= position && change->end > position)
			break;
		allow(sectors, offset, size, change,
			!change->failed && (i < flushed || (survives && change->end <= position)));
	}
	int result = check_sectors(sectors, data, offset, size, err);
	free(sectors);
	return result;
}

int model_check_snapshot(const struct model *model, size_t changes, const void *data, uint64_t offset,
	uint64_t size, struct error *err)
{
	struct sector *sectors = new_sectors(size);
	for (size_t i = 0; i < changes; i++)
		allow(sectors, offset, size, &model->changes[i], !model->changes[i].failed);
	int result = check_sectors(sectors, data, offset, size, err);
	free(sectors);
	return result;
}
