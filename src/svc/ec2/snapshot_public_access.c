/*
 * EnableSnapshotBlockPublicAccess, DisableSnapshotBlockPublicAccess, GetSnapshotBlockPublicAccessState. The setting is a record of the account and region. Permissions of snapshots are left as they are: those that are
 * public are not seen by others while all sharing is blocked.
 */
#include "svc/ec2/snapshot_public_access.h"

#include <string.h>

#include "base/banned.h"

#define SETTING "snapshot-block-public-access"
#define UNBLOCKED "unblocked"

static int load(struct call *call, const char *account, const char *region,
	struct account_setting_record **setting, struct error *err)
{
	if (meta_get(call->amid->meta, &record_account_setting, account, region, SETTING, call->arena,
		    setting, err))
		return -1;
	if (*setting)
		return 0;
	*setting = arena_alloc(call->arena, sizeof **setting);
	**setting = (struct account_setting_record){
		.record = { .account = account, .region = region, .id = SETTING }, .value = UNBLOCKED
	};
	return 0;
}

int snapshot_public_access(
	struct call *call, const char *account, const char *region, const char **state, struct error *err)
{
	struct account_setting_record *setting;
	if (load(call, account, region, &setting, err))
		return -1;
	*state = setting->value;
	return 0;
}

int snapshot_public_access_check(struct call *call, struct meta_batch *batch, struct error *err)
{
	struct account_setting_record *setting;
	if (load(call, call->account, call->region, &setting, err))
		return -1;
	if (strcmp(setting->value, UNBLOCKED) != 0)
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"The snapshot cannot be shared publicly: block public access for snapshots is '%s' for this account in %s.",
			setting->value, call->region);
	meta_batch_expect(batch, &record_account_setting, setting);
	return 0;
}

static int change(struct call *call, const char *value, struct error *err)
{
	struct account_setting_record *setting;
	if (load(call, call->account, call->region, &setting, err))
		return -1;
	setting->value = value;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_account_setting, setting);
	if (meta_commit(call->amid->meta, batch, err) == 0)
		return 0;
	if (err->code == ERROR_DUPLICATE) /* another call has made the record since: run again */
		err->code = ERROR_CONFLICT;
	return -1;
}

int ec2_enable_snapshot_block_public_access(struct call *call,
	const struct ec2_EnableSnapshotBlockPublicAccessRequest *request,
	struct ec2_EnableSnapshotBlockPublicAccessResult *result, struct error *err)
{
	if (strcmp(request->state, UNBLOCKED) == 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (" UNBLOCKED
			") for parameter State is invalid. It must be block-all-sharing or block-new-sharing.");
	result->state = request->state;
	return change(call, request->state, err);
}

int ec2_disable_snapshot_block_public_access(struct call *call,
	const struct ec2_DisableSnapshotBlockPublicAccessRequest *request,
	struct ec2_DisableSnapshotBlockPublicAccessResult *result, struct error *err)
{
	(void)request;
	result->state = UNBLOCKED;
	return change(call, UNBLOCKED, err);
}

int ec2_get_snapshot_block_public_access_state(struct call *call,
	const struct ec2_GetSnapshotBlockPublicAccessStateRequest *request,
	struct ec2_GetSnapshotBlockPublicAccessStateResult *result, struct error *err)
{
	(void)request;
	result->managed_by = "account";
	return snapshot_public_access(call, call->account, call->region, &result->state, err);
}
