/*
 * Organizations: everything that a request names by id (accounts, units, roots, policies) is what it acts on. Their ARNs have the management account and the organization in them, whoever asks.
 */
#include <string.h>

#include "svc/authorize/internal.h"
#include "svc/organization.h"
#include "base/text.h"
#include "base/banned.h"

static const char *const members[] = { "AccountId", "OrganizationalUnitId", "PolicyId", "TargetId",
	"ParentId", "ChildId", "RootId", "SourceParentId", "DestinationParentId", "ResourceId" };

static const char *make_arn(struct call *call, const struct organization_path *path, const char *id)
{
	const char *type = text_starts_with(id, "ou-") ? "ou"
		: text_starts_with(id, "r-")           ? "root"
		: text_starts_with(id, "p-")           ? "policy"
						       : "account";
	return arena_printf(call->arena, "arn:aws:organizations::%s:%s/%s/%s%s", path->management_account,
		type, path->organization, strcmp(type, "policy") == 0 ? "service_control_policy/" : "", id);
}

static int find_named(struct target_list *list, struct error *err)
{
	struct call *call = list->call;
	struct organization_path path;
	struct texts ids = { 0 };
	if (organizations_path(call->amid, call->account, call->arena, &path, err))
		return -1;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		walk_texts(list->operation->shape->input, list->input, members[i], call->arena, &ids);
	/* without an organization there is nothing that could be named: the handler says so */
	for (size_t i = 0; path.organization && i < ids.count; i++)
		target_add(list, RESOURCE_ANY, NULL, NULL)->arn = make_arn(call, &path, ids.items[i]);
	return 0;
}

/* Both parties ask by the same ARN, the management account's. */
static int find_handshake(struct target_list *list, struct error *err)
{
	struct call *call = list->call;
	struct handshake_record *handshake = NULL;
	const char *id = walk_text(list->operation->shape->input, list->input, "HandshakeId", call->arena);
	if (id && meta_get_any(call->amid->meta, &record_handshake, "", id, call->arena, &handshake, err))
		return -1;
	target_add(list, RESOURCE_ANY, NULL, NULL)->arn =
		arena_printf(call->arena, "arn:aws:organizations::%s:handshake/%s/invite/%s",
			handshake ? handshake->record.account : call->account,
			handshake ? handshake->organization : "*", id ? id : "*");
	return 0;
}

#define NAMED FIND(find_named)

static const struct table_row rows[] = {
	ROW(AcceptHandshake, FIND(find_handshake)),
	ROW(AttachPolicy, NAMED),
	ROW(CancelHandshake, FIND(find_handshake)),
	ROW(CloseAccount, NAMED),
	ROW(CreateAccount, EVERY, TAGS_WITH("Tags", "organizations:TagResource")),
	ROW(CreateOrganization, EVERY),
	ROW(CreateOrganizationalUnit, NAMED),
	ROW(CreatePolicy, EVERY, TAGS_WITH("Tags", "organizations:TagResource")),
	ROW(DeclineHandshake, FIND(find_handshake)),
	ROW(DeleteOrganization, EVERY),
	ROW(DeleteOrganizationalUnit, NAMED),
	ROW(DeletePolicy, NAMED),
	ROW(DescribeAccount, NAMED),
	ROW(DescribeCreateAccountStatus, EVERY),
	ROW(DescribeHandshake, FIND(find_handshake)),
	ROW(DescribeOrganization, EVERY),
	ROW(DescribeOrganizationalUnit, NAMED),
	ROW(DescribePolicy, NAMED),
	ROW(DetachPolicy, NAMED),
	ROW(DisablePolicyType, NAMED),
	ROW(EnablePolicyType, NAMED),
	ROW(InviteAccountToOrganization, EVERY, TAGS_WITH("Tags", "organizations:TagResource")),
	ROW(LeaveOrganization, EVERY),
	ROW(ListAccounts, EVERY),
	ROW(ListAccountsForParent, NAMED),
	ROW(ListChildren, NAMED),
	ROW(ListCreateAccountStatus, EVERY),
	ROW(ListHandshakesForAccount, EVERY),
	ROW(ListHandshakesForOrganization, EVERY),
	ROW(ListOrganizationalUnitsForParent, NAMED),
	ROW(ListParents, NAMED),
	ROW(ListPolicies, EVERY),
	ROW(ListPoliciesForTarget, NAMED),
	ROW(ListRoots, EVERY),
	ROW(ListTagsForResource, NAMED),
	ROW(ListTargetsForPolicy, NAMED),
	ROW(MoveAccount, NAMED),
	ROW(RemoveAccountFromOrganization, NAMED),
	ROW(TagResource, NAMED),
	ROW(UntagResource, NAMED),
	ROW(UpdateOrganizationalUnit, NAMED),
	ROW(UpdatePolicy, NAMED),
};

const struct table table_organizations = { "organizations", "organizations", rows,
	sizeof rows / sizeof *rows };
