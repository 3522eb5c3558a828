/*
 * What governs a principal: its own policies, boundary and session, and those of its organization at each level; with them, the condition keys that they ask for. Runs on any thread.
 */
#include <string.h>
#include <strings.h>

#include "svc/authorize/internal.h"
#include "svc/iam_policies.h"
#include "svc/organization.h"
#include "base/banned.h"

static void add_key(struct texts *keys, const char *name, struct arena *arena)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcasecmp(keys->items[i], name) == 0)
			return;
	*ARENA_APPEND(arena, keys->items, keys->count) = name;
}

void governing_add_keys(struct governing *governing, const struct policy_list *list, struct arena *arena)
{
	for (size_t i = 0; i < list->count; i++) {
		const char **names;
		size_t count;
		policy_list_context_keys(list->items[i].policy, arena, &names, &count);
		for (size_t j = 0; j < count; j++)
			add_key(&governing->keys, names[j], arena);
	}
}

static void append(struct policy_list *list, const struct policy_named *named, struct arena *arena)
{
	struct policy_named *items = (struct policy_named *)list->items; /* made here */
	*ARENA_APPEND(arena, items, list->count) = *named;
	list->items = items;
}

void governing_release(struct governing *governing)
{
	for (size_t i = 0; i < governing->owned.count; i++)
		policy_release(governing->owned.items[i].policy);
}

/* ---- the organization's ---- */

/* One list a level; none where no policies hold. */
static int collect_organization(struct amid *amid, const char *account, struct arena *arena,
	struct governing *governing, struct error *err)
{
	struct organization_path path;
	if (organizations_path(amid, account, arena, &path, err))
		return -1;
	if (!path.organization || !path.governed)
		return 0;
	struct policy_list *lists = arena_alloc_array(arena, path.level_count, sizeof *lists);
	for (size_t i = 0; i < path.level_count; i++) {
		for (size_t j = 0; j < path.levels[i].policy_count; j++) {
			const struct organization_path_policy *policy = &path.levels[i].policies[j];
			struct policy_named named = { .name = policy->arn };
			if (iam_policies_compile(amid->iam_policies, POLICY_ORGANIZATION, policy->document,
				    &named.policy, err))
				return error_prefix(err, "service control policy %s", policy->id);
			append(&governing->owned, &named, arena);
			append(&lists[i], &named, arena);
		}
		governing_add_keys(governing, &lists[i], arena);
	}
	governing->set.organization = lists;
	governing->set.organization_count = path.level_count;
	return 0;
}

int governing_collect(struct amid *amid, const struct principal *principal, struct arena *arena,
	struct governing *governing, struct error *err)
{
	if (collect_organization(amid, principal->account, arena, governing, err))
		return -1;
	if (principal->type == PRINCIPAL_ROOT) {
		governing->unrestricted = governing->set.organization_count == 0;
		return 0;
	}
	if (iam_policies_collect(amid, principal, arena, &governing->set, err))
		return -1;
	governing_add_keys(governing, &governing->set.identity, arena);
	governing_add_keys(governing, &governing->set.boundary, arena);
	governing_add_keys(governing, &governing->set.session, arena);
	return 0;
}
