/* Service control policies: CreatePolicy, UpdatePolicy, DeletePolicy, DescribePolicy, ListPolicies. Run on the thread of the call. */
#include "svc/organizations/policies.h"

#include <string.h>

#include "base/clock.h"
#include "policy/policy.h"
#include "base/banned.h"

enum { CONTENT_MAX = 5120, POLICIES_MAX = 1000, ID_LETTERS = 8 };

bool org_is_service_control(const char *type)
{
	return strcmp(type, "SERVICE_CONTROL_POLICY") == 0;
}

static bool is_of_aws(const struct organization_policy_record *policy)
{
	return strcmp(policy->record.id, ORGANIZATION_FULL_ACCESS) == 0;
}

static struct organization_policy_record *full_access(struct arena *arena)
{
	struct organization_policy_record *policy = arena_alloc(arena, sizeof *policy);
	*policy = (struct organization_policy_record){
		.record = { .account = "", .region = "", .id = ORGANIZATION_FULL_ACCESS },
		.name = "FullAWSAccess",
		.description = "Allows access to every operation",
		.document = ORGANIZATION_FULL_ACCESS_DOCUMENT
	};
	return policy;
}

int org_policy_find(struct call *call, const struct organization_record *organization, const char *id,
	struct organization_policy_record **policy, struct error *err)
{
	if (strcmp(id, ORGANIZATION_FULL_ACCESS) == 0) {
		*policy = full_access(call->arena);
		return 0;
	}
	if (meta_get(call->amid->meta, &record_organization_policy, organization->record.account, "", id,
		    call->arena, policy, err))
		return -1;
	return *policy ? 0
		       : error_set(err, ERROR_ORG_POLICY_NOT_FOUND,
				 "You specified a policy that doesn't exist: %.130s", id);
}

struct organizations_PolicySummary org_show_policy(struct call *call,
	const struct organization_record *organization, const struct organization_policy_record *policy)
{
	const char *id = policy->record.id;
	return (struct organizations_PolicySummary){ .id = id,
		.arn = is_of_aws(policy)
			? ORGANIZATION_FULL_ACCESS_ARN
			: org_arn(call, organization, "policy",
				  arena_printf(call->arena, "service_control_policy/%s", id)),
		.name = policy->name,
		.description = policy->description,
		.type = "SERVICE_CONTROL_POLICY",
		.aws_managed = some_boolean(is_of_aws(policy)) };
}

static struct organizations_Policy *show(struct call *call, const struct organization_record *organization,
	const struct organization_policy_record *policy)
{
	struct organizations_Policy *shown = arena_alloc(call->arena, sizeof *shown);
	shown->policy_summary = arena_alloc(call->arena, sizeof *shown->policy_summary);
	*shown->policy_summary = org_show_policy(call, organization, policy);
	shown->content = policy->document;
	return shown;
}

static int list(struct call *call, const struct organization_record *organization, struct meta_rows *rows,
	struct error *err)
{
	struct meta_query query = { .index = "organization", .value = organization->record.id };
	return meta_list(call->amid->meta, &record_organization_policy, &query, call->arena, rows, err);
}

/* ---- changes ---- */

static int check_content(const char *content, struct error *err)
{
	struct policy *policy;
	if (strlen(content) > CONTENT_MAX)
		return error_set(err, ERROR_ORG_POLICY_SIZE,
			"You have exceeded the allowed size of a policy: %d bytes.", CONTENT_MAX);
	if (policy_compile(POLICY_ORGANIZATION, content, strlen(content), &policy, err)) {
		if (err->code == ERROR_MALFORMED_POLICY_DOCUMENT)
			err->code = ERROR_ORG_POLICY_MALFORMED;
		return -1;
	}
	policy_release(policy);
	return 0;
}

