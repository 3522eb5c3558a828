/* What IAM says of a whole account: its alias (one at most, unique among all accounts of this amid), and numbers. Runs on the thread of the call. */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

static int read_account(struct call *call, struct account_record **account, struct error *err)
{
	if (meta_get(call->amid->meta, &record_account, "", "", call->account, call->arena, account, err))
		return -1;
	if (!*account)
		return error_set(err, ERROR_INTERNAL, "the account %s has no record", call->account);
	return 0;
}

static int store_account(struct call *call, const struct account_record *account, struct error *err)
{
	struct meta_batch *batch = iam_batch(call);
	meta_batch_put(batch, &record_account, account);
	return iam_commit(call, batch, err);
}

/* Small letters and digits, with single hyphens between them. */
static int check_alias(const char *alias, struct error *err)
{
	bool hyphen = true;
	const char *c = alias;
	for (; *c; c++) {
		bool allowed = *c == '-' ? !hyphen : islower((unsigned char)*c) || isdigit((unsigned char)*c);
		if (!allowed)
			break;
		hyphen = *c == '-';
	}
	if (!*c && !hyphen)
		return 0;
	return error_set(err, ERROR_VALIDATION_QUERY,
		"The specified value for accountAlias is invalid. It must contain only small letters, digits, and hyphens between them.");
}

int iam_create_account_alias(struct call *call, const struct iam_CreateAccountAliasRequest *request,
	struct iam_CreateAccountAliasResult *result, struct error *err)
{
	struct account_record *account;
	struct meta_rows others = { 0 };
	struct meta_query query = { .index = "alias", .value = request->account_alias };
	(void)result;
	if (check_alias(request->account_alias, err) || read_account(call, &account, err) ||
		meta_list(call->amid->meta, &record_account, &query, call->arena, &others, err))
		return -1;
	for (size_t i = 0; i < others.count; i++)
		if (strcmp(((struct record *)others.items[i])->id, call->account) != 0)
			return error_set(err, ERROR_ENTITY_EXISTS, "The account alias %s already exists.",
				request->account_alias);
	account->alias = request->account_alias; /* instead of the one it had */
	return store_account(call, account, err);
}

int iam_delete_account_alias(struct call *call, const struct iam_DeleteAccountAliasRequest *request,
	struct iam_DeleteAccountAliasResult *result, struct error *err)
{
	struct account_record *account;
	(void)result;
	if (read_account(call, &account, err))
		return -1;
	if (!text_equal(account->alias, request->account_alias))
		return error_set(err, ERROR_NO_SUCH_ENTITY, "The Account Alias %s cannot be found.",
			request->account_alias);
	account->alias = NULL;
	return store_account(call, account, err);
}

int iam_list_account_aliases(struct call *call, const struct iam_ListAccountAliasesRequest *request,
	struct iam_ListAccountAliasesResponse *result, struct error *err)
{
	struct account_record *account;
	struct page page;
	bool full;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		read_account(call, &account, err))
		return -1;
	result->account_aliases.set = true;
	if (account->alias && iam_page_take(&page, account->alias, &full))
		*ARENA_APPEND(call->arena, result->account_aliases.items, result->account_aliases.count) =
			account->alias;
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

struct summary {
	struct call *call;
	struct iam_summaryMapType *map;
};

static void add_number(const struct summary *summary, const char *name, size_t number)
{
	struct iam_summaryMapType_entry *entry =
		ARENA_APPEND(summary->call->arena, summary->map->items, summary->map->count);
	entry->key = name;
	entry->value = some_integer((int64_t)number);
	summary->map->set = true;
}

static int add_kind(const struct summary *summary, const struct iam_kind *kind, const char *name,
	const char *quota, struct error *err)
{
	struct meta_rows rows;
	if (iam_list(summary->call, kind, NULL, NULL, &rows, err))
		return -1;
	add_number(summary, name, rows.count);
	add_number(summary, quota, kind->in_account);
	return 0;
}

static int add_policies(const struct summary *summary, struct error *err)
{
	struct meta_rows rows;
	size_t versions = 0;
	if (iam_list(summary->call, &iam_policies, NULL, NULL, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		versions += ((struct iam_policy_record *)rows.items[i])->versions.count;
	add_number(summary, "Policies", rows.count);
	add_number(summary, "PoliciesQuota", iam_policies.in_account);
	add_number(summary, "PolicyVersionsInUse", versions);
	return 0;
}

static int add_root(const struct summary *summary, struct error *err)
{
	struct call *call = summary->call;
	struct meta_rows keys = { 0 };
	struct meta_query query = { .account = call->account,
		.region = "",
		.index = "principal_arn",
		.value = arena_printf(call->arena, "arn:aws:iam::%s:root", call->account) };
	if (meta_list(call->amid->meta, &record_access_key, &query, call->arena, &keys, err))
		return -1;
	add_number(summary, "AccountAccessKeysPresent", keys.count ? 1 : 0);
	return 0;
}

int iam_get_account_summary(struct call *call, const struct iam_GetAccountSummaryRequest *request,
	struct iam_GetAccountSummaryResponse *result, struct error *err)
{
	static const struct {
		const char *name;
		size_t number;
	} facts[] = {
		{ "AccessKeysPerUserQuota", IAM_KEYS_OF_USER_MAX },
		{ "AccountMFAEnabled", 0 },
		{ "AccountSigningCertificatesPresent", 0 },
		{ "AssumeRolePolicySizeQuota", IAM_TRUST_SIZE },
		{ "AttachedPoliciesPerGroupQuota", IAM_ATTACHED_MAX },
		{ "AttachedPoliciesPerRoleQuota", IAM_ATTACHED_MAX },
		{ "AttachedPoliciesPerUserQuota", IAM_ATTACHED_MAX },
		{ "GroupPolicySizeQuota", 5120 },
		{ "GroupsPerUserQuota", IAM_GROUPS_OF_USER_MAX },
		{ "MFADevices", 0 },
		{ "MFADevicesInUse", 0 },
		{ "PolicySizeQuota", IAM_POLICY_SIZE },
		{ "Providers", 0 },
		{ "RolePolicySizeQuota", 10240 },
		{ "ServerCertificates", 0 },
		{ "UserPolicySizeQuota", 2048 },
		{ "VersionsPerPolicyQuota", IAM_VERSIONS_MAX },
	};
	const struct summary summary = { .call = call, .map = &result->summary_map };
	(void)request;
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
		add_number(&summary, facts[i].name, facts[i].number);
	return add_kind(&summary, &iam_users, "Users", "UsersQuota", err) ||
			add_kind(&summary, &iam_groups, "Groups", "GroupsQuota", err) ||
			add_kind(&summary, &iam_roles, "Roles", "RolesQuota", err) ||
			add_kind(&summary, &iam_profiles, "InstanceProfiles", "InstanceProfilesQuota", err) ||
			add_policies(&summary, err) || add_root(&summary, err)
		? -1
		: 0;
}
