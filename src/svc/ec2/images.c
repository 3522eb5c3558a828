/* Images: look-ups. No state; on the thread of the call. */
#include "svc/ec2/images.h"

#include <string.h>

#include "svc/last_use.h"
#include "svc/snapshot_state.h"
#include "base/banned.h"

int image_view_open(struct call *call, const char *region, struct sharing **view, struct error *err)
{
	return sharing_open(call->amid, call->account, region, call->arena, view, err);
}

static int load(
	struct call *call, const char *region, const char *id, struct image_record **image, struct error *err)
{
	return ec2_check_id(id, "ami", ERROR_AMI_ID_MALFORMED, err) ||
			meta_get_any(call->amid->meta, &record_image, region, id, call->arena, image, err)
		? -1
		: 0;
}

/* That the account's own settings stand in the way is no secret, and hard to find out otherwise. */
static int check_visible(
	const struct sharing *view, const struct image_record *image, const char *id, struct error *err)
{
	if (image && sharing_image_is_visible(view, image))
		return 0;
	bool shared = image && sharing_image_way(view, image) != SHARING_NONE;
	return error_set(err, ERROR_AMI_ID_NOT_FOUND,
		shared ? "The image id '[%s]' does not exist: the Allowed AMIs settings of this account exclude it"
		       : "The image id '[%s]' does not exist",
		id);
}

int image_find_viewed(struct call *call, const struct sharing *view, const char *id,
	struct image_record **image, struct error *err)
{
	return load(call, call->region, id, image, err) || check_visible(view, *image, id, err) ? -1 : 0;
}

int image_find_visible(
	struct call *call, const char *region, const char *id, struct image_record **image, struct error *err)
{
	struct sharing *view = NULL;
	if (load(call, region, id, image, err) ||
		(*image && image_view_open(call, (*image)->record.region, &view, err)))
		return -1;
	return check_visible(view, *image, id, err);
}

int image_find_launchable(struct call *call, const char *id, struct image_record **image, struct error *err)
{
	if (image_find_visible(call, call->region, id, image, err))
		return -1;
	if (strcmp((*image)->state, "available") != 0)
		return error_set(err, ERROR_AMI_ID_UNAVAILABLE,
			"The image ID '%s' is not available: its state is %s", id, (*image)->state);
	return 0;
}

int image_find_own(struct call *call, const char *id, struct image_record **image, struct error *err)
{
	if (image_find_visible(call, call->region, id, image, err))
		return -1;
	if (strcmp((*image)->record.account, call->account) != 0)
		return error_set(err, ERROR_AUTH_FAILURE, "Not authorized for image:%s", id);
	return 0;
}

int image_find_snapshot(struct call *call, const struct image_record *image, const char *snapshot_id,
	struct snapshot_record **snapshot, struct error *err)
{
	if (sharing_find_image_snapshot(call->amid, image, snapshot_id, call->arena, snapshot, err))
		return -1;
	if (!*snapshot)
		return error_set(
			err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' does not exist.", snapshot_id);
	return snapshot_check_usable(*snapshot, err);
}

const char *image_owner_alias(const struct image_record *image)
{
	return strcmp(image->record.account, ACCOUNT_PLATFORM) == 0 ? ALIAS_PLATFORM : NULL;
}

void image_note_launch(struct call *call, const struct image_record *image)
{
	last_use_note(call->amid->last_uses, &record_image, image->record.id, "ec2", call->region);
}

struct shape_timestamp image_last_launched(struct call *call, const struct image_record *image)
{
	struct last_use use;
	return last_use_find(call->amid->last_uses, &record_image, image->record.id, &use)
		? some_timestamp(use.time_ms)
		: image->last_launched;
}
