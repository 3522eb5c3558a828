/* Roles and their trust policies. Runs on the thread of the call. */
#include "svc/iam/roles.h"

#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "svc/policy_principals.h"
#include "base/banned.h"

enum { SESSION_SECONDS = 3600 };

/* What is stored names users and roles by their ids. */
static int read_trust_policy(
	struct call *call, const char *document, const char **trust_policy, struct error *err)
{
	if (iam_check_document(POLICY_TRUST, document, err))
		return -1;
	if (iam_document_size(document) > IAM_TRUST_SIZE)
		return error_set(err, ERROR_LIMIT_EXCEEDED, "Cannot exceed quota for ACLSizePerRole: %d",
			IAM_TRUST_SIZE);
	return policy_principals_keep(call->amid, call->arena, document, trust_policy, err);
}

/* Printable Latin text, tabs and line ends. */
int iam_check_description(const char *description, struct error *err)
{
	for (const char *c = description ? description : ""; *c; c++)
		if ((unsigned char)*c < ' ' && !strchr("\t\n\r", *c))
			return error_set(err, ERROR_VALIDATION_QUERY,
				"The specified value for description is invalid. It must contain only printable characters.");
	return 0;
}

int iam_create_role(struct call *call, const struct iam_CreateRoleRequest *request,
	struct iam_CreateRoleResponse *result, struct error *err)
{
	struct iam_role_record role = { 0 };
	struct iam_entity entity = iam_entity_of(&iam_roles, &role);
	struct meta_batch *batch = iam_batch(call);
	if (request->path && text_starts_with(request->path, IAM_SERVICE_ROLE_PATH))
		return error_set(err, ERROR_VALIDATION_QUERY,
			"Roles under the path %s are made by CreateServiceLinkedRole.",
			IAM_SERVICE_ROLE_PATH);
	if (iam_begin(call, &iam_roles, request->role_name, request->path, &role, err) ||
		read_trust_policy(call, request->assume_role_policy_document, &role.trust_policy, err) ||
		iam_check_description(request->description, err) ||
		iam_add_tags(call, &request->tags, &role.tags, err) ||
		(request->permissions_boundary &&
			iam_set_boundary(call, &entity, request->permissions_boundary, batch, err)))
		return -1;
	role.description = request->description;
	role.max_session_seconds = some_integer(integer_or(request->max_session_duration, SESSION_SECONDS));
	iam_touch(batch, &entity);
	if (iam_commit(call, batch, err))
		return -1;
	result->role = arena_alloc(call->arena, sizeof *result->role);
	return iam_show_role(call, &role, result->role, err);
}

int iam_get_role(struct call *call, const struct iam_GetRoleRequest *request,
	struct iam_GetRoleResponse *result, struct error *err)
{
	struct iam_entity role;
	if (iam_find(call, &iam_roles, request->role_name, &role, err))
		return -1;
	result->role = arena_alloc(call->arena, sizeof *result->role);
	return iam_show_role(call, (void *)role.record, result->role, err);
}

int iam_list_roles(struct call *call, const struct iam_ListRolesRequest *request,
	struct iam_ListRolesResponse *result, struct error *err)
{
	struct meta_rows rows;
	struct page page;
	bool full = false;
	if (iam_check_path_prefix(request->path_prefix, err) ||
		iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_list(call, &iam_roles, NULL, NULL, &rows, err))
		return -1;
	result->roles.set = true;
	for (size_t i = 0; i < rows.count && !full; i++) {
		struct iam_role_record *role = rows.items[i];
		if (request->path_prefix && !text_starts_with(role->path, request->path_prefix))
			continue;
		if (!iam_page_take(&page, role->key, &full))
			continue;
		struct iam_Role *shown = ARENA_APPEND(call->arena, result->roles.items, result->roles.count);
		if (iam_show_role(call, role, shown, err))
			return -1;
		/* lists leave these out */
		shown->tags.set = false;
		shown->permissions_boundary = NULL;
		shown->role_last_used = NULL;
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

int iam_update_assume_role_policy(struct call *call, const struct iam_UpdateAssumeRolePolicyRequest *request,
	struct iam_UpdateAssumeRolePolicyResult *result, struct error *err)
{
	struct iam_entity role;
	(void)result;
	if (iam_find(call, &iam_roles, request->role_name, &role, err) || iam_check_modifiable(&role, err))
		return -1;
	struct iam_role_record *record = (void *)role.record;
	if (read_trust_policy(call, request->policy_document, &record->trust_policy, err))
		return -1;
	return iam_store(call, &role, err);
}

static int update_role(struct call *call, const char *name, const char *description,
	struct shape_integer session_seconds, struct iam_entity *role, struct error *err)
{
	if (iam_find(call, &iam_roles, name, role, err) || iam_check_description(description, err))
		return -1;
	struct iam_role_record *record = (void *)role->record;
	if (session_seconds.set && iam_check_modifiable(role, err))
		return -1;
	if (description)
		record->description = description;
	if (session_seconds.set)
		record->max_session_seconds = session_seconds;
	return iam_store(call, role, err);
}

int iam_update_role(struct call *call, const struct iam_UpdateRoleRequest *request,
	struct iam_UpdateRoleResponse *result, struct error *err)
{
	struct iam_entity role;
	(void)result;
	return update_role(
		call, request->role_name, request->description, request->max_session_duration, &role, err);
}

int iam_update_role_description(struct call *call, const struct iam_UpdateRoleDescriptionRequest *request,
	struct iam_UpdateRoleDescriptionResponse *result, struct error *err)
{
	struct iam_entity role;
	if (update_role(
		    call, request->role_name, request->description, (struct shape_integer){ 0 }, &role, err))
		return -1;
	result->role = arena_alloc(call->arena, sizeof *result->role);
	return iam_show_role(call, (void *)role.record, result->role, err);
}

int iam_check_role_unused(struct call *call, const struct iam_entity *role, struct error *err)
{
	struct meta_rows profiles;
	if (iam_list(call, &iam_profiles, "role", role->record->id, &profiles, err))
		return -1;
	if (profiles.count)
		return error_set(err, ERROR_DELETE_CONFLICT,
			"Cannot delete entity, must remove roles from instance profile first.");
	return 0;
}

int iam_delete_role(struct call *call, const struct iam_DeleteRoleRequest *request,
	struct iam_DeleteRoleResult *result, struct error *err)
{
	struct iam_entity role;
	(void)result;
	if (iam_find(call, &iam_roles, request->role_name, &role, err) || iam_check_modifiable(&role, err) ||
		iam_check_role_unused(call, &role, err) || iam_check_bare(&role, err))
		return -1;
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_iam_role, role.record);
	return iam_commit(call, batch, err);
}
