/* Which policies are attached to what: AttachPolicy, DetachPolicy, ListPoliciesForTarget, ListTargetsForPolicy. Run on the thread of the call. */
#include "svc/organizations/policies.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { ATTACHED_MAX = 5 };

static int find_target(struct call *call, struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err)
{
	if (org_node_find(call, organization, id, node, err))
		return -1;
	return node->type ? 0
			  : error_set(err, ERROR_ORG_TARGET_NOT_FOUND,
				    "You specified a target that doesn't exist: %.100s", id);
}

/* The organization, the policy and the target of an attachment; policies must be enabled. */
static int find_both(struct call *call, const char *policy_id, const char *target,
	struct organization_record **organization, struct org_node *node, struct error *err)
{
	struct organization_policy_record *policy;
	if (org_open(call, ORG_MANAGEMENT, organization, err) ||
		org_policy_find(call, *organization, policy_id, &policy, err) ||
		find_target(call, *organization, target, node, err))
		return -1;
	if (boolean_or((*organization)->policies_enabled, false))
		return 0;
	return error_set(err, ERROR_ORG_TYPE_NOT_ENABLED,
		"The specified policy type isn't currently enabled in this root.");
}

int organizations_attach_policy(struct call *call, const struct organizations_AttachPolicyRequest *request,
	struct organizations_AttachPolicyResult *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)result;
	if (find_both(call, request->policy_id, request->target_id, &organization, &node, err))
		return -1;
	if (org_has(node.policies, request->policy_id))
		return error_set(err, ERROR_ORG_POLICY_ATTACHED,
			"The policy %.130s is already attached to %.100s.", request->policy_id, node.id);
	if (node.policies->count >= ATTACHED_MAX)
		return error_set(err, ERROR_ORG_ATTACHED_MAX,
			"You have exceeded the number of policies attached to %.100s: %d", node.id,
			ATTACHED_MAX);
	org_add(node.policies, request->policy_id, call->arena);
	org_node_put(batch, &node);
	return org_commit(call, batch, organization, err);
}

int organizations_detach_policy(struct call *call, const struct organizations_DetachPolicyRequest *request,
	struct organizations_DetachPolicyResult *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)result;
	if (find_both(call, request->policy_id, request->target_id, &organization, &node, err))
		return -1;
	if (!org_has(node.policies, request->policy_id))
		return error_set(err, ERROR_ORG_POLICY_NOT_ATTACHED,
			"The policy %.130s isn't attached to %.100s.", request->policy_id, node.id);
	if (node.policies->count == 1)
		return error_set(err, ERROR_ORG_ATTACHED_MIN,
			"You can't remove the last policy of a type from %.100s: attach another one first.",
			node.id);
	org_remove(node.policies, request->policy_id);
	org_node_put(batch, &node);
	return org_commit(call, batch, organization, err);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int organizations_list_policies_for_target(struct call *call,
	const struct organizations_ListPoliciesForTargetRequest *request,
	struct organizations_ListPoliciesForTargetResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	struct page page;
	struct organizations_Policies *shown = &result->policies;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find_target(call, organization, request->target_id, &node, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err))
		return -1;
	shown->set = true;
	if (!org_is_service_control(request->filter) || !node.policies->count)
		return 0;
	qsort(node.policies->items, node.policies->count, sizeof *node.policies->items, compare_texts);
	for (size_t i = 0; i < node.policies->count; i++) {
		struct organization_policy_record *policy;
		const char *id = node.policies->items[i];
		if (!page_is_ahead(&page, id))
			continue;
		if (!page_take(&page, id))
			break;
		if (org_policy_find(call, organization, id, &policy, err))
			return -1;
		*ARENA_APPEND(call->arena, shown->items, shown->count) =
			org_show_policy(call, organization, policy);
	}
	result->next_token = page_close(&page);
	return 0;
}

/* All nodes that may have the policy, in order of their ids: accounts (digits), units ("ou-"), the root ("r-"). */
static int list_nodes(struct call *call, struct organization_record *organization, struct org_node **nodes,
	size_t *count, struct error *err)
{
	struct meta_rows units, accounts;
	*nodes = NULL;
	*count = 0;
	if (org_list_units(call, organization, &units, err) ||
		org_list_accounts(call, organization, &accounts, err))
		return -1;
	for (size_t i = 0; i < accounts.count; i++)
		*ARENA_APPEND(call->arena, *nodes, *count) =
			org_node_of_account(call, organization, accounts.items[i]);
	for (size_t i = 0; i < units.count; i++)
		*ARENA_APPEND(call->arena, *nodes, *count) =
			org_node_of_unit(call, organization, units.items[i]);
	*ARENA_APPEND(call->arena, *nodes, *count) = org_node_of_root(call, organization);
	return 0;
}

int organizations_list_targets_for_policy(struct call *call,
	const struct organizations_ListTargetsForPolicyRequest *request,
	struct organizations_ListTargetsForPolicyResponse *result, struct error *err)
{
	static const char *const types[] = {
		[ORG_ROOT] = "ROOT", [ORG_UNIT] = "ORGANIZATIONAL_UNIT", [ORG_ACCOUNT] = "ACCOUNT"
	};
	struct organization_record *organization;
	struct organization_policy_record *policy;
	struct org_node *nodes;
	struct page page;
	size_t count;
	struct organizations_PolicyTargets *shown = &result->targets;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_policy_find(call, organization, request->policy_id, &policy, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err) ||
		list_nodes(call, organization, &nodes, &count, err))
		return -1;
	shown->set = true;
	for (size_t i = 0; i < count; i++) {
		const struct org_node *node = &nodes[i];
		if (!org_has(node->policies, request->policy_id) || !page_is_ahead(&page, node->id))
			continue;
		if (!page_take(&page, node->id))
			break;
		*ARENA_APPEND(
			call->arena, shown->items, shown->count) = (struct organizations_PolicyTargetSummary){
			.target_id = node->id, .arn = node->arn, .name = node->name, .type = types[node->type]
		};
	}
	result->next_token = page_close(&page);
	return 0;
}
