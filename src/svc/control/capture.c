/*
 * Capturing an image from an instance: all its volumes frozen at one instant, and the layers' numbers recorded on the snapshots that CreateImage has made (pending, without a layer). Sealing them is the volume controller's work.
 *
 * Grades of consistency, best first: "application" (the guest had shut down by itself), "filesystem" (file systems frozen through the guest agent), "crash" (the disks as a power cut would leave them).
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/control/internal.h"
#include "svc/freeze.h"
#include "base/banned.h"

enum { FREEZE_MS = 3000, THAW_MS = 10000 };

int capture_find(struct instance_view *view, struct image_record **image, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "source_instance", .value = view->instance->record.id };
	*image = NULL;
	if (meta_list(view->amid->meta, &record_image, &query, view->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct image_record *candidate = rows.items[i];
		if (strcmp(candidate->state, "pending") == 0 && candidate->capture &&
			(!*image || candidate->capture->requested.ms < (*image)->capture->requested.ms))
			*image = candidate;
	}
	return 0;
}

/* The image's snapshots that wait for a layer. */
static int list_waiting(struct instance_view *view, struct image_record *image,
	struct snapshot_record ***snapshots, unsigned *count, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "image", .value = image->record.id };
	if (meta_list(view->amid->meta, &record_snapshot, &query, view->arena, &rows, err))
		return -1;
	*snapshots = NULL;
	size_t found = 0;
	for (size_t i = 0; i < rows.count; i++) {
		struct snapshot_record *snapshot = rows.items[i];
		if (strcmp(snapshot->state, "pending") == 0 && !snapshot->layer.set)
			*ARENA_APPEND(view->arena, *snapshots, found) = snapshot;
	}
	*count = (unsigned)found;
	return 0;
}

static int record_layers(struct instance_view *view, struct image_record *image,
	struct snapshot_record **snapshots, unsigned count, const uint64_t *layers, const char *consistency,
	struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	for (unsigned i = 0; i < count; i++) {
		snapshots[i]->layer = some_integer((int64_t)layers[i]);
		snapshots[i]->started = some_timestamp(clock_now_ms());
		meta_batch_put(batch, &record_snapshot, snapshots[i]);
	}
	image->capture = NULL;
	image->consistency = consistency;
	meta_batch_put(batch, &record_image, image);
	return meta_commit(view->amid->meta, batch, err);
}

int capture_now(struct instance_view *view, struct image_record *image, bool machine_live, bool clean,
	struct error *err)
{
	const struct compute_driver *driver = view->amid->config->compute;
	const char *instance_id = view->instance->record.id;
	struct snapshot_record **snapshots;
	unsigned count;
	if (list_waiting(view, image, &snapshots, &count, err))
		return -1;
	const char **volume_ids = arena_alloc_array(view->arena, count + 1, sizeof *volume_ids);
	uint64_t *layers = arena_alloc_array(view->arena, count + 1, sizeof *layers);
	for (unsigned i = 0; i < count; i++)
		volume_ids[i] = snapshots[i]->volume;
	int frozen_systems = 0;
	struct error agent = { 0 };
	bool frozen = machine_live &&
		driver->freeze_file_systems(
			view->amid->compute, instance_id, FREEZE_MS, &frozen_systems, &agent) == 0;
	int64_t begun_ms = clock_monotonic_ms();
	int result = freeze_volumes(view->amid, view->region, volume_ids, count, view->arena, layers, err);
	int64_t freeze_ms = clock_monotonic_ms() - begun_ms;
	if (frozen && driver->thaw_file_systems(view->amid->compute, instance_id, THAW_MS, &agent))
		log_warning("thaw-failed", "instance=%s error=\"%s\"", instance_id, agent.message);
	if (result)
		return -1;
	const char *consistency = clean        ? "application"
		: frozen && frozen_systems > 0 ? "filesystem"
					       : "crash";
	if (record_layers(view, image, snapshots, count, layers, consistency, err))
		return -1;
	log_info("image-captured", "image=%s instance=%s volumes=%u consistency=%s freeze_ms=%lld",
		image->record.id, instance_id, count, consistency, (long long)freeze_ms);
	return 0;
}
