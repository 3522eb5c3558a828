/* The settings of block public access: EnableImageBlockPublicAccess, EnableSnapshotBlockPublicAccess and the like. What they do: ../public_access.h. */
#include <string.h>

#include "svc/public_access.h"
#include "base/banned.h"

int ec2_enable_snapshot_block_public_access(struct call *call,
	const struct ec2_EnableSnapshotBlockPublicAccessRequest *request,
	struct ec2_EnableSnapshotBlockPublicAccessResult *result, struct error *err)
{
	if (strcmp(request->state, PUBLIC_ACCESS_UNBLOCKED) == 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (" PUBLIC_ACCESS_UNBLOCKED
			") for parameter State is invalid. It must be block-all-sharing or block-new-sharing.");
	result->state = request->state;
	return snapshot_public_access_set(call, request->state, err);
}

int ec2_disable_snapshot_block_public_access(struct call *call,
	const struct ec2_DisableSnapshotBlockPublicAccessRequest *request,
	struct ec2_DisableSnapshotBlockPublicAccessResult *result, struct error *err)
{
	(void)request;
	result->state = PUBLIC_ACCESS_UNBLOCKED;
	return snapshot_public_access_set(call, PUBLIC_ACCESS_UNBLOCKED, err);
}

int ec2_get_snapshot_block_public_access_state(struct call *call,
	const struct ec2_GetSnapshotBlockPublicAccessStateRequest *request,
	struct ec2_GetSnapshotBlockPublicAccessStateResult *result, struct error *err)
{
	(void)request;
	result->managed_by = "account";
	return snapshot_public_access(
		call->amid->meta, call->account, call->region, call->arena, &result->state, err);
}

int ec2_enable_image_block_public_access(struct call *call,
	const struct ec2_EnableImageBlockPublicAccessRequest *request,
	struct ec2_EnableImageBlockPublicAccessResult *result, struct error *err)
{
	result->image_block_public_access_state = request->image_block_public_access_state;
	return image_public_access_set(call, request->image_block_public_access_state, err);
}

int ec2_disable_image_block_public_access(struct call *call,
	const struct ec2_DisableImageBlockPublicAccessRequest *request,
	struct ec2_DisableImageBlockPublicAccessResult *result, struct error *err)
{
	(void)request;
	result->image_block_public_access_state = PUBLIC_ACCESS_UNBLOCKED;
	return image_public_access_set(call, PUBLIC_ACCESS_UNBLOCKED, err);
}

int ec2_get_image_block_public_access_state(struct call *call,
	const struct ec2_GetImageBlockPublicAccessStateRequest *request,
	struct ec2_GetImageBlockPublicAccessStateResult *result, struct error *err)
{
	(void)request;
	result->managed_by = "account";
	return image_public_access(call->amid->meta, call->account, call->region, call->arena,
		&result->image_block_public_access_state, err);
}
