/*
 * Block public access. A setting concerns what is to be made public; permissions that are there stay as they are. Only `block-all-sharing` of snapshots hides what is public, and that is decided where things are looked at
 * (sharing.c).
 *
 * No state; on the thread of the caller.
 */
#include "svc/public_access.h"

#include <string.h>

#include "svc/account_settings.h"
#include "base/banned.h"

#define OF_SNAPSHOTS "snapshot-block-public-access"
#define OF_IMAGES "image-block-public-access"

static int load_of_snapshots(struct meta *meta, const char *account, const char *region, struct arena *arena,
	struct account_setting_record **setting, struct error *err)
{
	return account_setting_load(
		meta, account, region, OF_SNAPSHOTS, PUBLIC_ACCESS_UNBLOCKED, arena, setting, err);
}

/* New accounts are blocked. An account with public images and no setting is older than the setting. */
static int load_of_images(struct meta *meta, const char *account, const char *region, struct arena *arena,
	struct account_setting_record **setting, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = account, .region = region, .index = "public", .value = "true", .limit = 1
	};
	if (account_setting_load(
		    meta, account, region, OF_IMAGES, PUBLIC_ACCESS_BLOCK_NEW, arena, setting, err))
		return -1;
	if ((*setting)->record.version)
		return 0;
	if (meta_list(meta, &record_image, &query, arena, &rows, err))
		return -1;
	if (rows.count || strcmp(account, ACCOUNT_PLATFORM) == 0)
		(*setting)->value = PUBLIC_ACCESS_UNBLOCKED;
	return 0;
}

int snapshot_public_access(struct meta *meta, const char *account, const char *region, struct arena *arena,
	const char **state, struct error *err)
{
	struct account_setting_record *setting;
	if (load_of_snapshots(meta, account, region, arena, &setting, err))
		return -1;
	*state = setting->value;
	return 0;
}

int image_public_access(struct meta *meta, const char *account, const char *region, struct arena *arena,
	const char **state, struct error *err)
{
	struct account_setting_record *setting;
	if (load_of_images(meta, account, region, arena, &setting, err))
		return -1;
	*state = setting->value;
	return 0;
}

int snapshot_public_access_check(struct call *call, struct meta_batch *batch, struct error *err)
{
	struct account_setting_record *setting;
	if (load_of_snapshots(call->amid->meta, call->account, call->region, call->arena, &setting, err))
		return -1;
	if (strcmp(setting->value, PUBLIC_ACCESS_UNBLOCKED) != 0)
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"The snapshot cannot be shared publicly: block public access for snapshots is '%s' for this account in %s.",
			setting->value, call->region);
	meta_batch_expect(batch, &record_account_setting, setting);
	return 0;
}

int image_public_access_check(struct call *call, struct meta_batch *batch, struct error *err)
{
	struct account_setting_record *setting;
	if (load_of_images(call->amid->meta, call->account, call->region, call->arena, &setting, err))
		return -1;
	if (strcmp(setting->value, PUBLIC_ACCESS_UNBLOCKED) != 0)
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"The image cannot be shared publicly: block public access for AMIs is '%s' for this account in %s.",
			setting->value, call->region);
	meta_batch_expect(batch, &record_account_setting, setting);
	return 0;
}

int snapshot_public_access_set(struct call *call, const char *state, struct error *err)
{
	return account_setting_change(call, OF_SNAPSHOTS, state, err);
}

int image_public_access_set(struct call *call, const char *state, struct error *err)
{
	return account_setting_change(call, OF_IMAGES, state, err);
}