/* `id` is the policy that is to have the name; NULL: a new one. */
static int check_name(struct call *call, const struct organization_record *organization, const char *id,
	const char *name, struct error *err)
{
	struct meta_rows rows;
	bool taken = strcmp(name, "FullAWSAccess") == 0;
	if (list(call, organization, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct organization_policy_record *policy = rows.items[i];
		taken |= strcmp(policy->name, name) == 0 && (!id || strcmp(policy->record.id, id) != 0);
	}
	if (taken)
		return error_set(err, ERROR_ORG_POLICY_DUPLICATE,
			"A policy with the same name already exists: %.128s", name);
	if (!id && rows.count >= POLICIES_MAX)
		return error_set(err, ERROR_ORG_POLICY_COUNT, "You have exceeded the number of policies: %d",
			POLICIES_MAX);
	return 0;
}

int organizations_create_policy(struct call *call, const struct organizations_CreatePolicyRequest *request,
	struct organizations_CreatePolicyResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (org_open(call, ORG_MANAGEMENT, &organization, err))
		return -1;
	if (!org_is_service_control(request->type) || strcmp(organization->feature_set, "ALL") != 0)
		return error_set(err, ERROR_ORG_TYPE_NOT_AVAILABLE,
			"Policies of type %s are not available for this organization.", request->type);
	struct organization_policy_record policy = { .record = { .account = call->account,
							     .region = "",
							     .id = org_random_id(
								     call->arena, "p-", ID_LETTERS) },
		.organization = organization->record.id,
		.name = request->name,
		.description = request->description,
		.document = request->content,
		.created = some_timestamp(clock_now_ms()) };
	if (check_content(request->content, err) ||
		check_name(call, organization, NULL, request->name, err) ||
		org_tags_merge(call, &request->tags, &policy.tags, err))
		return -1;
	meta_batch_put(batch, &record_organization_policy, &policy);
	if (org_commit(call, batch, organization, err))
		return -1;
	result->policy = show(call, organization, &policy);
	return 0;
}

static int find_own(struct call *call, const char *id, struct organization_record **organization,
	struct organization_policy_record **policy, struct error *err)
{
	if (org_open(call, ORG_MANAGEMENT, organization, err) ||
		org_policy_find(call, *organization, id, policy, err))
		return -1;
	return is_of_aws(*policy)
		? error_set(err, ERROR_ORG_IMMUTABLE_POLICY,
			  "You specified a policy that is managed by AWS and can't be changed.")
		: 0;
}

int organizations_update_policy(struct call *call, const struct organizations_UpdatePolicyRequest *request,
	struct organizations_UpdatePolicyResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct organization_policy_record *policy;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (find_own(call, request->policy_id, &organization, &policy, err) ||
		(request->content && check_content(request->content, err)) ||
		(request->name && check_name(call, organization, policy->record.id, request->name, err)))
		return -1;
	if (request->name)
		policy->name = request->name;
	if (request->description)
		policy->description = request->description;
	if (request->content)
		policy->document = request->content;
	meta_batch_put(batch, &record_organization_policy, policy);
	if (org_commit(call, batch, organization, err))
		return -1;
	result->policy = show(call, organization, policy);
	return 0;
}

static int check_unused(
	struct call *call, struct organization_record *organization, const char *id, struct error *err)
{
	struct meta_rows units, accounts;
	if (org_list_units(call, organization, &units, err) ||
		org_list_accounts(call, organization, &accounts, err))
		return -1;
	bool used = org_has(&organization->root_policies, id);
	for (size_t i = 0; i < units.count; i++)
		used |= org_has(&((struct organization_unit_record *)units.items[i])->policies, id);
	for (size_t i = 0; i < accounts.count; i++)
		used |= org_has(&((struct account_record *)accounts.items[i])->policies, id);
	return used ? error_set(err, ERROR_ORG_POLICY_IN_USE,
			      "The policy %.130s is attached: detach it everywhere first.", id)
		    : 0;
}

int organizations_delete_policy(struct call *call, const struct organizations_DeletePolicyRequest *request,
	struct organizations_DeletePolicyResult *result, struct error *err)
{
	struct organization_record *organization;
	struct organization_policy_record *policy;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)result;
	if (find_own(call, request->policy_id, &organization, &policy, err) ||
		check_unused(call, organization, request->policy_id, err))
		return -1;
	meta_batch_delete(batch, &record_organization_policy, policy);
	return org_commit(call, batch, organization, err);
}

/* ---- what there is ---- */

int organizations_describe_policy(struct call *call,
	const struct organizations_DescribePolicyRequest *request,
	struct organizations_DescribePolicyResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct organization_policy_record *policy;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_policy_find(call, organization, request->policy_id, &policy, err))
		return -1;
	result->policy = show(call, organization, policy);
	return 0;
}

/* AWS's own is last: its id, as a page's end, lies behind all others. */
int organizations_list_policies(struct call *call, const struct organizations_ListPoliciesRequest *request,
	struct organizations_ListPoliciesResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct meta_rows rows;
	struct page page;
	struct organizations_Policies *shown = &result->policies;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err) ||
		list(call, organization, &rows, err))
		return -1;
	shown->set = true;
	if (!org_is_service_control(request->filter))
		return 0;
	*ARENA_APPEND(call->arena, rows.items, rows.count) = full_access(call->arena);
	for (size_t i = 0; i < rows.count; i++) {
		const struct organization_policy_record *policy = rows.items[i];
		const char *place = is_of_aws(policy) ? "q" : policy->record.id;
		if (!page_is_ahead(&page, place))
			continue;
		if (!page_take(&page, place))
			break;
		*ARENA_APPEND(call->arena, shown->items, shown->count) =
			org_show_policy(call, organization, policy);
	}
	result->next_token = page_close(&page);
	return 0;
}
