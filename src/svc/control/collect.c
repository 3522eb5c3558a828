/*
 * The garbage collector's controller, one key per region: gives back the space that no snapshot, volume or unfinished upload reaches. Woken after deletions.
 *
 * Roots: every snapshot's root, every volume's base as its record and as its manifest has it. They are listed under the region's roots lock (see amid.h), after the collection has begun.
 */
#include <dirent.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "base/banned.h"

struct root_list {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct digest *roots;
	size_t count;
	size_t next;
	bool listed;
};

static void add_root(struct root_list *list, const struct digest *root)
{
	if (!digest_is_zero(root))
		*ARENA_APPEND(list->arena, list->roots, list->count) = *root;
}

static int add_hex(struct root_list *list, const char *hex, const char *of, struct error *err)
{
	struct digest root;
	if (!hex || !*hex)
		return 0;
	if (text_unhex(hex, root.bytes, DIGEST_SIZE))
		return error_set(err, ERROR_CORRUPT, "the root digest of %s is unreadable: %s", of, hex);
	add_root(list, &root);
	return 0;
}

static int add_recorded_roots(struct root_list *list, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = list->region->name };
	if (meta_list(list->amid->meta, &record_snapshot, &query, list->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct snapshot_record *snapshot = rows.items[i];
		if (add_hex(list, snapshot->root, snapshot->record.id, err))
			return -1;
	}
	if (meta_list(list->amid->meta, &record_volume, &query, list->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct volume_record *volume = rows.items[i];
		if (add_hex(list, volume->base, volume->record.id, err))
			return -1;
	}
	return 0;
}

/* The manifests tell more than the records: a volume is rebased when it is sealed. */
static int add_manifest_roots(struct root_list *list, struct error *err)
{
	DIR *folder = opendir(list->region->volumes_folder);
	if (!folder)
		return error_set(err, ERROR_INTERNAL, "cannot list %s", list->region->volumes_folder);
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(folder));) {
		struct volume_info info;
		if (!text_starts_with(entry->d_name, "vol-"))
			continue;
		result = volume_inspect(
			arena_printf(list->arena, "%s/%s", list->region->volumes_folder, entry->d_name),
			&info, err);
		if (result == 0)
			add_root(list, &info.base);
		else if (err->code == ERROR_NOT_FOUND)
			result =
				0; /* just being made or removed: it holds nothing that its record does not name */
	}
	closedir(folder);
	return result;
}

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct root_list *list = context;
	if (!list->listed) {
		pthread_rwlock_wrlock(&list->region->roots_lock);
		int result = add_recorded_roots(list, err) || add_manifest_roots(list, err) ? -1 : 0;
		pthread_rwlock_unlock(&list->region->roots_lock);
		if (result)
			return -1;
		list->listed = true;
	}
	if (list->next == list->count)
		return 0;
	*root = list->roots[list->next++];
	return 1;
}

int control_collect(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct root_list list = { .amid = context, .arena = arena };
	list.region = amid_find_region(list.amid, id);
	if (!list.region)
		return 0;
	int64_t begun_ms = clock_monotonic_ms();
	struct store_collect_result result;
	if (store_collect(list.region->store, next_root, &list, &result, err))
		return -1;
	if (result.objects_freed) {
		upkeep_after_collection(list.amid, id);
		log_info("space-given-back", "region=%s objects=%llu bytes=%llu kept_bytes=%llu ms=%lld", id,
			(unsigned long long)result.objects_freed, (unsigned long long)result.bytes_freed,
			(unsigned long long)result.bytes_kept, (long long)(clock_monotonic_ms() - begun_ms));
	}
	return 0;
}
