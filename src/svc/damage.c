/* From damaged objects to snapshots, images and volumes: their trees are looked through (store/scrub.h), each shared page once. Any thread. */
#include "svc/damage.h"

#include <inttypes.h>
#include <string.h>

#include "api/records.h"
#include "base/log.h"
#include "base/text.h"
#include "store/scrub.h"
#include "base/banned.h"

#define MESSAGE_START "Damaged: "

/* Of one snapshot or volume. */
struct collector {
	struct arena *arena;
	struct damage_range *ranges;
	size_t count;
	struct damage_range model; /* id and images of those to come */
	unsigned left;
};

static bool has_damage(struct amid_region *region)
{
	struct store_scrub_state state;
	store_scrub_get_state(region->store, &state);
	return state.damaged;
}

static int add_range(void *context, uint64_t offset, uint64_t size, struct error *err)
{
	struct collector *collector = context;
	(void)err;
	if (!collector->left)
		return 0;
	collector->left--;
	struct damage_range *range = ARENA_APPEND(collector->arena, collector->ranges, collector->count);
	*range = collector->model;
	range->offset = offset;
	range->size = size;
	return 0;
}

static int look_through(struct store_damage_search *search, struct collector *collector, const char *id,
	const char *root_hex, struct error *err)
{
	struct digest root;
	if (!root_hex || !*root_hex || text_unhex(root_hex, root.bytes, DIGEST_SIZE) || digest_is_zero(&root))
		return 0;
	collector->model.id = id;
	collector->left = DAMAGE_RANGES_EACH;
	return store_damage_search_root(search, &root, add_range, collector, err);
}

/* The images whose devices a snapshot is. */
static int find_images(struct amid *amid, const char *snapshot, struct arena *arena,
	struct damage_range *model, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "snapshot", .value = snapshot };
	struct damage_image *images = NULL;
	size_t count = 0;
	if (meta_list(amid->meta, &record_image, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct image_record *image = rows.items[i];
		for (size_t j = 0; j < image->block_devices.count; j++) {
			const struct record_image_block_device *device = &image->block_devices.items[j];
			if (device->snapshot && strcmp(device->snapshot, snapshot) == 0)
				*ARENA_APPEND(arena, images, count) =
					(struct damage_image){ image->record.id, device->device };
		}
	}
	model->images = images;
	model->image_count = count;
	return 0;
}

static int list_snapshots(struct amid *amid, struct store_damage_search *search, struct collector *collector,
	const struct meta_rows *rows, struct error *err)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct snapshot_record *snapshot = rows->items[i];
		size_t before = collector->count;
		if (look_through(search, collector, snapshot->record.id, snapshot->root, err))
			return -1;
		if (collector->count == before)
			continue;
		if (find_images(amid, snapshot->record.id, collector->arena, &collector->model, err))
			return -1;
		for (; before < collector->count; before++) {
			collector->ranges[before].images = collector->model.images;
			collector->ranges[before].image_count = collector->model.image_count;
		}
		collector->model = (struct damage_range){ 0 };
	}
	return 0;
}

int damage_list_ranges(struct amid *amid, struct amid_region *region, struct arena *arena,
	struct damage_range **ranges, size_t *count, struct error *err)
{
	struct collector collector = { .arena = arena };
	struct meta_query query = { .region = region->name };
	struct meta_rows rows;
	*ranges = NULL;
	*count = 0;
	if (!has_damage(region))
		return 0;
	struct store_damage_search *search = store_damage_search_create(region->store);
	int result = meta_list(amid->meta, &record_snapshot, &query, arena, &rows, err) ||
			list_snapshots(amid, search, &collector, &rows, err) ||
			meta_list(amid->meta, &record_volume, &query, arena, &rows, err)
		? -1
		: 0;
	for (size_t i = 0; result == 0 && i < rows.count; i++) {
		const struct volume_record *volume = rows.items[i];
		result = look_through(search, &collector, volume->record.id, volume->base, err);
	}
	store_damage_search_destroy(search);
	*ranges = collector.ranges;
	*count = collector.count;
	return result;
}

int damage_find_range(struct amid_region *region, const char *root, bool *found, uint64_t *offset,
	uint64_t *size, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct collector collector = { .arena = scratch };
	*found = false;
	if (!has_damage(region))
		return 0;
	struct store_damage_search *search = store_damage_search_create(region->store);
	int result = look_through(search, &collector, "", root, err);
	store_damage_search_destroy(search);
	if (result || !collector.count)
		return result;
	*found = true;
	*offset = collector.ranges[0].offset;
	*size = collector.ranges[0].size;
	return 0;
}

static const char *message_for(const struct damage_range *range, struct arena *arena)
{
	if (range->size == UINT64_MAX)
		return MESSAGE_START "none of its data can be read.";
	return arena_printf(arena, MESSAGE_START "%" PRIu64 " bytes at offset %" PRIu64 " cannot be read.",
		range->size, range->offset);
}

/* NULL: it needs no other message. */
static const char *new_message(const struct snapshot_record *snapshot, const struct collector *collector)
{
	const char *old = snapshot->state_message ? snapshot->state_message : "";
	if (collector->count) {
		const char *wanted = message_for(&collector->ranges[0], collector->arena);
		return strcmp(old, wanted) != 0 ? wanted : NULL;
	}
	return text_starts_with(old, MESSAGE_START) ? "" : NULL;
}

int damage_note_snapshots(struct amid *amid, struct amid_region *region, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_query query = { .region = region->name };
	struct meta_rows rows;
	int result = 0;
	bool damaged = has_damage(region);
	if (meta_list(amid->meta, &record_snapshot, &query, arena, &rows, err))
		return -1;
	struct store_damage_search *search = store_damage_search_create(region->store);
	for (size_t i = 0; result == 0 && i < rows.count; i++) {
		struct snapshot_record *snapshot = rows.items[i];
		struct collector collector = { .arena = arena };
		if (!snapshot->state || strcmp(snapshot->state, "completed") != 0)
			continue;
		/* without damage only old messages are looked for */
		if (damaged)
			result = look_through(search, &collector, snapshot->record.id, snapshot->root, err);
		const char *message = result == 0 ? new_message(snapshot, &collector) : NULL;
		if (!message)
			continue;
		struct meta_batch *batch = meta_batch_create(amid->meta, arena);
		snapshot->state_message = arena_strdup(arena, message);
		meta_batch_put(batch, &record_snapshot, snapshot);
		result = meta_commit(amid->meta, batch, err) && err->code != ERROR_CONFLICT ? -1 : 0;
	}
	store_damage_search_destroy(search);
	return result;
}
