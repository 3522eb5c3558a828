/* From an account up through its organization's units. */
#include "svc/organization.h"

#include <string.h>

#include "base/banned.h"

enum { DEPTH_MAX = 16 };

int organizations_path(struct amid *amid, const char *account_id, struct arena *arena,
	struct organization_path *path, struct error *err)
{
	struct account_record *account;
	struct organization_record *organization = NULL;
	*path = (struct organization_path){ 0 };
	if (meta_get(amid->meta, &record_account, "", "", account_id, arena, &account, err))
		return -1;
	if (!account || !account->organization)
		return 0;
	if (meta_get_any(amid->meta, &record_organization, NULL, account->organization, arena, &organization, err))
		return -1;
	if (!organization)
		return error_set(err, ERROR_INTERNAL, "account %s is in organization %s, which is not there",
			account_id, account->organization);
	struct organization_level *levels = arena_alloc_array(arena, DEPTH_MAX, sizeof *levels);
	size_t first = DEPTH_MAX;
	levels[--first] = (struct organization_level){ account_id, account->policies };
	for (const char *unit = account->unit; unit && first > 1;) {
		struct organization_unit_record *found;
		if (meta_get_any(amid->meta, &record_organization_unit, NULL, unit, arena, &found, err))
			return -1;
		if (!found)
			return error_set(err, ERROR_INTERNAL, "there is no unit %s", unit);
		levels[--first] = (struct organization_level){ unit, found->policies };
		unit = found->parent && strncmp(found->parent, "ou-", 3) == 0 ? found->parent : NULL;
	}
	levels[--first] = (struct organization_level){ organization->root, organization->root_policies };
	*path = (struct organization_path){ .id = organization->record.id,
		.management_account = organization->record.account,
		.levels = levels + first,
		.level_count = DEPTH_MAX - first };
	return 0;
}
