/*
 * CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey, GetAccessKeyLastUsed. A key belongs to a user (`user` is its name) or to the account's root (no `user`). Runs on the thread of
 * the call.
 */
#include "svc/iam/access_keys.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/secret.h"
#include "svc/last_use.h"
#include "base/banned.h"

enum { SECRET_SIZE = 30 /* bytes; 40 letters of Base64 */ };

static int seal_secret(
	struct call *call, const char *secret, struct access_key_record *key, struct error *err)
{
	char *sealed;
	const char *purpose = arena_printf(call->arena, "access-key:%s", key->record.id);
	if (secret_seal(call->amid, purpose, secret, strlen(secret), call->arena, &sealed, err))
		return -1;
	key->sealed_secret = sealed;
	return 0;
}

int iam_keys_of(
	struct call *call, const struct iam_user_record *user, struct meta_rows *keys, struct error *err)
{
	struct meta_rows rows = { 0 };
	struct meta_query query = {
		.account = call->account, .region = "", .index = "user", .value = user->name
	};
	*keys = (struct meta_rows){ 0 };
	if (meta_list(call->amid->meta, &record_access_key, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) /* names are used again, ids are not */
		if (text_equal(((struct access_key_record *)rows.items[i])->principal_id, user->record.id))
			*ARENA_APPEND(call->arena, keys->items, keys->count) = rows.items[i];
	return 0;
}

static int keys_of_root(struct call *call, struct meta_rows *keys, struct error *err)
{
	const char *root = arena_printf(call->arena, "arn:aws:iam::%s:root", call->account);
	struct meta_query query = {
		.account = call->account, .region = "", .index = "principal_arn", .value = root
	};
	*keys = (struct meta_rows){ 0 };
	return meta_list(call->amid->meta, &record_access_key, &query, call->arena, keys, err);
}

static int keys_of(
	struct call *call, const struct iam_user_record *user, struct meta_rows *keys, struct error *err)
{
	return user ? iam_keys_of(call, user, keys, err) : keys_of_root(call, keys, err);
}

void iam_rename_keys(struct call *call, const struct meta_rows *keys, const struct iam_entity *user,
	struct meta_batch *batch)
{
	for (size_t i = 0; i < keys->count; i++) {
		struct access_key_record *key = keys->items[i];
		key->user = *user->name;
		key->principal_arn = iam_arn(call, user);
		meta_batch_put(batch, &record_access_key, key);
	}
}

static void describe_owner(struct call *call, struct iam_user_record *user, struct access_key_record *key)
{
	if (user) {
		struct iam_entity entity = iam_entity_of(&iam_users, user);
		key->user = user->name;
		key->principal_arn = iam_arn(call, &entity);
		key->principal_id = user->record.id;
	} else {
		key->principal_arn = arena_printf(call->arena, "arn:aws:iam::%s:root", call->account);
		key->principal_id = call->account;
	}
}

/* The owner's record is put as well: two keys made at once, or one made while its user is deleted, meet a conflict. */
static int touch_owner(
	struct call *call, struct iam_user_record *user, struct meta_batch *batch, struct error *err)
{
	struct account_record *account;
	if (user) {
		meta_batch_put(batch, &record_iam_user, user);
		return 0;
	}
	if (meta_get(call->amid->meta, &record_account, "", "", call->account, call->arena, &account, err))
		return -1;
	if (account)
		meta_batch_put(batch, &record_account, account);
	return 0;
}

int iam_create_access_key(struct call *call, const struct iam_CreateAccessKeyRequest *request,
	struct iam_CreateAccessKeyResponse *result, struct error *err)
{
	struct iam_user_record *user;
	struct meta_rows keys;
	uint8_t random[SECRET_SIZE];
	struct meta_batch *batch = iam_batch(call);
	if (iam_find_user_or_caller(call, request->user_name, &user, err) ||
		keys_of(call, user, &keys, err) || touch_owner(call, user, batch, err))
		return -1;
	if (keys.count >= IAM_KEYS_OF_USER_MAX)
		return error_set(err, ERROR_LIMIT_EXCEEDED, "Cannot exceed quota for AccessKeysPerUser: %d",
			IAM_KEYS_OF_USER_MAX);
	char *id = iam_make_id(call->arena, "AKIA");
	id[20] = '\0'; /* AKIA and 16 */
	text_random_bytes(random, sizeof random);
	const char *secret = text_base64(call->arena, random, sizeof random);
	struct access_key_record key = {
		.record = { .account = call->account, .region = "", .id = id },
		.status = "Active",
		.created = some_timestamp(clock_now_ms() / 1000 * 1000),
	};
	describe_owner(call, user, &key);
	if (seal_secret(call, secret, &key, err))
		return -1;
	meta_batch_put(batch, &record_access_key, &key);
	if (iam_commit(call, batch, err))
		return -1;
	result->access_key = arena_alloc(call->arena, sizeof *result->access_key);
	*result->access_key = (struct iam_AccessKey){ .user_name = key.user,
		.access_key_id = id,
		.status = key.status,
		.secret_access_key = secret,
		.create_date = key.created };
	return 0;
}

int iam_list_access_keys(struct call *call, const struct iam_ListAccessKeysRequest *request,
	struct iam_ListAccessKeysResponse *result, struct error *err)
{
	struct iam_user_record *user;
	struct meta_rows keys;
	struct page page;
	bool full = false;
	if (iam_page_open(call, request->max_items, request->marker, &page, err) ||
		iam_find_user_or_caller(call, request->user_name, &user, err) ||
		keys_of(call, user, &keys, err))
		return -1;
	result->access_key_metadata.set = true;
	for (size_t i = 0; i < keys.count && !full; i++) {
		const struct access_key_record *key = keys.items[i];
		if (iam_page_take(&page, key->record.id, &full))
			*ARENA_APPEND(call->arena, result->access_key_metadata.items,
				result->access_key_metadata.count) =
				(struct iam_AccessKeyMetadata){ .user_name = key->user,
					.access_key_id = key->record.id,
					.status = key->status,
					.create_date = key->created };
	}
	IAM_PAGE_CLOSE(&page, result);
	return 0;
}

static int find_key(struct call *call, const char *user_name, const char *id, struct access_key_record **key,
	struct error *err)
{
	struct iam_user_record *user;
	if (iam_find_user_or_caller(call, user_name, &user, err) ||
		meta_get(call->amid->meta, &record_access_key, call->account, "", id, call->arena, key, err))
		return -1;
	if (*key && text_equal((*key)->principal_id, user ? user->record.id : call->account))
		return 0;
	return error_set(err, ERROR_NO_SUCH_ENTITY, "The Access Key with id %.128s cannot be found.", id);
}

int iam_update_access_key(struct call *call, const struct iam_UpdateAccessKeyRequest *request,
	struct iam_UpdateAccessKeyResult *result, struct error *err)
{
	struct access_key_record *key;
	(void)result;
	if (strcmp(request->status, "Expired") == 0)
		return error_set(err, ERROR_VALIDATION_QUERY,
			"Value 'Expired' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]");
	if (find_key(call, request->user_name, request->access_key_id, &key, err))
		return -1;
	key->status = request->status;
	struct meta_batch *batch = iam_batch(call);
	meta_batch_put(batch, &record_access_key, key);
	return iam_commit(call, batch, err);
}

int iam_delete_access_key(struct call *call, const struct iam_DeleteAccessKeyRequest *request,
	struct iam_DeleteAccessKeyResult *result, struct error *err)
{
	struct access_key_record *key;
	(void)result;
	if (find_key(call, request->user_name, request->access_key_id, &key, err))
		return -1;
	struct meta_batch *batch = iam_batch(call);
	meta_batch_delete(batch, &record_access_key, key);
	return iam_commit(call, batch, err);
}

/* Of a key of the caller's account; without a date it says N/A for the rest, as AWS does. */
int iam_get_access_key_last_used(struct call *call, const struct iam_GetAccessKeyLastUsedRequest *request,
	struct iam_GetAccessKeyLastUsedResponse *result, struct error *err)
{
	struct access_key_record *key;
	struct last_use use;
	if (meta_get(call->amid->meta, &record_access_key, call->account, "", request->access_key_id,
		    call->arena, &key, err))
		return -1;
	if (!key)
		return error_set(err, ERROR_NO_SUCH_ENTITY, "The Access Key with id %.128s cannot be found.",
			request->access_key_id);
	if (last_use_find(call->amid->last_uses, &record_access_key, key->record.id, &use)) {
		key->last_used = some_timestamp(use.time_ms);
		key->last_used_service = arena_strdup(call->arena, use.service);
		key->last_used_region = arena_strdup(call->arena, use.region);
	}
	result->user_name = key->user;
	result->access_key_last_used = arena_alloc(call->arena, sizeof *result->access_key_last_used);
	*result->access_key_last_used = (struct iam_AccessKeyLastUsed){ .last_used_date = key->last_used,
		.service_name = key->last_used.set && key->last_used_service ? key->last_used_service : "N/A",
		.region = key->last_used.set && key->last_used_region ? key->last_used_region : "N/A" };
	return 0;
}
