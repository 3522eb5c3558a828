/* Aliases: names of keys within an account and region. Who changes one needs the permission on the alias (IAM) and on each key that is concerned. Runs on the thread of the call. */
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

enum { ALIASES_MAX = 50 };

static int check_name(const char *name, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/_-";
	if (!text_starts_with(name, "alias/"))
		return error_set(
			err, ERROR_KMS_INVALID_ALIAS_NAME, "Alias must start with the prefix \"alias/\".");
	if (!name[strlen("alias/")] || name[strspn(name, allowed)])
		return error_set(err, ERROR_KMS_INVALID_ALIAS_NAME,
			"The alias '%.256s' may have letters, digits, ':', '/', '_' and '-' only.", name);
	if (text_starts_with(name, "alias/aws/"))
		return error_set(err, ERROR_KMS_INVALID_ALIAS_NAME,
			"Aliases that begin with alias/aws/ are reserved.");
	return 0;
}

static char *alias_arn(struct call *call, const char *name)
{
	struct record place = { .account = call->account, .region = call->region };
	return kms_arn(call->arena, &place, name);
}

static int count_aliases(
	struct call *call, const struct kms_key_record *key, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = key->record.account,
		.region = key->record.region,
		.index = "key",
		.value = key->record.id };
	return meta_list(call->amid->meta, &record_kms_alias, &query, call->arena, rows, err);
}

/* The key that an alias is to name. */
static int find_target(
	struct call *call, const char *name, const char *action, struct kms_key *key, struct error *err)
{
	struct meta_rows aliases;
	if (kms_find_key(call, name, KMS_BY_ID, key, err) || kms_permit_action(call, key, action, err) ||
		kms_check_customer(key, err) || kms_check_not_pending(key, err) ||
		count_aliases(call, key->record, &aliases, err))
		return -1;
	if (aliases.count >= ALIASES_MAX)
		return error_set(
			err, ERROR_KMS_LIMIT_EXCEEDED, "%s has %d aliases already.", key->arn, ALIASES_MAX);
	return 0;
}

int kms_create_alias(struct call *call, const struct kms_CreateAliasRequest *request,
	struct kms_CreateAliasResult *result, struct error *err)
{
	struct kms_key key;
	const char *arn = alias_arn(call, request->alias_name);
	(void)result;
	if (check_name(request->alias_name, err) || kms_permit_plain(call, "CreateAlias", arn, NULL, err) ||
		find_target(call, request->target_key_id, "CreateAlias", &key, err))
		return -1;
	struct kms_alias_record alias = {
		.record = { .account = call->account, .region = call->region, .id = request->alias_name },
		.key = key.record->record.id,
		.created = some_timestamp(clock_now_ms())
	};
	alias.updated = alias.created;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_expect(batch, &record_kms_key, key.record);
	meta_batch_put(batch, &record_kms_alias, &alias);
	if (meta_commit(call->amid->meta, batch, err) == 0)
		return 0;
	if (err->code == ERROR_DUPLICATE)
		error_set(err, ERROR_KMS_ALREADY_EXISTS, "An alias with the name %.300s already exists", arn);
	return -1;
}

/* The caller's alias, with the permission for it and for the key that it names now. */
static int find_alias(struct call *call, const char *name, const char *action,
	struct kms_alias_record **alias, struct kms_key *key, struct error *err)
{
	const char *arn = alias_arn(call, name);
	*key = (struct kms_key){ 0 };
	if (check_name(name, err) || kms_permit_plain(call, action, arn, NULL, err) ||
		meta_get(call->amid->meta, &record_kms_alias, call->account, call->region, name, call->arena,
			alias, err))
		return -1;
	if (!*alias)
		return error_set(err, ERROR_KMS_NOT_FOUND, "Alias %.300s is not found.", arn);
	return kms_find_key(call, (*alias)->key, KMS_BY_ID, key, err) ||
			kms_permit_action(call, key, action, err)
		? -1
		: 0;
}

int kms_update_alias(struct call *call, const struct kms_UpdateAliasRequest *request,
	struct kms_UpdateAliasResult *result, struct error *err)
{
	struct kms_alias_record *alias;
	struct kms_key now, key;
	(void)result;
	if (find_alias(call, request->alias_name, "UpdateAlias", &alias, &now, err) ||
		find_target(call, request->target_key_id, "UpdateAlias", &key, err))
		return -1;
	if (strcmp(now.record->usage, key.record->usage) != 0 ||
		kms_find_spec(now.record->spec)->family != kms_find_spec(key.record->spec)->family)
		return error_set(err, ERROR_VALIDATION,
			"The alias can only name a key of the same type and usage: %s, %s", now.record->spec,
			now.record->usage);
	alias->key = key.record->record.id;
	alias->updated = some_timestamp(clock_now_ms());
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_expect(batch, &record_kms_key, key.record);
	meta_batch_put(batch, &record_kms_alias, alias);
	return meta_commit(call->amid->meta, batch, err);
}

int kms_delete_alias(struct call *call, const struct kms_DeleteAliasRequest *request,
	struct kms_DeleteAliasResult *result, struct error *err)
{
	struct kms_alias_record *alias;
	struct kms_key key;
	(void)result;
	if (find_alias(call, request->alias_name, "DeleteAlias", &alias, &key, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_delete(batch, &record_kms_alias, alias);
	return meta_commit(call->amid->meta, batch, err);
}

int kms_list_aliases(struct call *call, const struct kms_ListAliasesRequest *request,
	struct kms_ListAliasesResponse *result, struct error *err)
{
	struct page page;
	struct meta_rows rows;
	struct kms_key key = { 0 };
	if (kms_page_open(call, request->limit, request->marker, &page, err) ||
		(request->key_id && kms_find_key(call, request->key_id, KMS_BY_ID, &key, err)))
		return -1;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = key.record ? "key" : NULL,
		.value = key.record ? key.record->record.id : NULL,
		.after_id = page.after };
	if (meta_list(call->amid->meta, &record_kms_alias, &query, call->arena, &rows, err))
		return -1;
	result->aliases.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const struct kms_alias_record *alias = rows.items[i];
		if (!page_take(&page, alias->record.id))
			break;
		*ARENA_APPEND(call->arena, result->aliases.items, result->aliases.count) =
			(struct kms_AliasListEntry){ .alias_name = alias->record.id,
				.alias_arn = alias_arn(call, alias->record.id),
				.target_key_id = alias->key,
				.creation_date = alias->created,
				.last_updated_date = alias->updated };
	}
	result->next_marker = page_close(&page);
	result->truncated = some_boolean(result->next_marker != NULL);
	return 0;
}
