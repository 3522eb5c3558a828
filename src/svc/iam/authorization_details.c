/* GetAccountAuthorizationDetails: everything about permissions in one answer. Pages go through groups, policies, roles, users, by names. Runs on the thread of the call. */
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

struct details {
	struct call *call;
	const struct iam_entityListType *filter;
	struct iam_GetAccountAuthorizationDetailsResponse *result;
	struct page page;
	bool full;
	struct meta_rows groups; /* of the account, to name those of users */
};

static struct iam_groupNameListType show_groups(struct details *details, const struct iam_user_record *user)
{
	struct iam_groupNameListType names = { .set = true };
	for (size_t i = 0; i < details->groups.count; i++) {
		const struct iam_group_record *group = details->groups.items[i];
		for (size_t j = 0; j < user->groups.count; j++)
			if (strcmp(group->record.id, user->groups.items[j]) == 0)
				*ARENA_APPEND(details->call->arena, names.items, names.count) = group->name;
	}
	return names;
}

static int add_user(struct details *details, struct iam_entity *entity, struct error *err)
{
	struct call *call = details->call;
	struct iam_user_record *user = (void *)entity->record;
	(void)err;
	*ARENA_APPEND(call->arena, details->result->user_detail_list.items,
		details->result->user_detail_list.count) = (struct iam_UserDetail){ .path = user->path,
		.user_name = user->name,
		.user_id = user->record.id,
		.arn = iam_arn(call, entity),
		.create_date = user->created,
		.user_policy_list = iam_show_inline(call, &user->inline_policies),
		.group_list = show_groups(details, user),
		.attached_managed_policies = iam_show_attached(call, &user->attached_policies),
		.permissions_boundary = iam_show_boundary(call, user->boundary),
		.tags = iam_show_tags(call, &user->tags) };
	return 0;
}

static int add_group(struct details *details, struct iam_entity *entity, struct error *err)
{
	struct call *call = details->call;
	struct iam_group_record *group = (void *)entity->record;
	(void)err;
	*ARENA_APPEND(call->arena, details->result->group_detail_list.items,
		details->result->group_detail_list.count) = (struct iam_GroupDetail){ .path = group->path,
		.group_name = group->name,
		.group_id = group->record.id,
		.arn = iam_arn(call, entity),
		.create_date = group->created,
		.group_policy_list = iam_show_inline(call, &group->inline_policies),
		.attached_managed_policies = iam_show_attached(call, &group->attached_policies) };
	return 0;
}

static int show_profiles(
	struct call *call, const char *role, struct iam_instanceProfileListType *shown, struct error *err)
{
	struct meta_rows rows;
	if (iam_list(call, &iam_profiles, "role", role, &rows, err))
		return -1;
	shown->set = true;
	for (size_t i = 0; i < rows.count; i++)
		if (iam_show_profile(
			    call, rows.items[i], ARENA_APPEND(call->arena, shown->items, shown->count), err))
			return -1;
	return 0;
}

static int add_role(struct details *details, struct iam_entity *entity, struct error *err)
{
	struct call *call = details->call;
	struct iam_role_record *record = (void *)entity->record;
	struct iam_Role role;
	if (iam_show_role(call, record, &role, err))
		return -1;
	struct iam_RoleDetail *shown = ARENA_APPEND(call->arena, details->result->role_detail_list.items,
		details->result->role_detail_list.count);
	*shown = (struct iam_RoleDetail){ .path = role.path,
		.role_name = role.role_name,
		.role_id = role.role_id,
		.arn = role.arn,
		.create_date = role.create_date,
		.assume_role_policy_document = role.assume_role_policy_document,
		.role_policy_list = iam_show_inline(call, &record->inline_policies),
		.attached_managed_policies = iam_show_attached(call, &record->attached_policies),
		.permissions_boundary = role.permissions_boundary,
		.tags = role.tags,
		.role_last_used = role.role_last_used };
	return show_profiles(call, role.role_id, &shown->instance_profile_list, err);
}

static void add_policy_detail(struct details *details, const struct iam_policy *policy,
	const struct iam_policyDocumentVersionListType *versions, int64_t attached, int64_t boundaries)
{
	*ARENA_APPEND(
		details->call->arena, details->result->policies.items, details->result->policies.count) =
		(struct iam_ManagedPolicyDetail){ .policy_name = policy->name,
			.policy_id = policy->id,
			.arn = policy->arn,
			.path = policy->path,
			.default_version_id = policy->default_version,
			.attachment_count = some_integer(attached),
			.permissions_boundary_usage_count = some_integer(boundaries),
			.is_attachable = some_boolean(true),
			.description = policy->description,
			.create_date = policy->created,
			.update_date = policy->updated,
			.policy_version_list = *versions };
}

