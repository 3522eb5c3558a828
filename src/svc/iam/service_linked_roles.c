/*
 * Roles that belong to a service: CreateServiceLinkedRole, DeleteServiceLinkedRole, GetServiceLinkedRoleDeletionStatus. Name, trust and permissions are the service's; people may delete such a role and
 * describe it. A deletion is done when it is answered, so its task's state follows from the task's id and from whether that role is still there. Runs on the thread of the call.
 */
#include <string.h>

#include "base/text.h"
#include "svc/iam/policies.h"
#include "svc/iam/roles.h"
#include "base/banned.h"

static const struct service_role {
	const char *service, *name, *policy;
	bool suffixes; /* an account may have several, told apart by a suffix */
} service_roles[] = {
	{ "autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling",
		"arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy", true },
	{ "spot.amazonaws.com", "AWSServiceRoleForEC2Spot", NULL, false },
	{ "imagebuilder.amazonaws.com", "AWSServiceRoleForImageBuilder", NULL, false },
	{ "backup.amazonaws.com", "AWSServiceRoleForBackup", NULL, false },
};

static const struct service_role *find_service(const char *service)
{
	for (size_t i = 0; i < sizeof service_roles / sizeof *service_roles; i++)
		if (strcmp(service_roles[i].service, service) == 0)
			return &service_roles[i];
	return NULL;
}

static const char *trust_policy(struct call *call, const char *service)
{
	return arena_printf(call->arena,
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Action\":[\"sts:AssumeRole\"],\"Effect\":\"Allow\","
		"\"Principal\":{\"Service\":[\"%s\"]}}]}",
		service);
}

static int name_role(struct call *call, const struct service_role *service, const char *suffix,
	const char **name, struct error *err)
{
	*name = service->name;
	if (!suffix)
		return 0;
	if (!service->suffixes)
		return error_set(err, ERROR_INVALID, "Custom suffix is not allowed for %s", service->service);
	if (strlen(service->name) + 1 + strlen(suffix) > 64)
		return error_set(err, ERROR_INVALID, "The role's name would be longer than 64 letters.");
	*name = arena_printf(call->arena, "%s_%s", service->name, suffix);
	return 0;
}

int iam_create_service_linked_role(struct call *call,
	const struct iam_CreateServiceLinkedRoleRequest *request,
	struct iam_CreateServiceLinkedRoleResponse *result, struct error *err)
{
	const struct service_role *service = find_service(request->aws_service_name);
	struct iam_role_record role = { 0 };
	struct iam_entity entity = iam_entity_of(&iam_roles, &role);
	const char *name;
	if (!service)
		return error_set(err, ERROR_INVALID,
			"%.128s is not the name of a service that has roles of its own here.",
			request->aws_service_name);
	if (name_role(call, service, request->custom_suffix, &name, err) ||
		iam_check_description(request->description, err))
		return -1;
	const char *path = arena_printf(call->arena, IAM_SERVICE_ROLE_PATH "%s/", service->service);
	if (iam_begin(call, &iam_roles, name, path, &role, err)) {
		if (err->code == ERROR_ENTITY_EXISTS)
			error_set(err, ERROR_INVALID,
				"Service role name %s has been taken in this account, please try a different suffix.",
				name);
		return -1;
	}
	role.trust_policy = trust_policy(call, service->service);
	role.description = request->description;
	role.max_session_seconds = some_integer(3600);
	if (service->policy) {
		*ARENA_APPEND(call->arena, role.attached_policies.items, role.attached_policies.count) =
			service->policy;
		role.attached_policies.set = true;
	}
	if (iam_store(call, &entity, err))
		return -1;
	result->role = arena_alloc(call->arena, sizeof *result->role);
	return iam_show_role(call, &role, result->role, err);
}

int iam_delete_service_linked_role(struct call *call,
	const struct iam_DeleteServiceLinkedRoleRequest *request,
	struct iam_DeleteServiceLinkedRoleResponse *result, struct error *err)
{
	struct iam_entity role;
	if (iam_find(call, &iam_roles, request->role_name, &role, err))
		return -1;
	if (!text_starts_with(*role.path, IAM_SERVICE_ROLE_PATH))
		return error_set(err, ERROR_INVALID, "The role %s is not a service-linked role.", *role.name);
	if (iam_check_role_unused(call, &role, err))
		return -1;
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_iam_role, role.record);
	if (iam_commit(call, batch, err))
		return -1;
	result->deletion_task_id =
		arena_printf(call->arena, "task%s%s/%s", *role.path, *role.name, role.record->id);
	return 0;
}

int iam_get_service_linked_role_deletion_status(struct call *call,
	const struct iam_GetServiceLinkedRoleDeletionStatusRequest *request,
	struct iam_GetServiceLinkedRoleDeletionStatusResponse *result, struct error *err)
{
	const char *id = strrchr(request->deletion_task_id, '/');
	struct iam_entity role;
	if (!id || !text_starts_with(request->deletion_task_id, "task" IAM_SERVICE_ROLE_PATH) ||
		!text_starts_with(id + 1, iam_roles.id_prefix) || strlen(id + 1) != 21)
		return error_set(err, ERROR_NO_SUCH_ENTITY, "There is no deletion task %.200s.",
			request->deletion_task_id);
	if (iam_find_id(call, &iam_roles, id + 1, &role, err))
		return -1;
	result->status = role.record ? "NOT_STARTED" : "SUCCEEDED";
	return 0;
}
