/* Snapshots and images with their root digests, blocks, parents and consistency. Nothing is owned here; runs on the thread of the call. */
#include "svc/show.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "store/tree.h"
#include "svc/ec2/images.h"
#include "svc/ec2/snapshots.h"
#include "svc/secret_scans.h"
#include "base/banned.h"

enum { PARENTS_MAX = 100 };

static void set_text(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_string(text));
}

static void set_time(json_t *object, const char *name, struct shape_timestamp time)
{
	char text[32];
	if (time.set)
		set_text(object, name, clock_format_iso8601(time.ms, text));
}

static void set_number(json_t *object, const char *name, struct shape_integer number)
{
	if (number.set)
		json_object_set_new(object, name, json_integer(number.value));
}

static int set_content(
	struct call *call, const struct snapshot_record *snapshot, json_t *object, struct error *err)
{
	struct amid_region *region = amid_find_region(call->amid, snapshot->record.region);
	struct digest root;
	uint64_t blocks;
	if (!snapshot->root || strcmp(snapshot->state, "completed") != 0 || !region)
		return 0;
	if (text_unhex(snapshot->root, root.bytes, DIGEST_SIZE))
		return error_set(err, ERROR_CORRUPT, "the root digest of snapshot %s is unreadable",
			snapshot->record.id);
	if (tree_get_data_blocks(region->store, &root, &blocks, err))
		return error_prefix(err, "snapshot %s", snapshot->record.id);
	set_text(object, "root", snapshot->root);
	json_object_set_new(object, "blocks", json_integer((json_int_t)blocks));
	json_object_set_new(object, "bytes", json_integer((json_int_t)(blocks * STORE_BLOCK_SIZE)));
	return 0;
}

/* The snapshots that it descends from, the nearest first: those that are there no more end the list. */
static int set_parents(
	struct call *call, const struct snapshot_record *snapshot, json_t *object, struct error *err)
{
	json_t *parents = json_array();
	json_object_set_new(object, "parents", parents);
	while (snapshot && snapshot->parent && json_array_size(parents) < PARENTS_MAX) {
		const char *region = snapshot->record.region, *parent = snapshot->parent;
		json_array_append_new(parents, json_string(parent));
		if (meta_get_any(
			    call->amid->meta, &record_snapshot, region, parent, call->arena, &snapshot, err))
			return -1;
	}
	return 0;
}

static int set_consistency(
	struct call *call, const struct snapshot_record *snapshot, json_t *object, struct error *err)
{
	struct image_record *image;
	if (!snapshot->image)
		return 0;
	set_text(object, "image", snapshot->image);
	if (meta_get_any(call->amid->meta, &record_image, snapshot->record.region, snapshot->image,
		    call->arena, &image, err))
		return -1;
	set_text(object, "consistency", image ? image->consistency : NULL);
	return 0;
}

/* How many findings the secret gate has in it; `amid secrets` lists them. */
static int set_secrets(
	struct call *call, const struct snapshot_record *snapshot, json_t *object, struct error *err)
{
	struct secret_scan_record *scan;
	if (secret_scans_find(call->amid, snapshot, call->arena, &scan, err))
		return -1;
	if (scan)
		json_object_set_new(
			object, "secret_findings", json_integer((json_int_t)scan->findings.count));
	return 0;
}

static int fill_snapshot(
	struct call *call, const struct snapshot_record *snapshot, json_t *object, struct error *err)
{
	set_text(object, "id", snapshot->record.id);
	set_text(object, "account", snapshot->record.account);
	set_text(object, "region", snapshot->record.region);
	set_text(object, "state", snapshot->state);
	set_text(object, "state_message", snapshot->state_message);
	set_text(object, "volume", snapshot->volume);
	json_object_set_new(
		object, "size_bytes", json_integer(integer_or(snapshot->volume_size_gib, 0) << 30));
	set_time(object, "started", snapshot->started);
	set_time(object, "completed", snapshot->completed);
	set_number(object, "added_bytes", snapshot->added_bytes);
	set_text(object, "tier", snapshot_is_archived(snapshot) ? "archive" : "standard");
	if (set_content(call, snapshot, object, err))
		return -1;
	if (strcmp(snapshot->record.account, call->account) != 0)
		return 0; /* where it comes from is its owner's business */
	set_text(object, "lock", snapshot_lock_state(snapshot));
	set_text(object, "source", snapshot->source_snapshot);
	set_text(object, "source_region", snapshot->source_region);
	set_number(object, "travelled_blocks", snapshot->travelled_blocks);
	set_number(object, "travelled_bytes", snapshot->travelled_bytes);
	if (set_secrets(call, snapshot, object, err))
		return -1;
	return set_parents(call, snapshot, object, err) || set_consistency(call, snapshot, object, err) ? -1
													: 0;
}

static int show_snapshot(struct call *call, const char *id, json_t *object, struct error *err)
{
	struct snapshot_record *snapshot;
	return snapshot_find_visible(call, NULL, id, &snapshot, err) ||
			fill_snapshot(call, snapshot, object, err)
		? -1
		: 0;
}

/* Whoever may launch an image may know what its snapshots are, as that is what is launched. */
static int fill_devices(
	struct call *call, const struct image_record *image, json_t *devices, struct error *err)
{
	for (size_t i = 0; i < image->block_devices.count; i++) {
		const struct record_image_block_device *device = &image->block_devices.items[i];
		struct snapshot_record *snapshot = NULL;
		json_t *object = json_object();
		json_array_append_new(devices, object);
		set_text(object, "device", device->device);
		if (!device->snapshot)
			continue;
		if (meta_get_any(call->amid->meta, &record_snapshot, image->record.region, device->snapshot,
			    call->arena, &snapshot, err) ||
			(snapshot && fill_snapshot(call, snapshot, object, err)))
			return -1;
	}
	return 0;
}

static int show_image(struct call *call, const char *id, json_t *object, struct error *err)
{
	struct image_record *image;
	json_t *devices = json_array();
	if (image_find_visible(call, NULL, id, &image, err)) {
		json_decref(devices);
		return -1;
	}
	json_object_set_new(object, "devices", devices);
	set_text(object, "id", image->record.id);
	set_text(object, "name", image->name);
	set_text(object, "account", image->record.account);
	set_text(object, "region", image->record.region);
	set_text(object, "state", image->state);
	set_time(object, "created", image->created);
	set_text(object, "consistency", image->consistency);
	if (strcmp(image->record.account, call->account) == 0) {
		set_text(object, "source_instance", image->source_instance);
		set_text(object, "source_image", image->source_image);
	}
	return fill_devices(call, image, devices, err);
}

int show_thing(struct call *call, const char *id, json_t **shown, struct error *err)
{
	json_t *object = json_object();
	int result;
	if (text_starts_with(id, "snap-"))
		result = show_snapshot(call, id, object, err);
	else if (text_starts_with(id, "ami-"))
		result = show_image(call, id, object, err);
	else
		result = error_set(
			err, ERROR_INVALID_ID, "The ID '%.64s' is neither a snapshot's nor an image's", id);
	if (result) {
		json_decref(object);
		return -1;
	}
	*shown = object;
	return 0;
}
