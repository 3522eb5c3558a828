/* Images as other rooms see them: look-ups. Who may see and launch one is decided in svc/sharing.h. */
#pragma once

#include "svc/ec2/common.h"
#include "svc/sharing.h"

/* What the caller sees of the images of `region`. */
int image_view_open(struct call *call, const char *region, struct sharing **view, struct error *err);
/*
 * An image of a region that the caller may see, its own or another's. InvalidAMIID.Malformed; InvalidAMIID.NotFound, be it that there is none, that it is not shared, or that the account's settings do not allow it.
 * `region` NULL: whichever it is in.
 */
int image_find_visible(struct call *call, const char *region, const char *id, struct image_record **image,
	struct error *err);
/* The same in the call's region, for one of several, with a view that is open. */
int image_find_viewed(struct call *call, const struct sharing *view, const char *id,
	struct image_record **image, struct error *err);
/* One that instances can be made of: visible, and available (InvalidAMIID.Unavailable). Of the call's region. */
int image_find_launchable(struct call *call, const char *id, struct image_record **image, struct error *err);
/* The caller's own image; one that is only shared gives AuthFailure. */
int image_find_own(struct call *call, const char *id, struct image_record **image, struct error *err);
/*
 * The snapshot of one of the image's devices, for a launch, as sharing_find_image_snapshot has it. InvalidSnapshot.NotFound, IncorrectState.
 */
int image_find_snapshot(struct call *call, const struct image_record *image, const char *snapshot_id,
	struct snapshot_record **snapshot, struct error *err);
/* An instance was launched from it: for its owner to see. */
void image_note_launch(struct call *call, const struct image_record *image);
/* When an instance was last launched from it, by whomever; not set: never. */
struct shape_timestamp image_last_launched(struct call *call, const struct image_record *image);
/* "amazon" and the like; NULL: the owner has no alias. */
const char *image_owner_alias(const struct image_record *image);
