/*
 * Versions of managed policies. The ids v1, v2, ... are never used again, and a version's document never changes. What holds is the default version's. AWS's policies have one version. Runs on the
 * thread of the call.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

static struct record_policy_version *find_version(const struct iam_policy_record *policy, const char *id)
{
	for (size_t i = 0; i < policy->versions.count; i++)
		if (strcmp(policy->versions.items[i].id, id) == 0)
			return &policy->versions.items[i];
	return NULL;
}

static int missing(const char *arn, const char *id, struct error *err)
{
	return error_set(err, ERROR_NO_SUCH_ENTITY,
		"Policy %.300s version %.32s does not exist or is not attachable.", arn, id);
}

/* `document`: whether it is shown. */
static struct iam_PolicyVersion show_version(struct call *call, const struct iam_policy_record *policy,
	const struct record_policy_version *version, bool document)
{
	return (struct iam_PolicyVersion){
		.document = document ? iam_encode_document(call->arena, version->document) : NULL,
		.version_id = version->id,
		.is_default_version = some_boolean(text_equal(version->id, policy->default_version)),
		.create_date = version->created
	};
}

static struct iam_PolicyVersion show_managed(
	struct call *call, const struct iam_managed_policy *managed, bool document)
{
	return (struct iam_PolicyVersion){
		.document = document ? iam_encode_document(call->arena, managed->document) : NULL,
		.version_id = managed->version,
		.is_default_version = some_boolean(true),
		.create_date = some_timestamp(managed->created_ms)
	};
}

static int store(struct call *call, struct iam_policy_record *policy, struct error *err)
{
	struct iam_entity entity = iam_entity_of(&iam_policies, policy);
	policy->updated = some_timestamp(clock_now_ms() / 1000 * 1000);
	return iam_store(call, &entity, err);
}

int iam_create_policy_version(struct call *call, const struct iam_CreatePolicyVersionRequest *request,
	struct iam_CreatePolicyVersionResponse *result, struct error *err)
{
	struct iam_policy_record *policy;
	if (iam_find_own_policy(call, request->policy_arn, &policy, err) ||
		iam_check_managed_document(request->policy_document, err))
		return -1;
	if (policy->versions.count >= IAM_VERSIONS_MAX)
		return error_set(err, ERROR_LIMIT_EXCEEDED,
			"A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.",
			IAM_VERSIONS_MAX);
	policy->last_version = some_integer(integer_or(policy->last_version, 0) + 1);
	struct record_policy_version *version =
		ARENA_APPEND(call->arena, policy->versions.items, policy->versions.count);
	*version = (struct record_policy_version){ .id = arena_printf(call->arena, "v%lld",
							   (long long)policy->last_version.value),
		.document = request->policy_document,
		.created = some_timestamp(clock_now_ms() / 1000 * 1000) };
	if (boolean_or(request->set_as_default, false))
		policy->default_version = version->id;
	if (store(call, policy, err))
		return -1;
	result->policy_version = arena_alloc(call->arena, sizeof *result->policy_version);
	*result->policy_version = show_version(call, policy, version, false);
	return 0;
}

int iam_get_policy_version(struct call *call, const struct iam_GetPolicyVersionRequest *request,
	struct iam_GetPolicyVersionResponse *result, struct error *err)
{
	struct iam_policy policy;
	if (iam_find_policy(call, request->policy_arn, &policy, err))
		return -1;
	result->policy_version = arena_alloc(call->arena, sizeof *result->policy_version);
	if (policy.managed) {
		*result->policy_version = show_managed(call, policy.managed, true);
		return strcmp(policy.managed->version, request->version_id) == 0
			? 0
			: missing(request->policy_arn, request->version_id, err);
	}
	const struct record_policy_version *version = find_version(policy.record, request->version_id);
	if (!version)
		return missing(request->policy_arn, request->version_id, err);
	*result->policy_version = show_version(call, policy.record, version, true);
	return 0;
}

/* The newest first. There are so few that all fit on a page, but MaxItems may be fewer still. */
int iam_list_policy_versions(struct call *call, const struct iam_ListPolicyVersionsRequest *request,
	struct iam_ListPolicyVersionsResponse *result, struct error *err)
{
	struct iam_policy policy;
	struct page page;
	bool full = false;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_find_policy(call, request->policy_arn, &policy, err))
		return -1;
	result->versions.set = true;
	if (policy.managed) {
		if (iam_page_take(&page, policy.managed->version, &full))
			*ARENA_APPEND(call->arena, result->versions.items, result->versions.count) =
				show_managed(call, policy.managed, false);
		IAM_PAGE_CLOSE(&page, result);
		return 0;
	}
	const struct record_policy_version_list *versions = &policy.record->versions;
	for (size_t i = versions->count; i > 0 && !full; i--) {
		const struct record_policy_version *version = &versions->items[i - 1];
		/* numbers that fall, as texts that rise */
		const char *sort = arena_printf(
			call->arena, "%012lld", 999999999999LL - strtoll(version->id + 1, NULL, 10));
		if (iam_page_take(&page, sort, &full))
			*ARENA_APPEND(call->arena, result->versions.items, result->versions.count) =
				show_version(call, policy.record, version, false);
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

int iam_set_default_policy_version(struct call *call,
	const struct iam_SetDefaultPolicyVersionRequest *request,
	struct iam_SetDefaultPolicyVersionResult *result, struct error *err)
{
	struct iam_policy_record *policy;
	(void)result;
	if (iam_find_own_policy(call, request->policy_arn, &policy, err))
		return -1;
	const struct record_policy_version *version = find_version(policy, request->version_id);
	if (!version)
		return missing(request->policy_arn, request->version_id, err);
	policy->default_version = version->id;
	return store(call, policy, err);
}

int iam_delete_policy_version(struct call *call, const struct iam_DeletePolicyVersionRequest *request,
	struct iam_DeletePolicyVersionResult *result, struct error *err)
{
	struct iam_policy_record *policy;
	(void)result;
	if (iam_find_own_policy(call, request->policy_arn, &policy, err))
		return -1;
	struct record_policy_version *version = find_version(policy, request->version_id);
	if (!version)
		return missing(request->policy_arn, request->version_id, err);
	if (text_equal(version->id, policy->default_version))
		return error_set(
			err, ERROR_DELETE_CONFLICT, "Cannot delete the default version of a policy.");
	size_t behind = (size_t)(&policy->versions.items[--policy->versions.count] - version);
	memmove(version, version + 1, behind * sizeof *version); /* they stay in order */
	return store(call, policy, err);
}
