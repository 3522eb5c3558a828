/* Policies for simulations: those of a request, and those of a user, group or role. Runs on the thread of the call. */
#include "svc/iam/simulation.h"

#include <string.h>

#include "base/text.h"
#include "svc/iam_policies.h"
#include "svc/organization.h"
#include "base/banned.h"

static void release_policy(void *policy)
{
	policy_release(policy);
}

int simulation_add(struct simulation *simulation, struct simulated_list *list, enum policy_kind kind,
	const char *document, const char *id, const char *type, struct error *err)
{
	struct call *call = simulation->call;
	struct policy *policy;
	if (iam_policies_compile(call->amid->iam_policies, kind, document, &policy, err)) {
		if (err->code == ERROR_MALFORMED_POLICY_DOCUMENT)
			err->code = ERROR_INVALID;
		return error_prefix(err, "%s", id);
	}
	arena_defer(call->arena, release_policy, policy);
	*ARENA_APPEND(call->arena, list->items, list->count) =
		(struct simulated_policy){ .policy = policy, .id = id, .type = type };
	return 0;
}

int simulation_add_input(struct simulation *simulation, struct simulated_list *list,
	const struct iam_SimulationPolicyListType *documents, const char *name, struct error *err)
{
	for (size_t i = 0; i < documents->count; i++) {
		const char *id = arena_printf(simulation->call->arena, "%s.%zu", name, i + 1);
		if (simulation_add(simulation, list, POLICY_IDENTITY, documents->items[i], id, "none", err))
			return -1;
	}
	return 0;
}

static int add_managed(
	struct simulation *simulation, struct simulated_list *list, const char *arn, struct error *err)
{
	struct iam_policy policy;
	if (iam_look_up_policy(simulation->call, arn, &policy, err))
		return -1;
	if (!policy.arn)
		return 0;
	return simulation_add(simulation, list, POLICY_IDENTITY, iam_policy_document(&policy), policy.name,
		policy.managed ? "aws-managed" : "user-managed", err);
}

static int add_entity(struct simulation *simulation, const struct iam_entity *entity, struct error *err)
{
	const struct record_inline_policy_list *inline_policies = entity->inline_policies;
	for (size_t i = 0; i < inline_policies->count; i++) {
		const char *id = arena_printf(simulation->call->arena, "%s_%s_%s", entity->kind->noun,
			*entity->name, inline_policies->items[i].name);
		if (simulation_add(simulation, &simulation->identity, POLICY_IDENTITY,
			    inline_policies->items[i].document, id, entity->kind->noun, err))
			return -1;
	}
	for (size_t i = 0; i < entity->attached_policies->count; i++)
		if (add_managed(simulation, &simulation->identity, entity->attached_policies->items[i], err))
			return -1;
	return 0;
}

static int add_groups(struct simulation *simulation, const struct iam_user_record *user, struct error *err)
{
	struct iam_entity group;
	for (size_t i = 0; i < user->groups.count; i++) {
		if (iam_find_id(simulation->call, &iam_groups, user->groups.items[i], &group, err))
			return -1;
		if (group.record && add_entity(simulation, &group, err))
			return -1;
	}
	return 0;
}

/* By an ARN whose path has to be right too. */
static int find_principal(struct simulation *simulation, const char *arn, struct error *err)
{
	static const struct iam_kind *const kinds[] = { &iam_users, &iam_groups, &iam_roles };
	struct call *call = simulation->call;
	const char *prefix = arena_printf(call->arena, "arn:aws:iam::%s:", call->account);
	if (!text_starts_with(arn, prefix))
		return error_set(err, ERROR_INVALID,
			"Invalid Entity Arn: %.200s does not clearly define entity type and name.", arn);
	const char *resource = arn + strlen(prefix), *name = strrchr(resource, '/');
	for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++) {
		size_t size = strlen(kinds[i]->arn_type);
		if (strncmp(resource, kinds[i]->arn_type, size) != 0 || resource[size] != '/')
			continue;
		if (iam_find(call, kinds[i], name + 1, &simulation->source, err))
			return -1;
		if (strcmp(iam_arn(call, &simulation->source), arn) == 0)
			return 0;
		return error_set(err, ERROR_NO_SUCH_ENTITY, "The %s with ARN %.300s cannot be found.",
			kinds[i]->noun, arn);
	}
	return error_set(err, ERROR_INVALID,
		"Invalid Entity Arn: %.200s does not clearly define entity type and name.", arn);
}

int simulation_add_principal(struct simulation *simulation, const char *arn, struct error *err)
{
	if (find_principal(simulation, arn, err))
		return -1;
	const struct iam_entity *source = &simulation->source;
	if (add_entity(simulation, source, err) ||
		(source->kind == &iam_users && add_groups(simulation, (void *)source->record, err)))
		return -1;
	if (!source->boundary || !*source->boundary)
		return 0;
	simulation->has_boundary = true;
	return add_managed(simulation, &simulation->boundary, *source->boundary, err);
}

struct policy_list simulation_named(struct call *call, const struct simulated_list *list)
{
	struct policy_named *items = arena_alloc_array(call->arena, list->count + 1, sizeof *items);
	for (size_t i = 0; i < list->count; i++)
		items[i] = (struct policy_named){ list->items[i].policy, list->items[i].id };
	return (struct policy_list){ items, list->count };
}

static int add_level(struct simulation *simulation, const struct organization_level *level,
	struct policy_list *list, struct error *err)
{
	struct simulated_list policies = { 0 };
	for (size_t i = 0; i < level->policy_count; i++)
		if (simulation_add(simulation, &policies, POLICY_ORGANIZATION, level->policies[i].document,
			    level->policies[i].id, "none", err))
			return -1;
	*list = simulation_named(simulation->call, &policies);
	return 0;
}

int simulation_add_organization(struct simulation *simulation, struct error *err)
{
	struct call *call = simulation->call;
	struct organization_path path;
	if (organizations_path(call->amid, call->account, call->arena, &path, err))
		return -1;
	if (!path.organization || !path.governed)
		return 0;
	simulation->organization =
		arena_alloc_array(call->arena, path.level_count, sizeof *simulation->organization);
	simulation->organization_count = path.level_count;
	for (size_t i = 0; i < path.level_count; i++)
		if (add_level(simulation, &path.levels[i], &simulation->organization[i], err))
			return -1;
	return 0;
}
