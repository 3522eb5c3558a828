/* Managed policies: the account's own (records), and AWS's (built in; nobody changes them). Their versions: policy_versions.c. Runs on the thread of the call. */
#include "svc/iam/policies.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

static struct record_policy_version *default_version(const struct iam_policy_record *policy)
{
	for (size_t i = 0; i < policy->versions.count; i++)
		if (text_equal(policy->versions.items[i].id, policy->default_version))
			return &policy->versions.items[i];
	return NULL;
}

const char *iam_policy_document(const struct iam_policy *policy)
{
	if (policy->managed)
		return policy->managed->document;
	const struct record_policy_version *version = default_version(policy->record);
	return version ? version->document : "";
}

void iam_policy_of_managed(const struct iam_managed_policy *managed, struct iam_policy *policy)
{
	*policy = (struct iam_policy){ .arn = managed->arn,
		.name = managed->name,
		.path = managed->path,
		.id = managed->id,
		.description = managed->description,
		.default_version = managed->version,
		.created = some_timestamp(managed->created_ms),
		.updated = some_timestamp(managed->created_ms),
		.managed = managed };
}

void iam_policy_of_record(struct iam_policy_record *record, struct iam_policy *policy)
{
	*policy = (struct iam_policy){ .arn = record->arn,
		.name = record->name,
		.path = record->path,
		.id = record->record.id,
		.description = record->description,
		.default_version = record->default_version,
		.created = record->created,
		.updated = record->updated,
		.record = record };
}

int iam_look_up_policy(struct call *call, const char *arn, struct iam_policy *policy, struct error *err)
{
	struct meta_rows rows = { 0 };
	struct meta_query query = {
		.account = call->account, .region = "", .index = "arn", .value = arn, .limit = 1
	};
	const struct iam_managed_policy *managed = iam_managed_policy_find(arn);
	*policy = (struct iam_policy){ 0 };
	if (managed) {
		iam_policy_of_managed(managed, policy);
		return 0;
	}
	if (meta_list(call->amid->meta, &record_iam_policy, &query, call->arena, &rows, err))
		return -1;
	if (rows.count)
		iam_policy_of_record(rows.items[0], policy);
	return 0;
}

int iam_find_policy(struct call *call, const char *arn, struct iam_policy *policy, struct error *err)
{
	if (!text_starts_with(arn, "arn:aws:iam::") || !strstr(arn, ":policy/"))
		return error_set(err, ERROR_INVALID, "ARN %.200s is not valid.", arn);
	if (iam_look_up_policy(call, arn, policy, err))
		return -1;
	if (!policy->arn)
		return error_set(err, ERROR_NO_SUCH_ENTITY, "Policy %.300s was not found.", arn);
	return 0;
}

int iam_find_own_policy(
	struct call *call, const char *arn, struct iam_policy_record **policy, struct error *err)
{
	struct iam_policy found;
	if (iam_find_policy(call, arn, &found, err))
		return -1;
	if (found.managed)
		return error_set(err, ERROR_ACCESS_DENIED_QUERY,
			"The policy %s belongs to AWS and cannot be changed.", arn);
	*policy = found.record;
	return 0;
}

static int count_rows(struct call *call, const struct iam_kind *kind, const char *index, const char *arn,
	int64_t *count, struct error *err)
{
	struct meta_rows rows = { 0 };
	struct meta_query query = { .account = call->account, .region = "", .index = index, .value = arn };
	if (meta_list(call->amid->meta, kind->records, &query, call->arena, &rows, err))
		return -1;
	*count += (int64_t)rows.count;
	return 0;
}

int iam_count_attachments(
	struct call *call, const char *arn, int64_t *attached, int64_t *boundaries, struct error *err)
{
	*attached = *boundaries = 0;
	return count_rows(call, &iam_users, "policy", arn, attached, err) ||
			count_rows(call, &iam_groups, "policy", arn, attached, err) ||
			count_rows(call, &iam_roles, "policy", arn, attached, err) ||
			count_rows(call, &iam_users, "boundary", arn, boundaries, err) ||
			count_rows(call, &iam_roles, "boundary", arn, boundaries, err)
		? -1
		: 0;
}

static int show_policy(
	struct call *call, const struct iam_policy *policy, struct iam_Policy *shown, struct error *err)
{
	int64_t attached, boundaries;
	if (iam_count_attachments(call, policy->arn, &attached, &boundaries, err))
		return -1;
	*shown = (struct iam_Policy){ .policy_name = policy->name,
		.policy_id = policy->id,
		.arn = policy->arn,
		.path = policy->path,
		.default_version_id = policy->default_version,
		.attachment_count = some_integer(attached),
		.permissions_boundary_usage_count = some_integer(boundaries),
		.is_attachable = some_boolean(true),
		.description = policy->description,
		.create_date = policy->created,
		.update_date = policy->updated };
	if (policy->record)
		shown->tags = iam_show_tags(call, &policy->record->tags);
	return 0;
}

