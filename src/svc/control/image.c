/* The image controller: an image that is being created becomes available when all its snapshots are completed, failed when one has failed. One in the recycle bin goes when its time is over. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/control/internal.h"
#include "base/banned.h"

/* "available", "failed" or NULL: not yet. *reason is the failed snapshot's message. */
static const char *decide_state(struct meta_rows snapshots, const char **reason)
{
	const char *state = "available";
	for (size_t i = 0; i < snapshots.count; i++) {
		const struct snapshot_record *snapshot = snapshots.items[i];
		if (strcmp(snapshot->state, "error") == 0) {
			*reason = snapshot->state_message;
			return "failed";
		}
		if (strcmp(snapshot->state, "completed") != 0)
			state = NULL;
	}
	return state;
}

/* An image whose time in the recycle bin is over goes. */
static int empty_bin(struct amid *amid, struct image_record *image, struct arena *arena, int64_t *again_ms,
	struct error *err)
{
	int64_t left_ms = image->recycled->exits.ms - clock_now_ms();
	if (left_ms > 0) {
		*again_ms = left_ms;
		return 0;
	}
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_delete(batch, &record_image, image);
	if (meta_commit(amid->meta, batch, err))
		return -1;
	log_info("image-left-bin", "image=%s", image->record.id);
	return 0;
}

int control_image(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct amid *amid = context;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct image_record *image;
	if (meta_get_any(amid->meta, &record_image, NULL, id, arena, &image, err))
		return -1;
	if (image && image->recycled)
		return empty_bin(amid, image, arena, again_ms, err);
	if (!image || strcmp(image->state, "pending") != 0)
		return 0;
	if (image->capture) {
		work_enqueue(amid->work, "instance", image->source_instance);
		return 0;
	}
	struct meta_rows snapshots;
	struct meta_query query = { .index = "image", .value = id };
	if (meta_list(amid->meta, &record_snapshot, &query, arena, &snapshots, err))
		return -1;
	const char *reason = NULL;
	const char *state = decide_state(snapshots, &reason);
	if (!state)
		return 0;
	image->state = state;
	if (reason) {
		image->state_reason_code = "Client.InvalidSnapshot";
		image->state_reason = reason;
	}
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_put(batch, &record_image, image);
	if (meta_commit(amid->meta, batch, err))
		return -1;
	log_info("image-settled", "image=%s state=%s consistency=%s", id, state,
		image->consistency ? image->consistency : "-");
	return 0;
}
