/*
 * The roots that must be kept. A root moves from a snapshot's record into the manifest of the volume that was sealed (svc/control/volume.c, under the roots lock), and from a snapshot's record into that of a new volume, so records
 * of snapshots are read before those of volumes, and all records before the manifests. No state.
 */
#include "svc/published.h"

#include <dirent.h>
#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "volume/volume.h"
#include "base/banned.h"

static void add_root(struct published_roots *list, const struct digest *root, struct arena *arena)
{
	if (!digest_is_zero(root))
		*ARENA_APPEND(arena, list->items, list->count) = *root;
}

/* In the order in which a root moves from record to record, each time in one commit: so it is seen in the one or in the other. */
static const struct place {
	const struct record_kind *kind;
	const char *index;
	bool elsewhere;
} places[] = {
	{ &record_snapshot, "root", false },
	{ &record_snapshot, "copied_root", true },
	{ &record_peer_lease, "root", false },
	{ &record_twin, "source_root", false },
	{ &record_twin, "root", false },
	{ &record_root_replacement, "base", false },
	{ &record_volume, "base", false },
	{ &record_instance, "launch_base", false },
};
enum { PLACES = sizeof places / sizeof *places };

static const char *root_in(const struct place *place, const void *record)
{
	if (place->kind == &record_snapshot) {
		const struct snapshot_record *snapshot = record;
		return !place->elsewhere ? snapshot->root : snapshot->copy ? snapshot->copy->root : NULL;
	}
	if (place->kind == &record_peer_lease)
		return ((const struct peer_lease_record *)record)->root;
	if (place->kind == &record_twin) {
		const struct twin_record *twin = record;
		return strcmp(place->index, "root") == 0 ? twin->root : twin->source_root;
	}
	if (place->kind == &record_root_replacement)
		return ((const struct root_replacement_record *)record)->base;
	if (place->kind == &record_volume)
		return ((const struct volume_record *)record)->base;
	const struct instance_record *instance = record;
	return instance->launch_root ? instance->launch_root->base : NULL;
}

bool published_in_index(const char *kind, const char *index, bool *elsewhere)
{
	for (size_t i = 0; i < PLACES; i++)
		if (strcmp(places[i].kind->name, kind) == 0 && strcmp(places[i].index, index) == 0) {
			*elsewhere = places[i].elsewhere;
			return true;
		}
	return false;
}

int published_visit_recorded(struct meta *meta, const char *region, struct arena *arena,
	published_visit *visit, void *context, struct error *err)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct meta_rows rows;
		struct meta_query query = { .region = region };
		if (places[i].elsewhere)
			query = (struct meta_query){ .index = "copying", .value = region };
		if (meta_list(meta, places[i].kind, &query, arena, &rows, err))
			return -1;
		for (size_t j = 0; j < rows.count; j++)
			/* every record begins with its head */
			if (visit(context, ((const struct record *)rows.items[j])->id,
				    root_in(&places[i], rows.items[j]), err))
				return -1;
	}
	return 0;
}

struct listing {
	struct published_roots *roots;
	struct arena *arena;
};

static int add_hex(void *context, const char *of, const char *hex, struct error *err)
{
	struct listing *listing = context;
	struct digest root;
	if (!hex || !*hex)
		return 0;
	if (text_unhex(hex, root.bytes, DIGEST_SIZE))
		return error_set(err, ERROR_CORRUPT, "the root digest of %s is unreadable: %s", of, hex);
	add_root(listing->roots, &root, listing->arena);
	return 0;
}

/* The manifests tell more than the records: a volume is rebased when it is sealed. */
int published_list_bases(
	struct amid_region *region, struct arena *arena, struct published_roots *roots, struct error *err)
{
	DIR *folder = opendir(region->volumes_folder);
	if (!folder)
		return error_set(err, ERROR_INTERNAL, "cannot list %s", region->volumes_folder);
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(folder));) {
		struct volume_info info;
		if (!text_starts_with(entry->d_name, "vol-"))
			continue;
		result = volume_inspect(
			arena_printf(arena, "%s/%s", region->volumes_folder, entry->d_name), &info, err);
		if (result == 0)
			add_root(roots, &info.base, arena);
		else if (err->code == ERROR_NOT_FOUND)
			result =
				0; /* just being made or removed: it holds nothing that its record does not name */
	}
	closedir(folder);
	return result;
}

int published_list(struct amid *amid, struct amid_region *region, struct arena *arena,
	struct published_roots *roots, struct error *err)
{
	struct listing listing = { roots, arena };
	*roots = (struct published_roots){ 0 };
	pthread_rwlock_wrlock(&region->roots_lock);
	int result = published_visit_recorded(amid->meta, region->name, arena, add_hex, &listing, err) ||
			published_list_bases(region, arena, roots, err)
		? -1
		: 0;
	pthread_rwlock_unlock(&region->roots_lock);
	return result;
}

static int find_recorded(struct amid *amid, const struct amid_region *region, const struct digest *root,
	bool *published, struct error *err)
{
	char hex[2 * DIGEST_SIZE + 1];
	text_hex(root->bytes, DIGEST_SIZE, hex);
	for (size_t i = 0; i < PLACES && !*published; i++) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct meta_rows rows;
		struct meta_query query = { .region = places[i].elsewhere ? NULL : region->name,
			.index = places[i].index,
			.value = hex,
			.limit = 1 };
		if (meta_list(amid->meta, places[i].kind, &query, arena, &rows, err))
			return -1;
		*published = rows.count > 0;
	}
	return 0;
}

static int find_all(struct amid *amid, struct amid_region *region, const struct digest *roots, size_t count,
	bool *published, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct published_roots bases = { 0 };
	size_t open = 0;
	for (size_t i = 0; i < count; i++) {
		published[i] = false;
		if (find_recorded(amid, region, &roots[i], &published[i], err))
			return -1;
		open += !published[i];
	}
	if (open && published_list_bases(region, arena, &bases, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < bases.count && !published[i]; j++)
			published[i] = digest_equal(&roots[i], &bases.items[j]);
	return 0;
}

int published_find(struct amid *amid, struct amid_region *region, const struct digest *roots, size_t count,
	bool *published, struct error *err)
{
	pthread_rwlock_wrlock(&region->roots_lock);
	int result = find_all(amid, region, roots, count, published, err);
	pthread_rwlock_unlock(&region->roots_lock);
	return result;
}
