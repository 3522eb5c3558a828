/*
 * amid fsck. Beyond what each part checks of itself: every root that a record names is in its region's store, every image's snapshots and every attachment's instance exist, nothing is in two states.
 */
#include "svc/check.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api/records.h"
#include "base/file.h"
#include "base/text.h"
#include "meta/meta.h"
#include "store/store.h"
#include "svc/published.h"
#include "volume/volume.h"
#include "base/banned.h"

struct check {
	const char *data;
	check_report *report;
	void *context;
	uint64_t *faults;
	struct arena *arena;
	struct meta *meta;
	struct digest *roots; /* in use, of the region that is looked at */
	size_t root_count;
};

static void fault(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fault(struct check *check, const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	(*check->faults)++;
	check->report(check->context, line);
}

static void check_root(struct check *check, struct store *store, const char *of, const char *hex)
{
	struct digest root;
	struct error err;
	size_t size;
	if (!hex || !*hex)
		return;
	if (text_unhex(hex, root.bytes, DIGEST_SIZE))
		fault(check, "%s: unreadable root digest %s", of, hex);
	else if (store_stat(store, &root, &size, &err))
		fault(check, "%s: its root %s is not in the store: %s", of, hex, err.message);
	else
		*ARENA_APPEND(check->arena, check->roots, check->root_count) = root;
}

struct named_root {
	struct check *check;
	struct store *store;
};

static int check_recorded(void *context, const char *id, const char *hex, struct error *err)
{
	struct named_root *named = context;
	(void)err;
	check_root(named->check, named->store, id, hex);
	return 0;
}

struct root_list {
	const struct check *check;
	size_t next;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct root_list *list = context;
	(void)err;
	if (list->next == list->check->root_count)
		return 0;
	*root = list->check->roots[list->next++];
	return 1;
}

static int check_roots(struct check *check, struct store *store, struct error *err)
{
	struct root_list list = { .check = check };
	uint64_t faults = 0;
	int result = store_check_roots(store, next_root, &list, check->report, check->context, &faults, err);
	*check->faults += faults;
	return result;
}

static int check_snapshots(struct check *check, const char *region, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = region };
	if (meta_list(check->meta, &record_snapshot, &query, check->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct snapshot_record *snapshot = rows.items[i];
		if (strcmp(snapshot->state, "completed") == 0 && (!snapshot->root || !*snapshot->root))
			fault(check, "%s: completed, but without a root", snapshot->record.id);
	}
	return 0;
}

static int check_images(struct check *check, const char *region, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = region };
	if (meta_list(check->meta, &record_image, &query, check->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct image_record *image = rows.items[i];
		/* what is in the recycle bin may have lost its snapshots */
		for (size_t j = 0; !image->recycled && j < image->block_devices.count; j++) {
			struct snapshot_record *snapshot = NULL;
			const char *id = image->block_devices.items[j].snapshot;
			if (id &&
				meta_get_any(check->meta, &record_snapshot, region, id, check->arena,
					&snapshot, err))
				return -1;
			if (id && !snapshot)
				fault(check, "%s: its snapshot %s does not exist", image->record.id, id);
			else if (id && strcmp(image->state, "available") == 0 &&
				strcmp(snapshot->state, "completed") != 0)
				fault(check, "%s: available, but its snapshot %s is %s", image->record.id, id,
					snapshot->state);
		}
	}
	return 0;
}

static int check_volume_records(struct check *check, const char *region, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = region };
	if (meta_list(check->meta, &record_volume, &query, check->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct volume_record *volume = rows.items[i];
		struct instance_record *instance = NULL;
		if (!volume->attachment)
			continue;
		if (meta_get_any(check->meta, &record_instance, region, volume->attachment->instance,
			    check->arena, &instance, err))
			return -1;
		if (!instance)
			fault(check, "%s: attached to %s, which does not exist", volume->record.id,
				volume->attachment->instance);
	}
	return 0;
}

/* Whether the next start makes the folder anew, or removes it: a crash came between the steps of that. */
static bool is_unfinished(struct check *check, const char *id)
{
	struct volume_record *volume;
	struct error ignored;
	if (strstr(id, VOLUME_UNFINISHED))
		return true;
	return meta_get_any(check->meta, &record_volume, NULL, id, check->arena, &volume, &ignored) == 0 &&
		(!volume || strcmp(volume->state, "creating") == 0 || strcmp(volume->state, "deleting") == 0);
}

static int check_volume_folders(
	struct check *check, const char *folder, struct store *store, struct error *err)
{
	DIR *listing = opendir(folder);
	if (!listing)
		return error_set_errno(err, errno, "cannot list %s", folder);
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(listing));) {
		struct volume_info info;
		struct error inspected;
		char hex[2 * DIGEST_SIZE + 1];
		if (!text_starts_with(entry->d_name, "vol-"))
			continue;
		char *path = arena_printf(check->arena, "%s/%s", folder, entry->d_name);
		if (volume_inspect(path, &info, &inspected)) {
			if (inspected.code != ERROR_NOT_FOUND || !is_unfinished(check, entry->d_name))
				fault(check, "%s: %s", entry->d_name, inspected.message);
			continue;
		}
		if (!digest_is_zero(&info.base))
			check_root(check, store, entry->d_name, text_hex(info.base.bytes, DIGEST_SIZE, hex));
		uint64_t faults = 0;
		result = volume_check(path, check->report, check->context, &faults, err);
		*check->faults += faults;
	}
	closedir(listing);
	return result;
}

static int check_region(struct check *check, const char *region, struct error *err)
{
	char *folder = arena_printf(check->arena, "%s/regions/%s", check->data, region);
	struct store *store;
	uint64_t faults = 0;
	check->root_count = 0;
	if (store_open(arena_printf(check->arena, "%s/store", folder), &store, err))
		return -1;
	struct named_root named = { check, store };
	int result = store_check(store, check->report, check->context, &faults, err) ||
			published_visit_recorded(
				check->meta, region, check->arena, check_recorded, &named, err) ||
			check_snapshots(check, region, err) || check_images(check, region, err) ||
			check_volume_records(check, region, err) ||
			check_volume_folders(
				check, arena_printf(check->arena, "%s/volumes", folder), store, err) ||
			check_roots(check, store, err)
		? -1
		: 0;
	*check->faults += faults;
	store_close(store);
	return result;
}

static int check_regions(struct check *check, struct error *err)
{
	char *path = arena_printf(check->arena, "%s/regions", check->data);
	DIR *listing = opendir(path);
	if (!listing)
		return error_set_errno(err, errno, "cannot list %s", path);
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(listing));)
		if (entry->d_name[0] != '.')
			result = check_region(check, entry->d_name, err);
	closedir(listing);
	return result;
}

int check_data(const char *data, check_report *report, void *context, uint64_t *faults, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct check check = {
		.data = data, .report = report, .context = context, .faults = faults, .arena = arena
	};
	int lock FILE_SCOPED = amid_lock_offline(data, err);
	*faults = 0;
	if (lock < 0 || meta_open(arena_printf(arena, "%s/meta.db", data), &check.meta, err))
		return -1;
	uint64_t meta_faults = 0;
	int result = meta_check(check.meta, report, context, &meta_faults, err) || check_regions(&check, err)
		? -1
		: 0;
	*faults += meta_faults;
	meta_close(check.meta);
	return result;
}
