/* Looking at a volume's folder without opening the volume: what its manifest says, and whether its files agree. Reads only. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "volume/volume_internal.h"
#include "base/banned.h"

static uint64_t allocated_bytes(const char *folder, uint64_t number)
{
	static const char *const suffixes[] = { "data", "map" };
	char path[4096];
	struct stat status;
	uint64_t sum = 0;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%08" PRIu64 ".%s", folder, number, suffixes[i]);
		if (!stat(path, &status))
			sum += (uint64_t)status.st_blocks * 512;
	}
	return sum;
}

int volume_inspect(const char *folder, struct volume_info *info, struct error *err)
{
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	int result = manifest_read(folder, manifest, err);
	if (!result) {
		*info = (struct volume_info){ .size = manifest->size,
			.base = manifest->base,
			.top_layer = manifest->layers[manifest->layer_count - 1].number,
			.layer_count = manifest->layer_count };
		for (uint32_t i = 0; i < manifest->layer_count; i++)
			info->layer_bytes += allocated_bytes(folder, manifest->layers[i].number);
	}
	free(manifest);
	return result;
}

struct check {
	void (*report)(void *context, const char *line);
	void *context;
	uint64_t faults;
};

static void __attribute__((format(printf, 2, 3))) fault(struct check *check, const char *format, ...)
{
	char line[600];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	check->faults++;
	if (check->report)
		check->report(check->context, line);
}

/* States that do not exist, and data that the data file is too short for. */
static void check_map(struct check *check, const char *folder, const struct layer *layer)
{
	uint64_t end = MAP_VOLUME_LIMIT / VOLUME_GRAIN_SIZE, length;
	for (uint64_t grain = 0; grain < end && map_next_present(layer->map, &grain); grain += length) {
		enum map_state state = map_run(layer->map, grain, end, &length);
		if (state == MAP_DAMAGED)
			fault(check,
				"folder=%s layer=%" PRIu64 " offset=%" PRIu64 ": %" PRIu64
				" grains have no valid state",
				folder, layer->number, grain * VOLUME_GRAIN_SIZE, length);
		else if (state == MAP_DATA &&
			!layer_data_reaches(&layer->data, (grain + length - 1) * VOLUME_GRAIN_SIZE))
			fault(check, "folder=%s layer=%" PRIu64 ": the data file is too short", folder,
				layer->number);
	}
}

static void check_layer(struct check *check, const char *folder, const struct manifest_layer *entry)
{
	struct layer *layer;
	struct error found;
	/* one that is not durable may not have been flushed yet */
	if (!entry->durable && !layer_was_flushed(folder, entry->number))
		return;
	if (layer_open_frozen(folder, entry->number, &layer, &found)) {
		fault(check, "folder=%s layer=%" PRIu64 ": %s", folder, entry->number, found.message);
		return;
	}
	check_map(check, folder, layer);
	layer_close(layer);
}

int volume_check(const char *folder, void (*report)(void *context, const char *line), void *context,
	uint64_t *faults, struct error *err)
{
	struct check check = { .report = report, .context = context };
	struct error found;
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	int result = 0;
	if (manifest_read(folder, manifest, &found)) {
		if (found.code == ERROR_CORRUPT) {
			fault(&check, "folder=%s: %s", folder, found.message);
		} else {
			if (err)
				*err = found;
			result = -1;
		}
	} else {
		for (uint32_t i = 0; i < manifest->layer_count; i++)
			check_layer(&check, folder, &manifest->layers[i]);
	}
	free(manifest);
	*faults = check.faults;
	return result;
}
