/* Instance profiles: a name under which an instance is given a role. The record has the role's id. Runs on the thread of the call. */
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

int iam_create_instance_profile(struct call *call, const struct iam_CreateInstanceProfileRequest *request,
	struct iam_CreateInstanceProfileResponse *result, struct error *err)
{
	struct instance_profile_record profile = { 0 };
	struct iam_entity entity = iam_entity_of(&iam_profiles, &profile);
	if (iam_begin(call, &iam_profiles, request->instance_profile_name, request->path, &profile, err) ||
		iam_add_tags(call, &request->tags, &profile.tags, err) || iam_store(call, &entity, err))
		return -1;
	result->instance_profile = arena_alloc(call->arena, sizeof *result->instance_profile);
	return iam_show_profile(call, &profile, result->instance_profile, err);
}

int iam_get_instance_profile(struct call *call, const struct iam_GetInstanceProfileRequest *request,
	struct iam_GetInstanceProfileResponse *result, struct error *err)
{
	struct iam_entity profile;
	if (iam_find(call, &iam_profiles, request->instance_profile_name, &profile, err))
		return -1;
	result->instance_profile = arena_alloc(call->arena, sizeof *result->instance_profile);
	return iam_show_profile(call, (void *)profile.record, result->instance_profile, err);
}

int iam_delete_instance_profile(struct call *call, const struct iam_DeleteInstanceProfileRequest *request,
	struct iam_DeleteInstanceProfileResult *result, struct error *err)
{
	struct iam_entity profile;
	(void)result;
	if (iam_find(call, &iam_profiles, request->instance_profile_name, &profile, err))
		return -1;
	if (((struct instance_profile_record *)(void *)profile.record)->role)
		return error_set(err, ERROR_DELETE_CONFLICT,
			"Cannot delete entity, must remove roles from instance profile first.");
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_instance_profile, profile.record);
	return iam_commit(call, batch, err);
}

int iam_add_role_to_instance_profile(struct call *call,
	const struct iam_AddRoleToInstanceProfileRequest *request,
	struct iam_AddRoleToInstanceProfileResult *result, struct error *err)
{
	struct iam_entity entity, role;
	(void)result;
	if (iam_find(call, &iam_profiles, request->instance_profile_name, &entity, err) ||
		iam_find(call, &iam_roles, request->role_name, &role, err) ||
		iam_check_modifiable(&role, err))
		return -1;
	struct instance_profile_record *profile = (void *)entity.record;
	if (profile->role)
		return error_set(err, ERROR_LIMIT_EXCEEDED,
			"Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
	profile->role = role.record->id;
	struct meta_batch *batch = iam_batch(call);
	iam_touch(batch, &entity);
	iam_touch(batch, &role);
	return iam_commit(call, batch, err);
}

int iam_remove_role_from_instance_profile(struct call *call,
	const struct iam_RemoveRoleFromInstanceProfileRequest *request,
	struct iam_RemoveRoleFromInstanceProfileResult *result, struct error *err)
{
	struct iam_entity entity, role;
	(void)result;
	if (iam_find(call, &iam_profiles, request->instance_profile_name, &entity, err) ||
		iam_find(call, &iam_roles, request->role_name, &role, err))
		return -1;
	struct instance_profile_record *profile = (void *)entity.record;
	if (!text_equal(profile->role, role.record->id))
		return error_set(err, ERROR_NO_SUCH_ENTITY,
			"The role with name %s is not in the instance profile %s.", request->role_name,
			request->instance_profile_name);
	profile->role = NULL;
	return iam_store(call, &entity, err);
}

static int list_profiles(struct call *call, const char *prefix, const char *role, struct page *page,
	struct iam_instanceProfileListType *shown, struct error *err)
{
	struct meta_rows rows;
	bool full = false;
	if (iam_check_path_prefix(prefix, err) ||
		iam_list(call, &iam_profiles, role ? "role" : NULL, role, &rows, err))
		return -1;
	shown->set = true;
	for (size_t i = 0; i < rows.count && !full; i++) {
		struct instance_profile_record *profile = rows.items[i];
		if (prefix && !text_starts_with(profile->path, prefix))
			continue;
		if (!iam_page_take(page, profile->key, &full))
			continue;
		struct iam_InstanceProfile *item = ARENA_APPEND(call->arena, shown->items, shown->count);
		if (iam_show_profile(call, profile, item, err))
			return -1;
		item->tags.set = false; /* lists leave them out */
	}
	return 0;
}

int iam_list_instance_profiles(struct call *call, const struct iam_ListInstanceProfilesRequest *request,
	struct iam_ListInstanceProfilesResponse *result, struct error *err)
{
	struct page page;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		list_profiles(call, request->path_prefix, NULL, &page, &result->instance_profiles, err))
		return -1;
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

int iam_list_instance_profiles_for_role(struct call *call,
	const struct iam_ListInstanceProfilesForRoleRequest *request,
	struct iam_ListInstanceProfilesForRoleResponse *result, struct error *err)
{
	struct page page;
	struct iam_entity role;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_find(call, &iam_roles, request->role_name, &role, err) ||
		list_profiles(call, NULL, role.record->id, &page, &result->instance_profiles, err))
		return -1;
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}
