/* Freezing: through the volumes' servers, all behind one barrier, when they run; else on the folders, which nobody writes then. */
#include "svc/freeze.h"

#include "base/banned.h"

/* One after the other: nothing writes to any of them. */
static int freeze_offline(struct amid *amid, struct amid_region *region,
	const struct volume_server_paths *paths, unsigned count, uint64_t *layers, struct error *err)
{
	for (unsigned i = 0; i < count; i++) {
		struct volume *volume;
		if (amid_open_volume(amid, region, &paths[i], &volume, err))
			return -1;
		int result = volume_freeze(volume, &layers[i], err);
		if (result == 0)
			result = volume_sync_frozen(volume, layers[i], err);
		amid_close_volume(amid, &paths[i], volume);
		if (result)
			return -1;
	}
	return 0;
}

int freeze_volumes(struct amid *amid, struct amid_region *region, const char *const *volume_ids,
	unsigned count, struct arena *arena, uint64_t *layers, struct error *err)
{
	if (!count)
		return 0;
	struct volume_server_paths *paths = arena_alloc_array(arena, count, sizeof *paths);
	for (unsigned i = 0; i < count; i++)
		paths[i] = amid_volume_paths(amid, region, volume_ids[i], arena);
	struct process server;
	struct error ignored;
	/* an instance's servers run all or none: its controller starts and stops them together */
	if (volume_server_find(&paths[0], &server, &ignored) == 0)
		return volume_server_freeze(paths, count, layers, err);
	return freeze_offline(amid, region, paths, count, layers, err);
}
