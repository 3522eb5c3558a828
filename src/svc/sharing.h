/*
 * Who may see and use what of another account: the one place that decides for images and snapshots, for every service. docs/design/sharing.md has the table.
 *
 * A view is one account's, in one region, as of when it was opened: its organization, its units, its allowed images settings. It lives in an arena and is of one thread. What a decision rests on in an image or a snapshot is in that
 * thing's record, so a batch that expects the record meets a conflict if the thing is no longer shared.
 */
#pragma once

#include "api/records.h"
#include "svc/amid.h"

struct organization_path;
struct sharing;

/* How an account comes to a thing. SHARING_NONE is false: for that account, it does not exist. */
enum sharing_way {
	SHARING_NONE,
	SHARING_OWN,
	SHARING_ACCOUNT,      /* shared with the account itself */
	SHARING_ORGANIZATION, /* with its organization */
	SHARING_UNIT,         /* with an organizational unit that it is in, at whatever depth */
	SHARING_PUBLIC,
};

int sharing_open(struct amid *amid, const char *account, const char *region, struct arena *arena,
	struct sharing **sharing, struct error *err);

/* The same for an account of another amid, which says how that stands in an organization there; that counts if it is in none here. */
int sharing_open_claimed(struct amid *amid, const char *account, const char *region,
	const struct organization_path *claimed, struct arena *arena, struct sharing **sharing,
	struct error *err);

/* Launch permission alone: what the image's owner has decided. Nothing in the recycle bin is anybody's. */
enum sharing_way sharing_image_way(const struct sharing *sharing, const struct image_record *image);
/* Whether the account's criteria for images of others let this one through, be they enforced or not. Its own ones pass always. */
bool sharing_image_is_allowed(const struct sharing *sharing, const struct image_record *image);
/* The state of these settings: "disabled", "audit-mode", "enabled". */
const char *sharing_allowed_images_state(const struct sharing *sharing);
/* Both: the image is there for the account, to be seen, launched, and copied if its snapshots may be used. */
bool sharing_image_is_visible(const struct sharing *sharing, const struct image_record *image);

/*
 * Permission to make volumes, and so to see, copy and register. What is public counts as long as the owner does not block that; snapshots of the platform's public images are public. Reads the owner's setting, or the images,
 * where that matters.
 */
int sharing_snapshot_way(const struct sharing *sharing, const struct snapshot_record *snapshot,
	enum sharing_way *way, struct error *err);
/* The snapshot of one of an image's devices, for a launch: whoever may launch the image needs no permission on it, but the image's owner does. *snapshot NULL: it is gone, or the owner may not use it. */
int sharing_find_image_snapshot(struct amid *amid, const struct image_record *image, const char *id,
	struct arena *arena, struct snapshot_record **snapshot, struct error *err);
