/*
 * An account's place: its record names organization and unit, units name their parents, up to the root. What was read is kept until anything of the kind changes
 * (organization_cache.h); without a cache all is read anew each time. A change between two reads may show a mixture of both states, which is not kept; the next call sees the newer one. Runs on the caller's thread.
 */
#include "svc/organization.h"

#include <string.h>

#include "api/records.h"
#include "svc/organization_cache.h"
#include "base/banned.h"

enum { DEPTH_MAX = 8 }; /* deeper trees cannot be made; a circle would be damage */

struct walk {
	struct amid *amid;
	struct arena *arena;
	const struct organization_record *organization;
	struct organization_path *path;
	struct organization_unit_record *units[DEPTH_MAX]; /* from below */
	size_t unit_count;
};

static int collect_units(struct walk *walk, const char *unit, struct error *err)
{
	while (unit) {
		struct organization_unit_record *record;
		if (walk->unit_count == DEPTH_MAX)
			return error_set(err, ERROR_CORRUPT, "organization %s: the unit %s is too deep",
				walk->organization->record.id, unit);
		if (meta_get(walk->amid->meta, &record_organization_unit, walk->organization->record.account,
			    "", unit, walk->arena, &record, err))
			return -1;
		if (!record)
			return error_set(err, ERROR_CORRUPT, "organization %s has no unit %s",
				walk->organization->record.id, unit);
		walk->units[walk->unit_count++] = record;
		unit = record->parent;
	}
	return 0;
}

static char *arn_of(const struct walk *walk, const char *kind, const char *id)
{
	return arena_printf(walk->arena, "arn:aws:organizations::%s:%s/%s/%s",
		walk->organization->record.account, kind, walk->organization->record.id, id);
}

static int read_policy(
	const struct walk *walk, const char *id, struct organization_path_policy *policy, struct error *err)
{
	struct organization_policy_record *record;
	*policy = (struct organization_path_policy){
		.id = id, .arn = ORGANIZATION_FULL_ACCESS_ARN, .document = ORGANIZATION_FULL_ACCESS_DOCUMENT
	};
	if (strcmp(id, ORGANIZATION_FULL_ACCESS) == 0)
		return 0;
	if (meta_get(walk->amid->meta, &record_organization_policy, walk->organization->record.account, "",
		    id, walk->arena, &record, err))
		return -1;
	if (!record)
		return error_set(err, ERROR_CORRUPT, "organization %s has no policy %s",
			walk->organization->record.id, id);
	policy->arn = arn_of(walk, "policy", arena_printf(walk->arena, "service_control_policy/%s", id));
	policy->document = record->document;
	policy->version = record->record.version;
	return 0;
}

static int set_level(const struct walk *walk, struct organization_level *level, const char *kind,
	const char *id, const struct record_string_list *policies, struct error *err)
{
	*level = (struct organization_level){ .id = id, .arn = arn_of(walk, kind, id) };
	if (!walk->path->governed)
		return 0;
	struct organization_path_policy *read =
		arena_alloc_array(walk->arena, policies->count + 1, sizeof *read);
	for (size_t i = 0; i < policies->count; i++)
		if (read_policy(walk, policies->items[i], &read[i], err))
			return -1;
	level->policies = read;
	level->policy_count = policies->count;
	return 0;
}

static int set_levels(const struct walk *walk, const struct account_record *account, struct error *err)
{
	struct organization_path *path = walk->path;
	size_t count = walk->unit_count;
	struct organization_level *levels = arena_alloc_array(walk->arena, count + 2, sizeof *levels);
	const char **unit_arns = arena_alloc_array(walk->arena, count + 1, sizeof *unit_arns);
	if (set_level(walk, &levels[0], "root", walk->organization->root, &walk->organization->root_policies,
		    err))
		return -1;
	path->path =
		arena_printf(walk->arena, "%s/%s/", walk->organization->record.id, walk->organization->root);
	for (size_t i = 0; i < count; i++) {
		const struct organization_unit_record *unit = walk->units[count - 1 - i];
		if (set_level(walk, &levels[1 + i], "ou", unit->record.id, &unit->policies, err))
			return -1;
		unit_arns[i] = levels[1 + i].arn;
		path->path = arena_printf(walk->arena, "%s%s/", path->path, unit->record.id);
	}
	path->levels = levels;
	path->level_count = count + 2;
	path->unit_arns = unit_arns;
	path->unit_count = count;
	return set_level(walk, &levels[count + 1], "account", account->record.id, &account->policies, err);
}

static int read_path(struct amid *amid, const char *account_id, struct arena *arena,
	struct organization_path *path, struct error *err)
{
	struct account_record *account;
	struct organization_record *organization;
	*path = (struct organization_path){ 0 };
	if (meta_get(amid->meta, &record_account, "", "", account_id, arena, &account, err))
		return -1;
	if (!account || !account->organization)
		return 0;
	if (meta_get_any(
		    amid->meta, &record_organization, "", account->organization, arena, &organization, err))
		return -1;
	if (!organization) /* a reset of the management account has forgotten it */
		return 0;
	struct walk walk = { .amid = amid, .arena = arena, .organization = organization, .path = path };
	path->organization = organization->record.id;
	path->management_account = organization->record.account;
	path->organization_arn = arena_printf(arena, "arn:aws:organizations::%s:organization/%s",
		organization->record.account, organization->record.id);
	path->governed = boolean_or(organization->policies_enabled, false) &&
		strcmp(organization->record.account, account_id) != 0;
	return collect_units(&walk, account->unit, err) || set_levels(&walk, account, err) ? -1 : 0;
}

int organizations_path(struct amid *amid, const char *account, struct arena *arena,
	struct organization_path *path, struct error *err)
{
	struct organization_cache *cache = amid->organizations;
	if (organization_cache_find(cache, account, arena, path))
		return 0;
	uint64_t generation = organization_cache_generation(cache);
	struct arena *own = arena_create();
	if (read_path(amid, account, own, path, err)) {
		arena_destroy(own);
		return -1;
	}
	organization_cache_keep(cache, generation, account, own, arena, path);
	return 0;
}
