/*
 * Member accounts: CreateAccount, MoveAccount, CloseAccount and the lists. A new account is there when CreateAccount answers, with the role through which the management account gets in. Run on the thread of the call.
 */
#include "svc/organizations/common.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/accounts.h"
#include "base/banned.h"

#define DEFAULT_ROLE "OrganizationAccountAccessRole"

enum { REQUEST_LETTERS = 32, ROLE_ID_LETTERS = 17, ROLE_SESSION_SECONDS = 3600 };

static int find(struct call *call, struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err)
{
	if (org_node_find(call, organization, id, node, err))
		return -1;
	if (node->type == ORG_ACCOUNT)
		return 0;
	return error_set(err, ERROR_ORG_ACCOUNT_NOT_FOUND,
		"You specified an account that doesn't exist in this organization: %.20s", id);
}

/* ---- a new account ---- */

static char *random_role_id(struct arena *arena)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t random[ROLE_ID_LETTERS];
	char *id = arena_strdup(arena, "AROA.................");
	text_random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		id[4 + i] = letters[random[i] % 32];
	return id;
}

static int check_role_name(const char *name, struct error *err)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-";
	return name[0] && name[strspn(name, allowed)] == '\0'
		? 0
		: error_set(err, ERROR_ORG_ROLE_NAME, "The role name %.64s is invalid.", name);
}

/* Whoever the management account lets assume it may do everything in the new one. */
static void put_role(struct call *call, struct meta_batch *batch, const char *account, const char *name)
{
	struct arena *arena = call->arena;
	struct record_inline_policy *all = arena_alloc(arena, sizeof *all);
	char *key = arena_strdup(arena, name);
	for (char *p = key; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	*all = (struct record_inline_policy){ .name = "AdministratorAccess",
		.document = ORGANIZATION_FULL_ACCESS_DOCUMENT };
	const struct iam_role_record role = {
		.record = { .account = account, .region = "", .id = random_role_id(arena) },
		.name = name,
		.key = key,
		.path = "/",
		.created = some_timestamp(clock_now_ms()),
		.max_session_seconds = some_integer(ROLE_SESSION_SECONDS),
		.trust_policy = arena_printf(arena,
			"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::%s:root\"},\"Action\":\"sts:AssumeRole\"}]}",
			call->account),
		.inline_policies = { .items = all, .count = 1, .set = true }
	};
	meta_batch_put(batch, &record_iam_role, &role);
}

/* *taken: some account of this amid has that address. */
static int is_email_taken(struct call *call, const char *email, bool *taken, struct error *err)
{
	struct meta_rows rows;
	if (meta_list(call->amid->meta, &record_account, NULL, call->arena, &rows, err))
		return -1;
	*taken = false;
	for (size_t i = 0; i < rows.count; i++) {
		const struct account_record *account = rows.items[i];
		*taken |= account->email && strcasecmp(account->email, email) == 0;
	}
	return 0;
}

static struct organizations_CreateAccountStatus *show_request(
	struct call *call, const struct account_request_record *record)
{
	struct organizations_CreateAccountStatus *shown = arena_alloc(call->arena, sizeof *shown);
	*shown = (struct organizations_CreateAccountStatus){ .id = record->record.id,
		.account_name = record->name,
		.state = record->state,
		.requested_timestamp = record->requested,
		.completed_timestamp = record->requested,
		.account_id = record->account,
		.failure_reason = record->failure };
	return shown;
}

static int make_account(struct call *call, const struct organizations_CreateAccountRequest *request,
	struct organization_record *organization, struct account_request_record *record, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	struct account_made made;
	struct record_tag_list tags = { 0 };
	const struct account_plan plan = { .name = request->account_name,
		.email = request->email,
		.organization = organization,
		.tags = &tags };
	if (org_tags_merge(call, &request->tags, &tags, err) ||
		accounts_plan(call->amid, batch, NULL, &plan, call->arena, &made, err))
		return -1;
	put_role(call, batch, made.id, request->role_name ? request->role_name : DEFAULT_ROLE);
	record->account = made.id;
	record->state = "SUCCEEDED";
	meta_batch_put(batch, &record_account_request, record);
	if (org_commit(call, batch, organization, err))
		/* the id is taken: as if somebody had been quicker */
		return err->code == ERROR_DUPLICATE
			? error_set(err, ERROR_CONFLICT, "account %s exists", made.id)
			: -1;
	if (accounts_make_networks(call->amid, made.id, err) == 0)
		return 0;
	/* the account is there, so this must not be run again; a later start makes the networks */
	err->code = ERROR_UNAVAILABLE;
	return -1;
}

int organizations_create_account(struct call *call, const struct organizations_CreateAccountRequest *request,
	struct organizations_CreateAccountResponse *result, struct error *err)
{
	struct organization_record *organization;
	bool taken;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		(request->role_name && check_role_name(request->role_name, err)) ||
		is_email_taken(call, request->email, &taken, err))
		return -1;
	struct account_request_record record = {
		.record = { .account = call->account,
			.region = "",
			.id = org_random_id(call->arena, "car-", REQUEST_LETTERS) },
		.organization = organization->record.id,
		.name = request->account_name,
		.state = "FAILED",
		.failure = taken ? "EMAIL_ALREADY_EXISTS" : NULL,
		.requested = some_timestamp(clock_now_ms()),
	};
	if (taken) {
		struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
		meta_batch_put(batch, &record_account_request, &record);
		if (org_commit(call, batch, organization, err))
			return -1;
	} else if (make_account(call, request, organization, &record, err)) {
		return -1;
	}
	result->create_account_status = show_request(call, &record);
	return 0;
}

