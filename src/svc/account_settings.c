/* Settings of accounts: records whose id is the setting's name. No state; on the thread of the caller. */
#include "svc/account_settings.h"

#include "svc/amid.h"
#include "base/banned.h"

int account_setting_load(struct meta *meta, const char *account, const char *region, const char *id,
	const char *fallback, struct arena *arena, struct account_setting_record **setting, struct error *err)
{
	if (meta_get(meta, &record_account_setting, account, region, id, arena, setting, err))
		return -1;
	if (*setting)
		return 0;
	*setting = arena_alloc(arena, sizeof **setting);
	**setting =
		(struct account_setting_record){ .record = { .account = account, .region = region, .id = id },
			.value = fallback };
	return 0;
}

int account_setting_change(struct call *call, const char *id, const char *value, struct error *err)
{
	struct account_setting_record *setting;
	if (account_setting_load(
		    call->amid->meta, call->account, call->region, id, value, call->arena, &setting, err))
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
