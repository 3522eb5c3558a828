/* Paths and look-ups in struct amid. It is set up in server.c. */
#include "svc/amid.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/banned.h"

int amid_lock_offline(const char *data, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	int lock = open(arena_printf(arena, "%s/lock", data), O_RDWR | O_CLOEXEC);
	if (lock < 0)
		return error_set_errno(err, errno, "there is no data of amid in %s", data);
	if (flock(lock, LOCK_EX | LOCK_NB) == 0)
		return lock;
	close(lock);
	return error_set(err, ERROR_CONFLICT, "a server uses the data folder %s: stop it first", data);
}

struct amid_region *amid_find_region(struct amid *amid, const char *name)
{
	for (unsigned i = 0; i < amid->region_count; i++)
		if (strcmp(amid->regions[i].name, name) == 0)
			return &amid->regions[i];
	return NULL;
}

bool amid_is_zone(const struct amid_region *region, const char *zone)
{
	size_t size = strlen(region->name);
	return strncmp(zone, region->name, size) == 0 && zone[size] >= 'a' && zone[size] <= 'c' &&
		!zone[size + 1];
}

struct volume_server_paths amid_volume_paths(
	struct amid *amid, struct amid_region *region, const char *volume_id, struct arena *arena)
{
	return (struct volume_server_paths){
		.id = volume_id,
		.volume_folder = arena_printf(arena, "%s/%s", region->volumes_folder, volume_id),
		.runtime_folder = arena_printf(arena, "%s/maps", amid->runtime_folder),
		.socket_folder = arena_printf(arena, "%s/s", amid->runtime_folder),
		.store_folder = region->store_folder,
		.trace_folder = region->traces_folder,
		.plugin = amid->config->plugin,
		.reserve = amid->config->reserve,
		.log = arena_printf(arena, "%s/volumes.log", amid->config->data),
	};
}

static pthread_mutex_t *offline_lock(struct amid *amid, const char *volume_id)
{
	unsigned hash = 0;
	for (const char *p = volume_id; *p; p++)
		hash = hash * 31 + (unsigned char)*p;
	return &amid->offline_locks[hash % AMID_OFFLINE_LOCKS];
}

int amid_open_volume(struct amid *amid, struct amid_region *region, const struct volume_server_paths *paths,
	struct volume **volume, struct error *err)
{
	pthread_mutex_lock(offline_lock(amid, paths->id));
	if (volume_open(paths->volume_folder, paths->runtime_folder, region->store, volume, err) == 0)
		return 0;
	/* that it cannot be opened may have other reasons, which pass */
	if (err->code == ERROR_CORRUPT)
		volume_note_fault(paths->volume_folder, err);
	pthread_mutex_unlock(offline_lock(amid, paths->id));
	return -1;
}

void amid_close_volume(struct amid *amid, const struct volume_server_paths *paths, struct volume *volume)
{
	volume_close(volume);
	pthread_mutex_unlock(offline_lock(amid, paths->id));
}

char *amid_instance_folder(struct amid_region *region, const char *instance_id, struct arena *arena)
{
	return arena_printf(arena, "%s/%s", region->instances_folder, instance_id);
}
