/* CreateOrganization, DescribeOrganization, DeleteOrganization, ListRoots, EnablePolicyType, DisablePolicyType. Run on the thread of the call. */
#include "svc/organizations/common.h"

#include <string.h>

#include "base/clock.h"
#include "base/banned.h"

#define SERVICE_CONTROL "SERVICE_CONTROL_POLICY"

enum { ORGANIZATION_LETTERS = 10, ROOT_LETTERS = 4 };

static struct organizations_PolicyTypes show_types(struct call *call, bool enabled)
{
	struct organizations_PolicyTypeSummary *summary = arena_alloc(call->arena, sizeof *summary);
	*summary = (struct organizations_PolicyTypeSummary){ .type = SERVICE_CONTROL, .status = "ENABLED" };
	return (struct organizations_PolicyTypes){ .items = summary, .count = enabled, .set = true };
}

static bool has_all_features(const struct organization_record *organization)
{
	return strcmp(organization->feature_set, "ALL") == 0;
}

/* The type shown here is one that could be enabled on the root. */
static int show(struct call *call, const struct organization_record *organization,
	struct organizations_Organization **shown, struct error *err)
{
	struct account_record *management;
	if (meta_get(call->amid->meta, &record_account, "", "", organization->record.account, call->arena,
		    &management, err))
		return -1;
	*shown = arena_alloc(call->arena, sizeof **shown);
	**shown = (struct organizations_Organization){ .id = organization->record.id,
		.arn = org_arn(call, organization, "organization", NULL),
		.feature_set = organization->feature_set,
		.master_account_arn = org_arn(call, organization, "account", organization->record.account),
		.master_account_id = organization->record.account,
		.master_account_email = management ? management->email : NULL,
		.available_policy_types = show_types(call, has_all_features(organization)) };
	return 0;
}

int organizations_create_organization(struct call *call,
	const struct organizations_CreateOrganizationRequest *request,
	struct organizations_CreateOrganizationResponse *result, struct error *err)
{
	struct account_record *account;
	struct organization_record *old = NULL;
	if (meta_get(call->amid->meta, &record_account, "", "", call->account, call->arena, &account, err))
		return -1;
	if (!account)
		return error_set(err, ERROR_INTERNAL, "the account %s has no record", call->account);
	if (account->organization &&
		meta_get_any(call->amid->meta, &record_organization, "", account->organization, call->arena,
			&old, err))
		return -1;
	if (old)
		return error_set(err, ERROR_ORG_ALREADY_IN, "This account is already a member of %s.",
			account->organization);
	const struct organization_record organization = {
		.record = { .account = call->account,
			.region = "",
			.id = org_random_id(call->arena, "o-", ORGANIZATION_LETTERS) },
		.root = org_random_id(call->arena, "r-", ROOT_LETTERS),
		.feature_set = request->feature_set ? request->feature_set : "ALL",
		.created = some_timestamp(clock_now_ms()),
	};
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	account->organization = organization.record.id;
	account->joined = organization.created;
	account->unit = NULL;
	account->policies = (struct record_string_list){ 0 };
	meta_batch_put(batch, &record_account, account);
	if (org_commit(call, batch, &organization, err))
		return -1;
	return show(call, &organization, &result->organization, err);
}

int organizations_describe_organization(struct call *call,
	const struct organizations_DescribeOrganizationRequest *request,
	struct organizations_DescribeOrganizationResponse *result, struct error *err)
{
	struct organization_record *organization;
	(void)request;
	return org_open(call, ORG_MEMBER, &organization, err) ||
			show(call, organization, &result->organization, err)
		? -1
		: 0;
}

/* Everything that an organization has but its accounts. */
static int delete_parts(struct call *call, struct meta_batch *batch,
	const struct organization_record *organization, struct error *err)
{
	static const struct record_kind *const kinds[] = { &record_organization_unit,
		&record_organization_policy, &record_account_request, &record_handshake };
	struct meta_query query = { .index = "organization", .value = organization->record.id };
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		struct meta_rows rows;
		if (meta_list(call->amid->meta, kinds[k], &query, call->arena, &rows, err))
			return -1;
		for (size_t i = 0; i < rows.count; i++)
			meta_batch_delete(batch, kinds[k], rows.items[i]);
	}
	return 0;
}

