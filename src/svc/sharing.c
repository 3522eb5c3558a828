/*
 * Who may see and use what of another account. Everything is read when the view is opened, but for what concerns owners of public snapshots. No state beyond the view; on the thread of the caller.
 *
 * Organizations are named by ARN in permissions ("arn:aws:organizations::ACCOUNT:organization/o-ID", ".../ou/o-ID/ou-ID") and by id in the records of accounts and units.
 */
#include "svc/sharing.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/account_settings.h"
#include "svc/allowed_images.h"
#include "svc/public_access.h"
#include "base/banned.h"

enum { UNITS_DEEP = 16 /* organizations are 5 deep: more is a circle, which ends here */ };

struct sharing {
	struct amid *amid;
	struct arena *arena;
	const char *account;
	const char *organization; /* id; NULL: in none */
	const char *unit_prefix;  /* what stands before a unit's id in its ARN */
	const char *units[UNITS_DEEP];
	unsigned unit_count; /* from the account's own one upwards */
	const struct allowed_images_record *allowed;
};

static int load_units(struct sharing *sharing, const char *unit, struct error *err)
{
	while (unit && sharing->unit_count < UNITS_DEEP) {
		struct organization_unit_record *record;
		sharing->units[sharing->unit_count++] = unit;
		if (meta_get_any(sharing->amid->meta, &record_organization_unit, NULL, unit, sharing->arena,
			    &record, err))
			return -1;
		unit = record ? record->parent : NULL;
	}
	return 0;
}

int sharing_open(struct amid *amid, const char *account, const char *region, struct arena *arena,
	struct sharing **sharing, struct error *err)
{
	struct account_record *record;
	struct allowed_images_record *allowed;
	struct sharing *view = arena_alloc(arena, sizeof *view);
	*view = (struct sharing){ .amid = amid, .arena = arena, .account = account };
	if (meta_get_any(amid->meta, &record_account, NULL, account, arena, &record, err) ||
		allowed_images_load(amid->meta, account, region, arena, &allowed, err) ||
		load_units(view, record ? record->unit : NULL, err))
		return -1;
	if (record && record->organization) {
		view->organization = record->organization;
		view->unit_prefix = arena_printf(arena, ":ou/%s/", record->organization);
	}
	view->allowed = allowed;
	*sharing = view;
	return 0;
}

/* Whether an ARN ends with "PREFIX" and then the id. */
static bool names_id(const char *arn, const char *prefix, const char *id)
{
	const char *found = arn ? strstr(arn, prefix) : NULL;
	return found && text_equal(found + strlen(prefix), id);
}

static bool names_unit(const struct sharing *sharing, const char *arn)
{
	for (unsigned i = 0; sharing->organization && i < sharing->unit_count; i++)
		if (names_id(arn, sharing->unit_prefix, sharing->units[i]))
			return true;
	return false;
}

/* What a list of permissions gives the account; what is given to it alone comes before what many have. */
static enum sharing_way permitted_way(
	const struct sharing *sharing, const struct record_launch_permission_list *permissions)
{
	enum sharing_way way = SHARING_NONE;
	for (size_t i = 0; i < permissions->count; i++) {
		const struct record_launch_permission *permission = &permissions->items[i];
		enum sharing_way found = text_equal(permission->user, sharing->account) ? SHARING_ACCOUNT
			: sharing->organization &&
				names_id(permission->organization, ":organization/", sharing->organization)
			? SHARING_ORGANIZATION
			: names_unit(sharing, permission->unit) ? SHARING_UNIT
			: text_equal(permission->group, "all")  ? SHARING_PUBLIC
								: SHARING_NONE;
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
