/* Key policies: GetKeyPolicy, PutKeyPolicy, ListKeyPolicies. There is one for each key, "default". Runs on the thread of the call. */
#include <string.h>

#include "svc/kms/permit.h"
#include "svc/policy_principals.h"
#include "base/banned.h"

static int check_name(const char *name, struct error *err)
{
	if (!name || strcmp(name, "default") == 0)
		return 0;
	return error_set(err, ERROR_KMS_NOT_FOUND, "No such policy exists");
}

int kms_get_key_policy(struct call *call, const struct kms_GetKeyPolicyRequest *request,
	struct kms_GetKeyPolicyResponse *result, struct error *err)
{
	struct kms_key key;
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) ||
		kms_permit_action(call, &key, "GetKeyPolicy", err) || check_name(request->policy_name, err) ||
		policy_principals_show(call->amid, call->arena, key.record->policy, &result->policy, err))
		return -1;
	result->policy_name = "default";
	return 0;
}

int kms_put_key_policy(struct call *call, const struct kms_PutKeyPolicyRequest *request,
	struct kms_PutKeyPolicyResult *result, struct error *err)
{
	struct kms_key key;
	bool bypass = boolean_or(request->bypass_policy_lockout_safety_check, false);
	struct kms_use use = { .action = "PutKeyPolicy" };
	(void)result;
	kms_condition(call->arena, &use.conditions, "kms:BypassPolicyLockoutSafetyCheck",
		bypass ? "true" : "false");
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) || kms_permit(call, &key, &use, err) ||
		kms_check_customer(&key, err) || check_name(request->policy_name, err) ||
		kms_check_policy(call, &key, request->policy, !bypass, &key.record->policy, err))
		return -1;
	return kms_put_key(call, key.record, err);
}

int kms_list_key_policies(struct call *call, const struct kms_ListKeyPoliciesRequest *request,
	struct kms_ListKeyPoliciesResponse *result, struct error *err)
{
	static const char *names[] = { "default" };
	struct kms_key key;
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) ||
		kms_permit_action(call, &key, "ListKeyPolicies", err))
		return -1;
	if (request->marker)
		return error_set(err, ERROR_KMS_INVALID_MARKER, "The marker is not valid.");
	result->policy_names = (struct kms_PolicyNameList){ names, 1, true };
	result->truncated = some_boolean(false);
	return 0;
}
