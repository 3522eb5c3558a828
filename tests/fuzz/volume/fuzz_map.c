/* Fuzz target (libFuzzer): a layer's map file, and a live map left on the tmpfs, with any content. Runs must end, and agree with single grains. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "volume/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GRAINS = 4 * MAP_GRAINS_PER_PAGE };

static void walk(const struct map *map)
{
	for (uint64_t grain = 0, length; grain < GRAINS; grain += length) {
		enum map_state state = map_run(map, grain, GRAINS, &length);
		if (!length || length > GRAINS - grain || map_get(map, grain) != state ||
			map_get(map, grain + length - 1) != state)
			abort();
	}
	uint64_t next = 0;
	for (unsigned i = 0; i < 8 && map_next_present(map, &next); i++)
		next += MAP_GRAINS_PER_PAGE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct map_identity identity = { .volume = "fuzz", .layer = 1 };
	char path[64] = "/dev/shm/amid-fuzz-map-XXXXXX";
	struct error err;
	struct map *map;
	int fd = mkstemp(path);
	if (fd < 0 || file_write_full(fd, data, size))
		abort();
	if (!map_create_private(&map, &err)) {
		if (!map_load(map, fd, &err))
			walk(map);
		map_close(map);
	}
	if (!map_open_live(path, &identity, &map, &err)) {
		walk(map);
		map_close(map);
	}
	close(fd);
	unlink(path);
	return 0;
}