int organizations_delete_organization(struct call *call,
	const struct organizations_DeleteOrganizationRequest *request,
	struct organizations_DeleteOrganizationResult *result, struct error *err)
{
	struct organization_record *organization;
	struct meta_rows accounts;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)request;
	(void)result;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_list_accounts(call, organization, &accounts, err))
		return -1;
	if (accounts.count != 1)
		return error_set(err, ERROR_ORG_NOT_EMPTY,
			"To delete an organization you must first remove all member accounts: it has %zu.",
			accounts.count - 1);
	struct account_record *account = accounts.items[0];
	account->organization = account->unit = NULL;
	account->joined = (struct shape_timestamp){ 0 };
	account->policies = (struct record_string_list){ 0 };
	meta_batch_put(batch, &record_account, account);
	meta_batch_delete(batch, &record_organization, organization);
	if (delete_parts(call, batch, organization, err))
		return -1;
	return meta_commit(call->amid->meta, batch, err);
}

static struct organizations_Root show_root(struct call *call, struct organization_record *organization)
{
	struct org_node root = org_node_of_root(call, organization);
	return (struct organizations_Root){ .id = root.id,
		.arn = root.arn,
		.name = root.name,
		.policy_types = show_types(call, boolean_or(organization->policies_enabled, false)) };
}

int organizations_list_roots(struct call *call, const struct organizations_ListRootsRequest *request,
	struct organizations_ListRootsResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct page page;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err))
		return -1;
	struct organizations_Root *root = arena_alloc(call->arena, sizeof *root);
	*root = show_root(call, organization);
	result->roots = (struct organizations_Roots){ .items = root, .count = 1, .set = true };
	return 0;
}

/* ---- service control policies on and off ---- */

static int check_type(struct call *call, const char *root, const char *type,
	struct organization_record **organization, struct error *err)
{
	if (org_open(call, ORG_MANAGEMENT, organization, err))
		return -1;
	if (strcmp(root, (*organization)->root) != 0)
		return error_set(err, ERROR_ORG_ROOT_NOT_FOUND,
			"You specified a root that doesn't exist: %.40s", root);
	if (strcmp(type, SERVICE_CONTROL) != 0 || !has_all_features(*organization))
		return error_set(err, ERROR_ORG_TYPE_NOT_AVAILABLE,
			"Policies of type %s are not available for this organization.", type);
	return 0;
}

/* Enabled, everything has the policy that allows all; disabled, nothing has any. */
static int set_everywhere(struct call *call, struct organization_record *organization, bool enabled,
	struct meta_batch *batch, struct error *err)
{
	struct meta_rows units, accounts;
	struct record_string_list policies = { 0 };
	if (org_list_units(call, organization, &units, err) ||
		org_list_accounts(call, organization, &accounts, err))
		return -1;
	if (enabled)
		org_add(&policies, ORGANIZATION_FULL_ACCESS, call->arena);
	organization->root_policies = policies;
	for (size_t i = 0; i < units.count; i++) {
		((struct organization_unit_record *)units.items[i])->policies = policies;
		meta_batch_put(batch, &record_organization_unit, units.items[i]);
	}
	for (size_t i = 0; i < accounts.count; i++) {
		((struct account_record *)accounts.items[i])->policies = policies;
		meta_batch_put(batch, &record_account, accounts.items[i]);
	}
	return 0;
}

static int set_type(struct call *call, const char *root, const char *type, bool enabled,
	struct organizations_Root **shown, struct error *err)
{
	struct organization_record *organization;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (check_type(call, root, type, &organization, err))
		return -1;
	if (boolean_or(organization->policies_enabled, false) == enabled)
		return enabled ? error_set(err, ERROR_ORG_TYPE_ENABLED,
					 "The specified policy type is already enabled.")
			       : error_set(err, ERROR_ORG_TYPE_NOT_ENABLED,
					 "The specified policy type isn't currently enabled in this root.");
	organization->policies_enabled = some_boolean(enabled);
	if (set_everywhere(call, organization, enabled, batch, err) ||
		org_commit(call, batch, organization, err))
		return -1;
	*shown = arena_alloc(call->arena, sizeof **shown);
	**shown = show_root(call, organization);
	return 0;
}

int organizations_enable_policy_type(struct call *call,
	const struct organizations_EnablePolicyTypeRequest *request,
	struct organizations_EnablePolicyTypeResponse *result, struct error *err)
{
	return set_type(call, request->root_id, request->policy_type, true, &result->root, err);
}

int organizations_disable_policy_type(struct call *call,
	const struct organizations_DisablePolicyTypeRequest *request,
	struct organizations_DisablePolicyTypeResponse *result, struct error *err)
{
	return set_type(call, request->root_id, request->policy_type, false, &result->root, err);
}
