/*
 * Access keys of roots, made and taken away by the operator: for an account whose key got lost. Each change puts the account's record as well, so that changes of one account's keys come one after the other, and what was counted
 * still holds. Runs on the thread of the call.
 */
#include "svc/root_keys.h"

#include <string.h>

#include "api/records.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/accounts.h"
#include "base/banned.h"

enum { KEYS_MAX = 2, TRIES = 8 };

struct change {
	struct call *call;
	const char *account_id;
	const char *revoke; /* NULL: a key is to be made */
	struct account_record *account;
	struct account_made made;
};

/* Those of users stay out. */
static int list(struct call *call, const char *account, struct access_key_record ***keys, size_t *count,
	struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = account };
	*keys = NULL;
	*count = 0;
	if (meta_list(call->amid->meta, &record_access_key, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct access_key_record *key = rows.items[i];
		if (text_equal(key->principal_id, account))
			*ARENA_APPEND(call->arena, *keys, *count) = key;
	}
	return 0;
}

int root_keys_list(struct call *call, const char *account, json_t **result, struct error *err)
{
	struct access_key_record **keys;
	size_t count;
	if (list(call, account, &keys, &count, err))
		return -1;
	*result = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(*result, json_string(keys[i]->record.id));
	return 0;
}

static int add(struct change *change, struct meta_batch *batch, struct access_key_record **keys, size_t count,
	struct error *err)
{
	if (count >= KEYS_MAX)
		return error_set(err, ERROR_LIMIT_EXCEEDED,
			"The root of account %s has %zu keys already (%s, %s): revoke one of them first.",
			change->account_id, count, keys[0]->record.id, keys[1]->record.id);
	return accounts_put_root_key(
		change->call->amid, batch, change->account_id, change->call->arena, &change->made, err);
}

/* The one that signs this call stays: the operator would be locked out. */
static int take_away(struct change *change, struct meta_batch *batch, struct access_key_record **keys,
	size_t count, struct error *err)
{
	if (text_equal(change->call->principal->access_key_id, change->revoke))
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"The key %.64s signs this very call; it cannot be revoked by itself.",
			change->revoke);
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i]->record.id, change->revoke) == 0) {
			meta_batch_delete(batch, &record_access_key, keys[i]);
			return 0;
		}
	return error_set(err, ERROR_NOT_FOUND, "The root of account %s has no key %.64s.", change->account_id,
		change->revoke);
}

static int apply(struct change *change, struct error *err)
{
	struct call *call = change->call;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	struct access_key_record **keys;
	size_t count;
	if (meta_get(call->amid->meta, &record_account, "", "", change->account_id, call->arena,
		    &change->account, err))
		return -1;
	if (!change->account)
		return error_set(err, ERROR_NOT_FOUND, "There is no account %.32s.", change->account_id);
	if (list(call, change->account_id, &keys, &count, err) ||
		(change->revoke ? take_away(change, batch, keys, count, err)
				: add(change, batch, keys, count, err)))
		return -1;
	meta_batch_put(batch, &record_account, change->account);
	return meta_commit(call->amid->meta, batch, err);
}

static int read_change(const struct http_request *http, struct change *change, struct error *err)
{
	struct arena *arena = change->call->arena;
	json_t *body = json_loadb(http->body, http->body_size, 0, NULL);
	change->account_id = arena_strdup(arena, json_string_value(json_object_get(body, "account")));
	change->revoke = arena_strdup(arena, json_string_value(json_object_get(body, "revoke")));
	json_decref(body);
	return change->account_id
		? 0
		: error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			  "The body must be {\"account\":\"...\"}, with \"revoke\":\"AKIA...\" or without.");
}

int root_keys_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err)
{
	struct change change = { .call = call };
	if (read_change(http, &change, err))
		return -1;
	for (int tries = 1; apply(&change, err); tries++)
		if ((err->code != ERROR_DUPLICATE && err->code != ERROR_CONFLICT) || tries == TRIES)
			return -1;
	if (change.revoke) {
		log_info("root-key-revoked", "account=%s key=%s", change.account_id, change.revoke);
		*result = json_pack("{s:s, s:s?, s:s}", "id", change.account_id, "name", change.account->name,
			"revoked", change.revoke);
	} else {
		log_info("root-key-made", "account=%s key=%s", change.account_id, change.made.access_key_id);
		*result = json_pack("{s:s, s:s?, s:s, s:s}", "id", change.account_id, "name",
			change.account->name, "access_key_id", change.made.access_key_id, "secret_access_key",
			change.made.secret);
	}
	return 0;
}
