/* Handshakes, all of which are invitations: DescribeHandshake, ListHandshakesForAccount, ListHandshakesForOrganization, and what invitations.c needs. Run on the thread of the call. */
#include "svc/organizations/handshakes.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

#define INVITE "INVITE"

const char *org_handshake_state(const struct handshake_record *handshake)
{
	bool open = strcmp(handshake->state, "REQUESTED") == 0;
	return open && handshake->expires.ms <= clock_now_ms() ? "EXPIRED" : handshake->state;
}

bool org_handshake_is_old(const struct handshake_record *handshake)
{
	int64_t over_ms = handshake->settled.set ? handshake->settled.ms : handshake->expires.ms;
	return over_ms + (int64_t)HANDSHAKE_SHOWN_DAYS * 24 * 3600 * 1000 <= clock_now_ms();
}

int org_handshake_find(struct call *call, const char *id, unsigned parties, enum org_party *party,
	struct handshake_record **handshake, struct error *err)
{
	struct handshake_record *found;
	if (meta_get_any(call->amid->meta, &record_handshake, "", id, call->arena, &found, err))
		return -1;
	*party = found && strcmp(found->record.account, call->account) == 0 ? ORG_INVITER : ORG_INVITED;
	bool concerned = found && (*party == ORG_INVITER || text_equal(found->target, call->account));
	if (!concerned || !(parties & *party) || org_handshake_is_old(found))
		return error_set(err, ERROR_ORG_HANDSHAKE_NOT_FOUND,
			"We can't find a handshake with the ID that you specified: %.40s", id);
	*handshake = found;
	return 0;
}

int org_handshakes_list(
	struct call *call, const char *organization, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .index = "organization", .value = organization };
	return meta_list(call->amid->meta, &record_handshake, &query, call->arena, rows, err);
}

/* ---- how they are shown ---- */

static void add_resource(
	struct call *call, struct organizations_HandshakeResources *list, const char *type, const char *value)
{
	list->set = true;
	if (value)
		*ARENA_APPEND(call->arena, list->items, list->count) =
			(struct organizations_HandshakeResource){ .type = type, .value = value };
}

static void add_party(
	struct call *call, struct organizations_HandshakeParties *list, const char *type, const char *id)
{
	list->set = true;
	*ARENA_APPEND(call->arena, list->items, list->count) =
		(struct organizations_HandshakeParty){ .type = type, .id = id };
}

struct organizations_Handshake *org_handshake_show(
	struct call *call, const struct handshake_record *handshake, struct error *err)
{
	struct account_record *management;
	struct organizations_Handshake *shown = arena_alloc(call->arena, sizeof *shown);
	if (meta_get(call->amid->meta, &record_account, "", "", handshake->record.account, call->arena,
		    &management, err))
		return NULL;
	*shown = (struct organizations_Handshake){ .id = handshake->record.id,
		.arn = arena_printf(call->arena, "arn:aws:organizations::%s:handshake/%s/invite/%s",
			handshake->record.account, handshake->organization, handshake->record.id),
		.state = org_handshake_state(handshake),
		.requested_timestamp = handshake->requested,
		.expiration_timestamp = handshake->expires,
		.action = INVITE };
	add_party(call, &shown->parties, "ORGANIZATION", handshake->organization);
	add_party(call, &shown->parties, handshake->target_type, handshake->target_name);
	add_resource(call, &shown->resources, "ORGANIZATION", handshake->organization);
	struct organizations_HandshakeResources *about = &shown->resources.items[0].resources;
	add_resource(call, about, "MASTER_EMAIL", management ? management->email : NULL);
	add_resource(call, about, "MASTER_NAME", management ? management->name : NULL);
	add_resource(call, about, "ORGANIZATION_FEATURE_SET", handshake->feature_set);
	add_resource(call, &shown->resources, handshake->target_type, handshake->target_name);
	add_resource(call, &shown->resources, "NOTES", handshake->notes);
	return shown;
}

int organizations_describe_handshake(struct call *call,
	const struct organizations_DescribeHandshakeRequest *request,
	struct organizations_DescribeHandshakeResponse *result, struct error *err)
{
	struct handshake_record *handshake;
	enum org_party party;
	if (org_handshake_find(
		    call, request->handshake_id, ORG_INVITER | ORG_INVITED, &party, &handshake, err))
		return -1;
	result->handshake = org_handshake_show(call, handshake, err);
	return result->handshake ? 0 : -1;
}

static bool passes(const struct organizations_HandshakeFilter *filter)
{
	return !filter ||
		(!filter->parent_handshake_id &&
			(!filter->action_type || strcmp(filter->action_type, INVITE) == 0));
}

static int list(struct call *call, const struct meta_rows *rows,
	const struct organizations_HandshakeFilter *filter, struct page *page,
	struct organizations_Handshakes *shown, struct error *err)
{
	shown->set = true;
	for (size_t i = 0; passes(filter) && i < rows->count; i++) {
		const struct handshake_record *handshake = rows->items[i];
		if (org_handshake_is_old(handshake) || !page_is_ahead(page, handshake->record.id))
			continue;
		if (!page_take(page, handshake->record.id))
			break;
		const struct organizations_Handshake *one = org_handshake_show(call, handshake, err);
		if (!one)
			return -1;
		*ARENA_APPEND(call->arena, shown->items, shown->count) = *one;
	}
	return 0;
}

int organizations_list_handshakes_for_account(struct call *call,
	const struct organizations_ListHandshakesForAccountRequest *request,
	struct organizations_ListHandshakesForAccountResponse *result, struct error *err)
{
	struct meta_query query = { .index = "target", .value = call->account };
	struct meta_rows rows;
	struct page page;
	if (org_page_open(call, request->max_results, request->next_token, &page, err) ||
		meta_list(call->amid->meta, &record_handshake, &query, call->arena, &rows, err) ||
		list(call, &rows, request->filter, &page, &result->handshakes, err))
		return -1;
	result->next_token = page_close(&page);
	return 0;
}

int organizations_list_handshakes_for_organization(struct call *call,
	const struct organizations_ListHandshakesForOrganizationRequest *request,
	struct organizations_ListHandshakesForOrganizationResponse *result, struct error *err)
{
	struct organization_record *organization;
	struct meta_rows rows;
	struct page page;
	if (org_open(call, ORG_MANAGEMENT, &organization, err) ||
		org_page_open(call, request->max_results, request->next_token, &page, err) ||
		org_handshakes_list(call, organization->record.id, &rows, err) ||
		list(call, &rows, request->filter, &page, &result->handshakes, err))
		return -1;
	result->next_token = page_close(&page);
	return 0;
}