static void add_version(struct details *details, struct iam_policyDocumentVersionListType *versions,
	const char *id, const char *document, bool is_default, struct shape_timestamp created)
{
	struct arena *arena = details->call->arena;
	versions->set = true;
	*ARENA_APPEND(arena, versions->items, versions->count) =
		(struct iam_PolicyVersion){ .document = iam_encode_document(arena, document),
			.version_id = id,
			.is_default_version = some_boolean(is_default),
			.create_date = created };
}

static int add_policy(struct details *details, struct iam_entity *entity, struct error *err)
{
	struct iam_policy_record *record = (void *)entity->record;
	struct iam_policyDocumentVersionListType versions = { 0 };
	struct iam_policy policy;
	int64_t attached, boundaries;
	if (iam_count_attachments(details->call, record->arn, &attached, &boundaries, err))
		return -1;
	for (size_t i = 0; i < record->versions.count; i++) {
		const struct record_policy_version *version = &record->versions.items[i];
		add_version(details, &versions, version->id, version->document,
			text_equal(version->id, record->default_version), version->created);
	}
	iam_policy_of_record(record, &policy);
	add_policy_detail(details, &policy, &versions, attached, boundaries);
	return 0;
}

/* AWS's policies are shown when something in the account has them. */
static int add_managed(struct details *details, const struct iam_managed_policy *managed, struct error *err)
{
	struct iam_policyDocumentVersionListType versions = { 0 };
	struct iam_policy policy;
	int64_t attached, boundaries;
	const char *sort = arena_printf(details->call->arena, "AWSManagedPolicy/%s", managed->name);
	if (details->full || !page_is_ahead(&details->page, sort))
		return 0;
	if (iam_count_attachments(details->call, managed->arn, &attached, &boundaries, err))
		return -1;
	if (attached + boundaries == 0 || !iam_page_take(&details->page, sort, &details->full))
		return 0;
	iam_policy_of_managed(managed, &policy);
	add_version(details, &versions, policy.default_version, managed->document, true, policy.created);
	add_policy_detail(details, &policy, &versions, attached, boundaries);
	return 0;
}

static bool is_wanted(const struct details *details, const char *type)
{
	for (size_t i = 0; i < details->filter->count; i++)
		if (strcmp(details->filter->items[i], type) == 0)
			return true;
	return details->filter->count == 0;
}

static int add_kind(struct details *details, const struct iam_kind *kind, const char *type,
	int (*add)(struct details *details, struct iam_entity *entity, struct error *err), struct error *err)
{
	struct meta_rows rows;
	if (!is_wanted(details, type))
		return 0;
	if (iam_list(details->call, kind, NULL, NULL, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count && !details->full; i++) {
		struct iam_entity entity = iam_entity_of(kind, rows.items[i]);
		const char *sort = arena_printf(details->call->arena, "%s/%s", type, *entity.key);
		if (iam_page_take(&details->page, sort, &details->full) && add(details, &entity, err))
			return -1;
	}
	return 0;
}

int iam_get_account_authorization_details(struct call *call,
	const struct iam_GetAccountAuthorizationDetailsRequest *request,
	struct iam_GetAccountAuthorizationDetailsResponse *result, struct error *err)
{
	struct details details = { .call = call, .filter = &request->filter, .result = result };
	if (iam_page_open(call, request->max_items, request->marker, &details.page, err) ||
		iam_list(call, &iam_groups, NULL, NULL, &details.groups, err))
		return -1;
	result->user_detail_list.set = result->group_detail_list.set = result->role_detail_list.set =
		result->policies.set = true;
	/* in the order of the types' names, which is that of the pages */
	for (size_t i = 0; i < iam_managed_policy_count && is_wanted(&details, "AWSManagedPolicy"); i++)
		if (add_managed(&details, &iam_managed_policies[i], err))
			return -1;
	if (add_kind(&details, &iam_groups, "Group", add_group, err) ||
		add_kind(&details, &iam_policies, "LocalManagedPolicy", add_policy, err) ||
		add_kind(&details, &iam_roles, "Role", add_role, err) ||
		add_kind(&details, &iam_users, "User", add_user, err))
		return -1;
	IAM_PAGE_CLOSE(&details.page, result);
	return 0;
}