int iam_create_policy(struct call *call, const struct iam_CreatePolicyRequest *request,
	struct iam_CreatePolicyResponse *result, struct error *err)
{
	struct iam_policy_record record = { 0 };
	struct iam_entity entity = iam_entity_of(&iam_policies, &record);
	struct iam_policy policy;
	if (iam_begin(call, &iam_policies, request->policy_name, request->path, &record, err) ||
		iam_check_managed_document(request->policy_document, err) ||
		iam_add_tags(call, &request->tags, &record.tags, err))
		return -1;
	record.arn = iam_arn(call, &entity);
	record.description = request->description;
	record.updated = record.created;
	record.default_version = "v1";
	record.last_version = some_integer(1);
	*ARENA_APPEND(call->arena, record.versions.items, record.versions.count) =
		(struct record_policy_version){
			.id = "v1", .document = request->policy_document, .created = record.created
		};
	record.versions.set = true;
	iam_policy_of_record(&record, &policy);
	result->policy = arena_alloc(call->arena, sizeof *result->policy);
	if (iam_store(call, &entity, err))
		return -1;
	return show_policy(call, &policy, result->policy, err);
}

int iam_get_policy(struct call *call, const struct iam_GetPolicyRequest *request,
	struct iam_GetPolicyResponse *result, struct error *err)
{
	struct iam_policy policy;
	if (iam_find_policy(call, request->policy_arn, &policy, err))
		return -1;
	result->policy = arena_alloc(call->arena, sizeof *result->policy);
	return show_policy(call, &policy, result->policy, err);
}

int iam_delete_policy(struct call *call, const struct iam_DeletePolicyRequest *request,
	struct iam_DeletePolicyResult *result, struct error *err)
{
	struct iam_policy_record *policy;
	int64_t attached, boundaries;
	(void)result;
	if (iam_find_own_policy(call, request->policy_arn, &policy, err) ||
		iam_count_attachments(call, request->policy_arn, &attached, &boundaries, err))
		return -1;
	if (attached + boundaries)
		return error_set(err, ERROR_DELETE_CONFLICT, "Cannot delete a policy attached to entities.");
	if (policy->versions.count > 1)
		return error_set(err, ERROR_DELETE_CONFLICT,
			"This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.");
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_iam_policy, policy);
	return iam_commit(call, batch, err);
}

/* A policy on the way into a list, with what it is sorted by: names of AWS's and own ones may be equal. */
struct listed {
	const char *sort;
	struct iam_policy policy;
};

static int compare_listed(const void *a, const void *b)
{
	return strcmp(((const struct listed *)a)->sort, ((const struct listed *)b)->sort);
}

static void add_listed(
	struct call *call, const struct iam_policy *policy, struct listed **items, size_t *count)
{
	char *sort = arena_printf(call->arena, "%s/%s", policy->name, policy->managed ? "aws" : "own");
	for (char *c = sort; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	struct listed *item = ARENA_APPEND(call->arena, *items, *count);
	*item = (struct listed){ .sort = sort, .policy = *policy };
}

static int list_candidates(struct call *call, const struct iam_ListPoliciesRequest *request,
	struct listed **items, size_t *count, struct error *err)
{
	const char *scope = request->scope ? request->scope : "All";
	const char *prefix = request->path_prefix ? request->path_prefix : "/";
	struct meta_rows rows = { 0 };
	struct iam_policy policy;
	*items = NULL;
	*count = 0;
	if (strcmp(scope, "AWS") != 0 && iam_list(call, &iam_policies, NULL, NULL, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		iam_policy_of_record(rows.items[i], &policy);
		if (text_starts_with(policy.path, prefix))
			add_listed(call, &policy, items, count);
	}
	for (size_t i = 0; i < iam_managed_policy_count && strcmp(scope, "Local") != 0; i++) {
		iam_policy_of_managed(&iam_managed_policies[i], &policy);
		if (text_starts_with(policy.path, prefix))
			add_listed(call, &policy, items, count);
	}
	if (*count)
		qsort(*items, *count, sizeof **items, compare_listed);
	return 0;
}

static bool is_wanted(const struct iam_ListPoliciesRequest *request, const struct iam_Policy *policy)
{
	bool attached = policy->attachment_count.value > 0,
	     boundary = policy->permissions_boundary_usage_count.value > 0;
	if (text_equal(request->policy_usage_filter, "PermissionsPolicy"))
		return attached;
	if (text_equal(request->policy_usage_filter, "PermissionsBoundary"))
		return boundary;
	return !boolean_or(request->only_attached, false) || attached;
}

int iam_list_policies(struct call *call, const struct iam_ListPoliciesRequest *request,
	struct iam_ListPoliciesResponse *result, struct error *err)
{
	struct listed *items;
	struct page page;
	size_t count;
	bool full = false;
	if (iam_check_path_prefix(request->path_prefix, err) ||
		iam_page_open(call, request->max_items, request->marker, &page, err) ||
		list_candidates(call, request, &items, &count, err))
		return -1;
	result->policies.set = true;
	for (size_t i = 0; i < count && !full; i++) {
		struct iam_Policy shown;
		if (!page_is_ahead(&page, items[i].sort))
			continue;
		if (show_policy(call, &items[i].policy, &shown, err))
			return -1;
		if (!is_wanted(request, &shown) || !iam_page_take(&page, items[i].sort, &full))
			continue;
		shown.tags.set = false; /* lists leave these two out */
		shown.description = NULL;
		*ARENA_APPEND(call->arena, result->policies.items, result->policies.count) = shown;
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}
