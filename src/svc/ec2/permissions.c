/* Lists of permissions. No state; on the thread of the call. */
#include "svc/ec2/permissions.h"

#include <string.h>

#include "base/banned.h"

enum { PERMISSIONS_MAX = 1000 /* AWS's quota of sharing */ };

static const char organizations[] = "arn:aws:organizations::",
		  letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

static bool is_account(const char *text, size_t size)
{
	return size == 12 && strspn(text, "0123456789") >= 12;
}

/* "PREFIX-" and letters or digits, up to `end` (a character, or the text's end). NULL, or what follows. */
static const char *skip_id(const char *text, const char *prefix, char end)
{
	if (!text_starts_with(text, prefix))
		return NULL;
	text += strlen(prefix);
	size_t size = strspn(text, letters);
	if (size && prefix[0] == 'o' && prefix[1] == 'u' && text[size] == '-') /* ou-ROOT-UNIT */
		size += 1 + strspn(text + size + 1, letters);
	if (!size || text[size] != end)
		return NULL;
	return text + size + (end != '\0');
}

/* "arn:aws:organizations::ACCOUNT:organization/o-ID" or "...:ou/o-ID/ou-ROOT-ID". */
static bool is_organization_arn(const char *arn, const char *kind)
{
	if (!text_starts_with(arn, organizations))
		return false;
	const char *account = arn + strlen(organizations), *colon = strchr(account, ':');
	if (!colon || !is_account(account, (size_t)(colon - account)) || !text_starts_with(colon + 1, kind))
		return false;
	const char *id = colon + 1 + strlen(kind);
	if (strcmp(kind, "organization/") == 0)
		return skip_id(id, "o-", '\0') != NULL;
	const char *unit = skip_id(id, "o-", '/');
	return unit && skip_id(unit, "ou-", '\0');
}

int permission_check(
	const struct record_launch_permission *permission, enum error_code item, struct error *err)
{
	unsigned named =
		!!permission->user + !!permission->group + !!permission->organization + !!permission->unit;
	if (named != 1)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"A permission names one of a user ID, a group, an organization and an organizational unit.");
	if (permission->group && strcmp(permission->group, "all") != 0)
		return error_set(err, item, "Invalid attribute item value \"%.64s\" for group item type.",
			permission->group);
	if (permission->user && !is_account(permission->user, strlen(permission->user)))
		return error_set(err, item, "Invalid attribute item value \"%.64s\" for userId item type.",
			permission->user);
	if (permission->organization && !is_organization_arn(permission->organization, "organization/"))
		return error_set(err, item,
			"Invalid attribute item value \"%.128s\" for organizationArn item type.",
			permission->organization);
	if (permission->unit && !is_organization_arn(permission->unit, "ou/"))
		return error_set(err, item,
			"Invalid attribute item value \"%.128s\" for organizationalUnitArn item type.",
			permission->unit);
	return 0;
}

static bool is_same(const struct record_launch_permission *a, const struct record_launch_permission *b)
{
	return text_equal(a->user, b->user) && text_equal(a->group, b->group) &&
		text_equal(a->organization, b->organization) && text_equal(a->unit, b->unit);
}

void permission_remove(
	struct record_launch_permission_list *list, const struct record_launch_permission *permission)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++)
		if (!is_same(&list->items[i], permission))
			list->items[kept++] = list->items[i];
	list->count = kept;
	list->set = kept > 0;
}

int permission_add(struct call *call, struct record_launch_permission_list *list,
	const struct record_launch_permission *permission, struct error *err)
{
	permission_remove(list, permission);
	if (list->count == PERMISSIONS_MAX)
		return error_set(err, ERROR_RESOURCE_LIMIT,
			"An image or snapshot can be shared with at most %d accounts, organizations and units.",
			PERMISSIONS_MAX);
	/* a copy: a list decoded from a record has no room to grow in place */
	struct record_launch_permission *items =
		arena_alloc_array(call->arena, list->count + 1, sizeof *items);
	for (size_t i = 0; i < list->count; i++)
		items[i] = list->items[i];
	items[list->count] = *permission;
	*list = (struct record_launch_permission_list){ items, list->count + 1, true };
	return 0;
}

bool permissions_are_public(const struct record_launch_permission_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (text_equal(list->items[i].group, "all"))
			return true;
	return false;
}
