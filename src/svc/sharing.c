/*
 * Who may see and use what of another account. Everything is read when the view is opened, but for what concerns owners of public snapshots. No state beyond the view; on the thread of the caller.
 */
#include "svc/sharing.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/allowed_images.h"
#include "svc/organization.h"
#include "svc/public_access.h"
#include "base/banned.h"

struct sharing {
	struct amid *amid;
	struct arena *arena;
	const char *account;
	struct organization_path organization;
	const struct allowed_images_record *allowed;
};

int sharing_open(struct amid *amid, const char *account, const char *region, struct arena *arena,
	struct sharing **sharing, struct error *err)
{
	struct allowed_images_record *allowed;
	struct sharing *view = arena_alloc(arena, sizeof *view);
	*view = (struct sharing){ .amid = amid, .arena = arena, .account = account };
	if (organizations_path(amid, account, arena, &view->organization, err) ||
		allowed_images_load(amid->meta, account, region, arena, &allowed, err))
		return -1;
	view->allowed = allowed;
	*sharing = view;
	return 0;
}

int sharing_open_claimed(struct amid *amid, const char *account, const char *region,
	const struct organization_path *claimed, struct arena *arena, struct sharing **sharing,
	struct error *err)
{
	if (sharing_open(amid, account, region, arena, sharing, err))
		return -1;
	if (!(*sharing)->organization.organization_arn)
		(*sharing)->organization = *claimed;
	return 0;
}

static bool is_in_unit(const struct sharing *sharing, const char *arn)
{
	for (size_t i = 0; arn && i < sharing->organization.unit_count; i++)
		if (strcmp(sharing->organization.unit_arns[i], arn) == 0)
			return true;
	return false;
}

static enum sharing_way way_of(
	const struct sharing *sharing, const struct record_launch_permission *permission)
{
	if (text_equal(permission->user, sharing->account))
		return SHARING_ACCOUNT;
	if (permission->organization &&
		text_equal(permission->organization, sharing->organization.organization_arn))
		return SHARING_ORGANIZATION;
	if (is_in_unit(sharing, permission->unit))
		return SHARING_UNIT;
	return text_equal(permission->group, "all") ? SHARING_PUBLIC : SHARING_NONE;
}

/* What a list of permissions gives the account; what is given to it alone comes before what many have. */
static enum sharing_way permitted_way(
	const struct sharing *sharing, const struct record_launch_permission_list *permissions)
{
	enum sharing_way way = SHARING_NONE;
	for (size_t i = 0; i < permissions->count; i++) {
		enum sharing_way found = way_of(sharing, &permissions->items[i]);
		if (found != SHARING_NONE && (way == SHARING_NONE || found < way))
			way = found;
	}
	return way;
}

enum sharing_way sharing_image_way(const struct sharing *sharing, const struct image_record *image)
{
	if (image->recycled)
		return SHARING_NONE;
	if (strcmp(image->record.account, sharing->account) == 0)
		return SHARING_OWN;
	return permitted_way(sharing, &image->launch_permissions);
}

bool sharing_image_is_allowed(const struct sharing *sharing, const struct image_record *image)
{
	return strcmp(image->record.account, sharing->account) == 0 ||
		allowed_images_match(sharing->allowed, image, clock_now_ms());
}

const char *sharing_allowed_images_state(const struct sharing *sharing)
{
	return sharing->allowed->state;
}

bool sharing_image_is_visible(const struct sharing *sharing, const struct image_record *image)
{
	return sharing_image_way(sharing, image) != SHARING_NONE &&
		(strcmp(sharing->allowed->state, ALLOWED_IMAGES_ENABLED) != 0 ||
			sharing_image_is_allowed(sharing, image));
}

/* Whoever may launch the platform's images may have what is in them: there are no permissions on their snapshots. */
static int is_of_platform_image(
	const struct sharing *sharing, const struct snapshot_record *snapshot, bool *found, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = ACCOUNT_PLATFORM,
		.region = snapshot->record.region,
		.index = "snapshot",
		.value = snapshot->record.id };
	*found = false;
	if (meta_list(sharing->amid->meta, &record_image, &query, sharing->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct image_record *image = rows.items[i];
		*found |= !image->recycled && boolean_or(image->public, false);
	}
	return 0;
}

int sharing_snapshot_way(const struct sharing *sharing, const struct snapshot_record *snapshot,
	enum sharing_way *way, struct error *err)
{
	const char *owner = snapshot->record.account, *blocked;
	bool found;
	*way = SHARING_NONE;
	if (snapshot->recycled)
		return 0;
	*way = strcmp(owner, sharing->account) == 0
		? SHARING_OWN
		: permitted_way(sharing, &snapshot->create_volume_permissions);
	if (*way == SHARING_NONE && strcmp(owner, ACCOUNT_PLATFORM) == 0) {
		if (is_of_platform_image(sharing, snapshot, &found, err))
			return -1;
		*way = found ? SHARING_PUBLIC : SHARING_NONE;
	} else if (*way == SHARING_PUBLIC) {
		if (snapshot_public_access(sharing->amid->meta, owner, snapshot->record.region,
			    sharing->arena, &blocked, err))
			return -1;
		if (strcmp(blocked, PUBLIC_ACCESS_BLOCK_ALL) == 0)
			*way = SHARING_NONE;
	}
	return 0;
}

int sharing_find_image_snapshot(struct amid *amid, const struct image_record *image, const char *id,
	struct arena *arena, struct snapshot_record **snapshot, struct error *err)
{
	struct sharing *owner;
	enum sharing_way way = SHARING_NONE;
	if (sharing_open(amid, image->record.account, image->record.region, arena, &owner, err) ||
		meta_get_any(amid->meta, &record_snapshot, image->record.region, id, arena, snapshot, err) ||
		(*snapshot && sharing_snapshot_way(owner, *snapshot, &way, err)))
		return -1;
	if (way == SHARING_NONE)
		*snapshot = NULL;
	return 0;
}