int organizations_describe_create_account_status(struct call *call,
	const struct organizations_DescribeCreateAccountStatusRequest *request,
	struct organizations_DescribeCreateAccountStatusResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct account_request_record *record;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		meta_get(call->amid->meta, &record_account_request, call->account, "",
			request->create_account_request_id, call->arena, &record, err))
		return -1;
	if (!record)
		return error_set(err, ERROR_ORG_REQUEST_NOT_FOUND, "There is no request %.40s.",
			request->create_account_request_id);
	result->create_account_status = show_request(call, record);
	return 0;
}

/* ---- accounts that are there ---- */

int organizations_describe_account(struct call *call,
	const struct organizations_DescribeAccountRequest *request,
	struct organizations_DescribeAccountResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find(call, organization, request->account_id, &node, err))
		return -1;
	result->account = org_show_account(call, organization, node.account, err);
	return result->account ? 0 : -1;
}

/* `unit` NULL: those below the root; `all`: wherever they are. */
static int list(struct call *call, struct organization_record *organization, bool all, const char *unit,
	struct page *page, struct organizations_Accounts *shown, struct error *err)
{
	struct meta_rows rows;
	if (org_list_accounts(call, organization, &rows, err))
		return -1;
	shown->set = true;
	for (size_t i = 0; i < rows.count; i++) {
		struct account_record *account = rows.items[i];
		if ((!all && !text_equal(account->unit, unit)) || !page_is_ahead(page, account->record.id))
			continue;
		if (!page_take(page, account->record.id))
			break;
		const struct organizations_Account *one = org_show_account(call, organization, account, err);
		if (!one)
			return -1;
		*ARENA_APPEND(call->arena, shown->items, shown->count) = *one;
	}
	return 0;
}

int organizations_list_accounts(struct call *call, const struct organizations_ListAccountsRequest *request,
	struct organizations_ListAccountsResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct page page;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err) ||
		list(call, organization, true, NULL, &page, &result->accounts, err))
		return -1;
	result->next_token = page_close(&page);
	return 0;
}

int organizations_list_accounts_for_parent(struct call *call,
	const struct organizations_ListAccountsForParentRequest *request,
	struct organizations_ListAccountsForParentResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node parent;
	struct page page;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_parent_find(
			call, organization, request->parent_id, ERROR_ORG_PARENT_NOT_FOUND, &parent, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err) ||
		list(call, organization, false, parent.type == ORG_UNIT ? parent.id : NULL, &page,
			&result->accounts, err))
		return -1;
	result->next_token = page_close(&page);
	return 0;
}

int organizations_move_account(struct call *call, const struct organizations_MoveAccountRequest *request,
	struct organizations_MoveAccountResult *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node, source, destination;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)result;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find(call, organization, request->account_id, &node, err) ||
		org_parent_find(call, organization, request->source_parent_id, ERROR_ORG_SOURCE_NOT_FOUND,
			&source, err) ||
		org_parent_find(call, organization, request->destination_parent_id,
			ERROR_ORG_DESTINATION_NOT_FOUND, &destination, err))
		return -1;
	if (strcmp(node.parent, source.id) != 0)
		return error_set(err, ERROR_ORG_ACCOUNT_NOT_FOUND, "The account %s is not in %.80s.", node.id,
			source.id);
	if (strcmp(source.id, destination.id) == 0)
		return error_set(err, ERROR_ORG_ACCOUNT_DUPLICATE,
			"The account %s is already in the specified destination.", node.id);
	node.account->unit = destination.type == ORG_UNIT ? destination.id : NULL;
	org_node_put(batch, &node);
	return org_commit(call, batch, organization, err);
}

/* A closed account keeps what it has, and nobody calls from it any more. */
int organizations_close_account(struct call *call, const struct organizations_CloseAccountRequest *request,
	struct organizations_CloseAccountResult *result, struct error *err)
{
	struct organization_record *organization;
	struct org_node node;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	(void)result;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find(call, organization, request->account_id, &node, err))
		return -1;
	if (strcmp(node.id, organization->record.account) == 0)
		return error_set(err, ERROR_ORG_CLOSE_MASTER, "You can't close the management account.");
	if (boolean_or(node.account->suspended, false))
		return error_set(err, ERROR_ORG_ACCOUNT_CLOSED,
			"You attempted to close an account that is already closed: %s", node.id);
	node.account->suspended = some_boolean(true);
	org_node_put(batch, &node);
	return org_commit(call, batch, organization, err);
}
