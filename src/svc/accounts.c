/* Accounts and access keys. */
#include "svc/accounts.h"

#include <stdio.h>
#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "svc/network.h"
#include "svc/secret.h"
#include "base/banned.h"

/* A key id as AWS forms it: AKIA and 16 letters or digits. */
static char *random_key_id(struct arena *arena)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t random[16];
	char *id = arena_strdup(arena, "AKIA................");
	text_random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		id[4 + i] = letters[random[i] % 32];
	return id;
}

static char *random_account_id(struct arena *arena)
{
	uint64_t random;
	text_random_bytes(&random, sizeof random);
	return arena_printf(
		arena, "%012llu", (unsigned long long)(random % 900000000000ULL + 100000000000ULL));
}

static int write_credentials(struct amid *amid, const char *file, const char *key_id, const char *secret,
	struct arena *arena, struct error *err)
{
	char *path = arena_printf(arena, "%s/%s", amid->config->data, file);
	char *text = arena_printf(
		arena, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key_id, secret);
	return file_replace(path, text, strlen(text), 0600, err);
}

/* In the record the secret is sealed, in its file it is not. */
static int seal_secret(struct amid *amid, struct access_key_record *key, const char *secret,
	struct arena *arena, struct error *err)
{
	const char *purpose = arena_printf(arena, "access-key:%s", key->record.id);
	char *sealed;
	if (secret_seal(amid, purpose, secret, strlen(secret), arena, &sealed, err))
		return -1;
	key->sealed_secret = sealed;
	key->secret = NULL;
	return 0;
}

/* Keys of a version that did not seal. */
static int seal_old_secrets(struct amid *amid, struct arena *arena, struct error *err)
{
	struct meta_rows rows;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	if (meta_list(amid->meta, &record_access_key, &(struct meta_query){ 0 }, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct access_key_record *key = rows.items[i];
		if (!key->secret)
			continue;
		if (seal_secret(amid, key, key->secret, arena, err))
			return -1;
		meta_batch_put(batch, &record_access_key, key);
	}
	return meta_commit(amid->meta, batch, err);
}

/* The account with its root key; the credentials file comes first, so that a crash in between leaves no account that nobody can use. */
static int create_account(struct amid *amid, const char *id, const char *name, const char *alias,
	const char *credentials_file, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	uint8_t random[30];
	text_random_bytes(random, sizeof random);
	struct account_record account = { .record = { .account = "", .region = "", .id = id },
		.name = name,
		.alias = alias,
		.created = some_timestamp(clock_now_ms()) };
	struct access_key_record key = {
		.record = { .account = id, .region = "", .id = random_key_id(arena) },
		.principal_arn = arena_printf(arena, "arn:aws:iam::%s:root", id),
		.principal_id = id,
		.status = "Active",
		.created = account.created
	};
	const char *secret = text_base64(arena, random, sizeof random);
	if (credentials_file &&
		(seal_secret(amid, &key, secret, arena, err) ||
			write_credentials(amid, credentials_file, key.record.id, secret, arena, err)))
		return -1;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_put(batch, &record_account, &account);
	if (credentials_file)
		meta_batch_put(batch, &record_access_key, &key);
	return meta_commit(amid->meta, batch, err);
}

static int list_accounts(struct amid *amid, struct arena *arena, struct meta_rows *rows, struct error *err)
{
	return meta_list(amid->meta, &record_account, &(struct meta_query){ 0 }, arena, rows, err);
}

static bool has_account(const struct meta_rows *rows, const char *id)
{
	for (size_t i = 0; i < rows->count; i++)
		if (strcmp(((struct account_record *)rows->items[i])->record.id, id) == 0)
			return true;
	return false;
}

static int ensure_networks(struct amid *amid, struct arena *arena, struct error *err)
{
	struct meta_rows rows;
	if (list_accounts(amid, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		for (unsigned r = 0; r < amid->region_count; r++)
			if (network_ensure_default(amid, ((struct account_record *)rows.items[i])->record.id,
				    amid->regions[r].name, err))
				return -1;
	return 0;
}

int accounts_prepare(struct amid *amid, bool *first_start, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_rows rows;
	if (list_accounts(amid, arena, &rows, err) || seal_old_secrets(amid, arena, err))
		return -1;
	*first_start = !has_account(&rows, ACCOUNT_PLATFORM);
	/* the platform's account comes last: while it is missing, the first start is not over */
	if (*first_start && rows.count == 0 &&
		create_account(amid, random_account_id(arena), "root", NULL, "root-credentials", err))
		return -1;
	if (*first_start &&
		create_account(
			amid, ACCOUNT_PLATFORM, "amid platform", ALIAS_PLATFORM, "platform-credentials", err))
		return -1;
	if (amid->config->auth_any && !has_account(&rows, ACCOUNT_ANY) &&
		create_account(amid, ACCOUNT_ANY, "any", NULL, NULL, err))
		return -1;
	return ensure_networks(amid, arena, err);
}

int accounts_lookup(void *context, const char *access_key_id, const char *session_token, struct arena *arena,
	struct door_identity *identity, struct error *err)
{
	struct amid *amid = context;
	struct access_key_record *key;
	if (meta_get_any(amid->meta, &record_access_key, NULL, access_key_id, arena, &key, err))
		return -1;
	if (!key || session_token || strcmp(key->status, "Active") != 0)
		return error_set(err, ERROR_NOT_FOUND, "no active access key %s", access_key_id);
	void *secret;
	size_t size;
	if (secret_open(amid, arena_printf(arena, "access-key:%s", access_key_id),
		    key->sealed_secret ? key->sealed_secret : "", arena, &secret, &size, err))
		return -1;
	*identity = (struct door_identity){ .secret = secret,
		.principal = { .type = PRINCIPAL_ROOT,
			.account = key->record.account,
			.arn = key->principal_arn,
			.id = key->principal_id,
			.access_key_id = access_key_id } };
	return 0;
}

/* The records go first, in one transaction; each controller, woken for a thing that has no record any more, removes what is left of it. */
int accounts_reset(struct amid *amid, const char *account, struct error *err)
{
	static const char *const kept[] = { "account", "access_key", NULL };
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_query query = { .account = account };
	struct meta_rows instances, volumes;
	if (meta_list(amid->meta, &record_instance, &query, arena, &instances, err) ||
		meta_list(amid->meta, &record_volume, &query, arena, &volumes, err) ||
		meta_forget_account(amid->meta, account, kept, err))
		return -1;
	for (size_t i = 0; i < instances.count; i++)
		work_enqueue(amid->work, "instance", ((struct record *)instances.items[i])->id);
	for (size_t i = 0; i < volumes.count; i++)
		work_enqueue(amid->work, "volume", ((struct record *)volumes.items[i])->id);
	return ensure_networks(amid, arena, err);
}
