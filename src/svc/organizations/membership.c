/*
 * Accounts that join and leave: InviteAccountToOrganization, AcceptHandshake, DeclineHandshake, CancelHandshake, RemoveAccountFromOrganization, LeaveOrganization. An invitation is known to its two parties only, and what an account
 * is a member of is told to the account alone: the inviter hears of a membership elsewhere when the invitation is not taken. Every change puts the organization, so an account joins one that is still there, and once.
 * Run on the thread of the call.
 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/organizations/handshakes.h"
#include "base/banned.h"

enum { HANDSHAKE_LETTERS = 32, OPEN_MAX = 20 };

/* ---- inviting ---- */

static int find_email(
	struct call *call, const char *email, struct account_record **account, struct error *err)
{
	struct meta_rows rows;
	*account = NULL;
	if (meta_list(call->amid->meta, &record_account, NULL, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count && !*account; i++) {
		struct account_record *found = rows.items[i];
		if (found->email && strcasecmp(found->email, email) == 0)
			*account = found;
	}
	return 0;
}

static int find_target(struct call *call, const struct organizations_HandshakeParty *target,
	struct account_record **account, struct error *err)
{
	bool email = strcmp(target->type, "EMAIL") == 0;
	if (!email && strcmp(target->type, "ACCOUNT") != 0)
		return error_set(err, ERROR_ORG_PARTY_TYPE,
			"You specified a target of the type %.20s: it must be ACCOUNT or EMAIL.",
			target->type);
	if (email ? find_email(call, target->id, account, err)
		  : meta_get(
			    call->amid->meta, &record_account, "", "", target->id, call->arena, account, err))
		return -1;
	if (*account)
		return 0;
	return error_set(err, email ? ERROR_ORG_EMAIL_TARGET : ERROR_ORG_TARGET_ID,
		"You specified a target that doesn't exist: %.64s", target->id);
}

/* Old invitations go, so that there is a bound to their number. */
static int check_others(struct call *call, const struct organization_record *organization, const char *target,
	struct meta_batch *batch, struct error *err)
{
	struct meta_rows rows;
	size_t open = 0;
	if (org_handshakes_list(call, organization->record.id, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct handshake_record *handshake = rows.items[i];
		bool requested = strcmp(org_handshake_state(handshake), "REQUESTED") == 0;
		if (requested && strcmp(handshake->target, target) == 0)
			return error_set(err, ERROR_ORG_HANDSHAKE_DUPLICATE,
				"A handshake for the same action and target exists already: %.40s",
				handshake->record.id);
		open += requested;
		if (org_handshake_is_old(handshake))
			meta_batch_delete(batch, &record_handshake, handshake);
	}
	return open < OPEN_MAX ? 0
			       : error_set(err, ERROR_ORG_HANDSHAKE_RATE,
					 "You have exceeded the number of open invitations: %d", OPEN_MAX);
}

int organizations_invite_account_to_organization(struct call *call,
	const struct organizations_InviteAccountToOrganizationRequest *request,
	struct organizations_InviteAccountToOrganizationResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct account_record *target;
	struct record_tag_list tags = { 0 };
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		find_target(call, request->target, &target, err) ||
		org_tags_merge(call, &request->tags, &tags, err))
		return -1;
	if (text_equal(target->organization, organization->record.id))
		return error_set(err, ERROR_ORG_HANDSHAKE_MEMBER,
			"The account %s is already a member of this organization.", target->record.id);
	if (check_others(call, organization, target->record.id, batch, err))
		return -1;
	int64_t now_ms = clock_now_ms();
	const struct handshake_record handshake = {
		.record = { .account = call->account,
			.region = "",
			.id = org_random_id(call->arena, "h-", HANDSHAKE_LETTERS) },
		.organization = organization->record.id,
		.feature_set = organization->feature_set,
		.target = target->record.id,
		.target_type = request->target->type,
		.target_name = request->target->id,
		.state = "REQUESTED",
		.notes = request->notes,
		.requested = some_timestamp(now_ms),
		.expires = some_timestamp(now_ms + HANDSHAKE_VALID_MS),
		.tags = tags,
	};
	meta_batch_put(batch, &record_handshake, &handshake);
	if (org_commit(call, batch, organization, err))
		return -1;
	result->handshake = org_handshake_show(call, &handshake, err);
	return result->handshake ? 0 : -1;
}

/* ---- answers to an invitation ---- */

static int settle(struct handshake_record *handshake, const char *state, struct error *err)
{
	const char *now = org_handshake_state(handshake);
	if (strcmp(now, state) == 0)
		return error_set(err, ERROR_ORG_HANDSHAKE_IN_STATE,
			"The handshake %.40s is already in the state %s.", handshake->record.id, state);
	if (strcmp(now, "REQUESTED") != 0)
		return error_set(err, ERROR_ORG_HANDSHAKE_TRANSITION,
			"The handshake %.40s is in the state %s and can't become %s.", handshake->record.id,
			now, state);
	handshake->state = state;
	handshake->settled = some_timestamp(clock_now_ms());
	return 0;
}

static int check_free(struct call *call, const struct account_record *account, struct error *err)
{
	struct organization_record *old = NULL;
	if (account->organization &&
		meta_get_any(call->amid->meta, &record_organization, "", account->organization, call->arena,
			&old, err))
		return -1;
	return old ? error_set(err, ERROR_ORG_HANDSHAKE_MEMBER,
			     "The account %s is already a member of an organization.", account->record.id)
		   : 0;
}

static int join(struct call *call, struct account_record *account,
	const struct organization_record *organization, const struct record_tag_list *tags, struct error *err)
{
	struct organizations_Tags added = { 0 };
	for (size_t i = 0; i < tags->count; i++)
		*ARENA_APPEND(call->arena, added.items, added.count) =
			(struct organizations_Tag){ .key = tags->items[i].key,
				.value = tags->items[i].value };
	account->organization = organization->record.id;
	account->unit = NULL;
	account->joined = some_timestamp(clock_now_ms());
	account->invited = some_boolean(true);
	account->policies = (struct record_string_list){ 0 };
	if (boolean_or(organization->policies_enabled, false))
		org_add(&account->policies, ORGANIZATION_FULL_ACCESS, call->arena);
	return org_tags_merge(call, &added, &account->tags, err);
}

int organizations_accept_handshake(struct call *call,
	const struct organizations_AcceptHandshakeRequest *request,
	struct organizations_AcceptHandshakeResponse *result, struct error *err)
{
	struct handshake_record *handshake;
	struct account_record *account;
	struct organization_record *organization;
	enum org_party party;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (org_handshake_find(call, request->handshake_id, ORG_INVITED, &party, &handshake, err) ||
		settle(handshake, "ACCEPTED", err) ||
		meta_get(call->amid->meta, &record_account, "", "", call->account, call->arena, &account,
			err) ||
		meta_get(call->amid->meta, &record_organization, handshake->record.account, "",
			handshake->organization, call->arena, &organization, err))
		return -1;
	if (!account || !organization)
		return error_set(err, ERROR_ORG_HANDSHAKE_NOT_FOUND,
			"The organization %.40s or the account is no more.", handshake->organization);
	if (check_free(call, account, err) || join(call, account, organization, &handshake->tags, err))
		return -1;
	meta_batch_put(batch, &record_account, account);
	meta_batch_put(batch, &record_handshake, handshake);
	if (org_commit(call, batch, organization, err))
		return -1;
	result->handshake = org_handshake_show(call, handshake, err);
	return result->handshake ? 0 : -1;
}

static int end(struct call *call, const char *id, enum org_party by, const char *state,
	struct organizations_Handshake **shown, struct error *err)
{
	struct handshake_record *handshake;
	enum org_party party;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (org_handshake_find(call, id, by, &party, &handshake, err) || settle(handshake, state, err))
		return -1;
	meta_batch_put(batch, &record_handshake, handshake);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	*shown = org_handshake_show(call, handshake, err);
	return *shown ? 0 : -1;
}

int organizations_decline_handshake(struct call *call,
	const struct organizations_DeclineHandshakeRequest *request,
	struct organizations_DeclineHandshakeResponse *result, struct error *err)
{
	return end(call, request->handshake_id, ORG_INVITED, "DECLINED", &result->handshake, err);
}

int organizations_cancel_handshake(struct call *call,
	const struct organizations_CancelHandshakeRequest *request,
	struct organizations_CancelHandshakeResponse *result, struct error *err)
{
	return end(call, request->handshake_id, ORG_INVITER, "CANCELED", &result->handshake, err);
}

/* ---- leaving ---- */

/* The account keeps what it has; policies and tags were the organization's. */
static int leave(
	struct call *call, struct organization_record *organization, const char *id, struct error *err)
{
	struct org_node node;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (strcmp(id, organization->record.account) == 0)
		return error_set(err, ERROR_ORG_MASTER,
			"The management account can't leave its organization: delete the organization.");
	if (org_node_find(call, organization, id, &node, err))
		return -1;
	if (node.type != ORG_ACCOUNT)
		return error_set(err, ERROR_ORG_ACCOUNT_NOT_FOUND,
			"You specified an account that doesn't exist in this organization: %.20s", id);
	node.account->organization = node.account->unit = NULL;
	node.account->joined = (struct shape_timestamp){ 0 };
	node.account->invited = (struct shape_boolean){ 0 };
	node.account->policies = (struct record_string_list){ 0 };
	node.account->tags = (struct record_tag_list){ 0 };
	org_node_put(batch, &node);
	return org_commit(call, batch, organization, err);
}

int organizations_remove_account_from_organization(struct call *call,
	const struct organizations_RemoveAccountFromOrganizationRequest *request,
	struct organizations_RemoveAccountFromOrganizationResult *result, struct error *err)
{
	struct organization_record *organization;
	(void)result;
	return org_open(call, ORG_MANAGEMENT, &organization, err) ||
			leave(call, organization, request->account_id, err)
		? -1
		: 0;
}

int organizations_leave_organization(struct call *call,
	const struct organizations_LeaveOrganizationRequest *request,
	struct organizations_LeaveOrganizationResult *result, struct error *err)
{
	struct organization_record *organization;
	(void)request;
	(void)result;
	return org_open(call, ORG_MEMBER, &organization, err) || leave(call, organization, call->account, err)
		? -1
		: 0;
}
