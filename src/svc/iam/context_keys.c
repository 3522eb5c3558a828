/* GetContextKeysForCustomPolicy, GetContextKeysForPrincipalPolicy: what the conditions and variables of policies ask for. Runs on the thread of the call. */
#include <strings.h>

#include "svc/iam/simulation.h"
#include "base/banned.h"

static void add_key(struct call *call, struct iam_ContextKeyNamesResultListType *names, const char *key)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcasecmp(names->items[i], key) == 0)
			return;
	*ARENA_APPEND(call->arena, names->items, names->count) = key;
}

static void list_keys(struct call *call, const struct simulated_list *policies,
	struct iam_ContextKeyNamesResultListType *names)
{
	names->set = true;
	for (size_t i = 0; i < policies->count; i++) {
		const char **keys;
		size_t count;
		policy_list_context_keys(policies->items[i].policy, call->arena, &keys, &count);
		for (size_t j = 0; j < count; j++)
			add_key(call, names, keys[j]);
	}
}

int iam_get_context_keys_for_custom_policy(struct call *call,
	const struct iam_GetContextKeysForCustomPolicyRequest *request,
	struct iam_GetContextKeysForPolicyResponse *result, struct error *err)
{
	struct simulation simulation = { .call = call };
	if (simulation_add_input(
		    &simulation, &simulation.identity, &request->policy_input_list, "PolicyInputList", err))
		return -1;
	list_keys(call, &simulation.identity, &result->context_key_names);
	return 0;
}

int iam_get_context_keys_for_principal_policy(struct call *call,
	const struct iam_GetContextKeysForPrincipalPolicyRequest *request,
	struct iam_GetContextKeysForPolicyResponse *result, struct error *err)
{
	struct simulation simulation = { .call = call };
	if (simulation_add_input(
		    &simulation, &simulation.identity, &request->policy_input_list, "PolicyInputList", err) ||
		simulation_add_principal(&simulation, request->policy_source_arn, err))
		return -1;
	list_keys(call, &simulation.identity, &result->context_key_names);
	return 0;
}
