/* DeregisterImage: the image goes at once, into the recycle bin where a rule says so; its snapshots stay unless DeleteAssociatedSnapshots. Instances launched from it run on. */
#include <string.h>

#include "svc/ec2/image_lifecycle.h"
#include "svc/ec2/images.h"
#include "svc/ec2/recycle_bin.h"
#include "svc/ec2/snapshots.h"
#include "base/banned.h"

/* A snapshot that was still waiting to be frozen can no longer become anything. A copy that is under way goes on: it will be a snapshot like others. */
static void abandon(
	struct meta_batch *batch, struct snapshot_record *snapshot, const char *image_id, struct arena *arena)
{
	snapshot->state = "error";
	snapshot->state_message =
		arena_printf(arena, "The image %s was deregistered before the volume was frozen.", image_id);
	meta_batch_put(batch, &record_snapshot, snapshot);
}

/* "success", or the code that says why the snapshot stays; NULL on a failure of the call. */
static const char *delete_snapshot(struct call *call, const struct image_record *image,
	struct snapshot_record *snapshot, struct meta_batch *batch, struct error *err)
{
	struct image_record *user;
	if (strcmp(snapshot->record.account, call->account) != 0)
		return "missing-permissions";
	if (snapshot_find_user(call, snapshot->record.id, image->record.id, &user, err))
		return NULL;
	if (user)
		return "skipped";
	if (snapshot_is_locked(snapshot))
		return "client-error";
	return recycle_snapshot(call, snapshot, batch, err) ? NULL : "success";
}

int ec2_deregister_image(struct call *call, const struct ec2_DeregisterImageRequest *request,
	struct ec2_DeregisterImageResult *result, struct error *err)
{
	struct image_record *image;
	bool delete_snapshots = boolean_or(request->delete_associated_snapshots, false);
	if (image_find_own(call, request->image_id, &image, err) || image_check_unprotected(call, image, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (recycle_image(call, image, batch, err))
		return -1;
	for (size_t i = 0; i < image->block_devices.count; i++) {
		struct snapshot_record *snapshot = NULL;
		const char *id = image->block_devices.items[i].snapshot;
		if (id &&
			meta_get_any(call->amid->meta, &record_snapshot, call->region, id, call->arena,
				&snapshot, err))
			return -1;
		if (!snapshot)
			continue;
		if (delete_snapshots) {
			const char *code = delete_snapshot(call, image, snapshot, batch, err);
			if (!code)
				return -1;
			result->delete_snapshot_results.set = true;
			*ARENA_APPEND(call->arena, result->delete_snapshot_results.items,
				result->delete_snapshot_results.count) =
				(struct ec2_DeleteSnapshotReturnCode){ .snapshot_id = id,
					.return_code = code };
		} else if (strcmp(snapshot->state, "pending") == 0 && !snapshot->layer.set &&
			!snapshot->copy) {
			abandon(batch, snapshot, image->record.id, call->arena);
		}
	}
	result->return_ = some_boolean(true);
	return meta_commit(call->amid->meta, batch, err);
}
