/*
 * A modification of a volume (ModifyVolume), in two steps that can each be repeated:
 *
 *	modifying     the volume grows, through its server if it has one, else on its folder; then its record gets the new size, type, IOPS and throughput -> optimizing
 *	optimizing    the guest that has the disk is told of the size, and gets the new limits -> completed; without a guest at once
 *
 * The first step has a key of its own, "modification", beside the volume's: a volume that is being sealed, which may take minutes, grows meanwhile. The second belongs to the instance's controller, like everything that is done
 * to a machine. Runs on the work queue's threads.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/control/internal.h"
#include "base/banned.h"

static bool is_in_state(const struct volume_record *volume, const char *state)
{
	return volume->modification && strcmp(volume->modification->state, state) == 0;
}

static int commit_volume(
	struct amid *amid, struct arena *arena, struct volume_record *volume, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_put(batch, &record_volume, volume);
	if (meta_commit(amid->meta, batch, err))
		return -1;
	volume->record.version++;
	return 0;
}

static int complete(struct amid *amid, struct arena *arena, struct volume_record *volume, struct error *err)
{
	volume->modification->state = "completed";
	volume->modification->ended = some_timestamp(clock_now_ms());
	if (commit_volume(amid, arena, volume, err))
		return -1;
	log_info("volume-modified", "volume=%s size_gib=%lld type=%s", volume->record.id,
		(long long)volume->size_gib.value, volume->volume_type);
	return 0;
}

/* A folder that the volume's first launch has not made yet is made now, and grown like any other. */
static int grow(struct amid *amid, struct amid_region *region, struct arena *arena,
	const struct volume_record *volume, struct error *err)
{
	struct volume_server_paths paths = amid_volume_paths(amid, region, volume->record.id, arena);
	uint64_t size = (uint64_t)volume->modification->size_gib.value << 30;
	struct process server;
	struct error ignored;
	if (volume_server_find(&paths, &server, &ignored) == 0)
		return volume_server_grow(&paths, size, err);
	struct volume *opened;
	if (machine_prepare_volume(amid, region, volume, arena, err) ||
		amid_open_volume(amid, region, &paths, &opened, err))
		return -1;
	int result = volume_grow(opened, size, err);
	amid_close_volume(amid, &paths, opened);
	return result;
}

static int apply(struct amid *amid, struct amid_region *region, struct arena *arena,
	struct volume_record *volume, struct error *err)
{
	struct record_volume_modification *modification = volume->modification;
	if (modification->size_gib.value > volume->size_gib.value && grow(amid, region, arena, volume, err)) {
		/* what a later attempt cannot change is told to the volume's owner; the volume is as it was */
		if (err->code != ERROR_NO_SPACE && err->code != ERROR_INVALID)
			return -1;
		log_error("volume-not-modified", "volume=%s error=\"%s\"", volume->record.id, err->message);
		modification->state = "failed";
		modification->status_message = arena_strdup(arena, err->message);
		modification->ended = some_timestamp(clock_now_ms());
		return commit_volume(amid, arena, volume, err);
	}
	volume->size_gib = modification->size_gib;
	volume->volume_type = modification->volume_type;
	volume->iops = modification->iops;
	volume->throughput = modification->throughput;
	modification->state = "optimizing";
	return commit_volume(amid, arena, volume, err);
}

int control_modification(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct amid *amid = context;
	struct volume_record *volume;
	if (meta_get_any(amid->meta, &record_volume, NULL, id, arena, &volume, err))
		return -1;
	if (!volume || (strcmp(volume->state, "available") != 0 && strcmp(volume->state, "in-use") != 0))
		return 0;
	struct amid_region *region = amid_find_region(amid, volume->record.region);
	if (!region)
		return 0;
	if (is_in_state(volume, "modifying") && apply(amid, region, arena, volume, err))
		return -1;
	if (!is_in_state(volume, "optimizing"))
		return 0;
	if (!volume->attachment)
		return complete(amid, arena, volume, err);
	work_enqueue(amid->work, "instance", volume->attachment->instance);
	return 0;
}

/* A disk that the guest has ejected by itself needs not be told of. */
static int tell_guest(struct instance_view *view, const struct volume_record *volume, struct error *err)
{
	uint64_t size = (uint64_t)volume->size_gib.value << 30;
	if (volume->size_gib.value == volume->modification->original_size_gib.value ||
		view->amid->config->compute->resize_disk(
			view->amid->compute, view->instance->record.id, volume->record.id, size, err) == 0)
		return 0;
	return err->code == ERROR_NOT_FOUND ? 0 : -1;
}

int modification_settle(struct instance_view *view, bool live, struct error *err)
{
	for (unsigned i = 0; i < view->volume_count; i++) {
		struct volume_record *volume = view->volumes[i];
		/* one that is being detached is nobody's in a moment, and completed then */
		if (!is_in_state(volume, "optimizing") || !volume->attachment ||
			strcmp(volume->attachment->state, "attached") != 0)
			continue;
		if (live && tell_guest(view, volume, err))
			return -1;
		if (complete(view->amid, view->arena, volume, err))
			return -1;
	}
	return 0;
}
