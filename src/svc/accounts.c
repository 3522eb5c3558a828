/* Accounts and their root keys. What is made is one commit; default networks follow, and are made up for at each start. Runs on the caller's thread. */
#include "svc/accounts.h"

#include <stdio.h>
#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "svc/network.h"
#include "svc/organization.h"
#include "svc/secret.h"
#include "base/banned.h"

enum { SECRET_BYTES = 30 };

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

static char *random_secret(struct arena *arena)
{
	uint8_t random[SECRET_BYTES];
	text_random_bytes(random, sizeof random);
	return text_base64(arena, random, sizeof random);
}

/* In the record the secret is sealed; in its file, and in the answer to whoever made it, it is not. */
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

int accounts_put_root_key(struct amid *amid, struct meta_batch *batch, const char *account,
	struct arena *arena, struct account_made *made, struct error *err)
{
	made->id = account;
	made->access_key_id = random_key_id(arena);
	made->secret = random_secret(arena);
	struct access_key_record key = {
		.record = { .account = made->id, .region = "", .id = made->access_key_id },
		.principal_arn = arena_printf(arena, "arn:aws:iam::%s:root", made->id),
		.principal_id = made->id,
		.status = "Active",
		.created = some_timestamp(clock_now_ms()),
	};
	if (seal_secret(amid, &key, made->secret, arena, err))
		return -1;
	meta_batch_put(batch, &record_access_key, &key);
	return 0;
}

static void join(
	struct account_record *account, const struct organization_record *organization, struct arena *arena)
{
	account->organization = organization->record.id;
	account->joined = account->created;
	if (!boolean_or(organization->policies_enabled, false))
		return;
	const char **policies = arena_alloc(arena, sizeof *policies);
	policies[0] = ORGANIZATION_FULL_ACCESS;
	account->policies = (struct record_string_list){ .items = policies, .count = 1, .set = true };
}

int accounts_plan(struct amid *amid, struct meta_batch *batch, const char *id,
	const struct account_plan *plan, struct arena *arena, struct account_made *made, struct error *err)
{
	*made = (struct account_made){ .id = id ? id : random_account_id(arena) };
	struct account_record account = { .record = { .account = "", .region = "", .id = made->id },
		.name = plan->name,
		.alias = plan->alias,
		.email = plan->email,
		.created = some_timestamp(clock_now_ms()) };
	if (plan->is_operator)
		account.is_operator = some_boolean(true);
	if (plan->tags)
		account.tags = *plan->tags;
	if (plan->organization)
		join(&account, plan->organization, arena);
	meta_batch_put(batch, &record_account, &account);
	return plan->root_key ? accounts_put_root_key(amid, batch, made->id, arena, made, err) : 0;
}

static int write_credentials(struct amid *amid, const char *file, const struct account_made *made,
	struct arena *arena, struct error *err)
{
	char *path = arena_printf(arena, "%s/%s", amid->config->data, file);
	char *text = arena_printf(arena, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		made->access_key_id, made->secret);
	return file_replace(path, text, strlen(text), 0600, err);
}

/* The credentials file comes first, so that a crash in between leaves no account that nobody can use. */
static int create_account(struct amid *amid, const char *id, const struct account_plan *plan,
	const char *credentials_file, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	struct account_made made;
	if (accounts_plan(amid, batch, id, plan, arena, &made, err) ||
		(credentials_file && write_credentials(amid, credentials_file, &made, arena, err)))
		return -1;
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

int accounts_make_networks(struct amid *amid, const char *account, struct error *err)
{
	for (unsigned r = 0; r < amid->region_count; r++)
		if (network_ensure_default(amid, account, amid->regions[r].name, err))
			return -1;
	return 0;
}

static int ensure_networks(struct amid *amid, struct arena *arena, struct error *err)
{
	struct meta_rows rows;
	if (list_accounts(amid, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (accounts_make_networks(amid, ((struct account_record *)rows.items[i])->record.id, err))
			return -1;
	return 0;
}

int accounts_find_operator(
	struct amid *amid, struct arena *arena, struct account_record **account, struct error *err)
{
	struct meta_rows rows;
	*account = NULL;
	if (list_accounts(amid, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count && !*account; i++) {
		struct account_record *found = rows.items[i];
		if (boolean_or(found->is_operator, false))
			*account = found;
	}
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

/* Data of 0.1 do not say which account is the operator's: it is the oldest that is nobody else's. */
static int name_operator(struct amid *amid, struct arena *arena, struct error *err)
{
	struct meta_rows rows;
	struct account_record *oldest;
	if (accounts_find_operator(amid, arena, &oldest, err) || oldest)
		return oldest ? 0 : -1;
	if (list_accounts(amid, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct account_record *account = rows.items[i];
		if (strcmp(account->record.id, ACCOUNT_PLATFORM) != 0 &&
			strcmp(account->record.id, ACCOUNT_ANY) != 0 &&
			(!oldest || account->created.ms < oldest->created.ms))
			oldest = account;
	}
	if (!oldest)
		return 0;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	oldest->is_operator = some_boolean(true);
	meta_batch_put(batch, &record_account, oldest);
	return meta_commit(amid->meta, batch, err);
}

int accounts_prepare(struct amid *amid, bool *first_start, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_rows rows;
	if (list_accounts(amid, arena, &rows, err) || seal_old_secrets(amid, arena, err))
		return -1;
	*first_start = !has_account(&rows, ACCOUNT_PLATFORM);
	const struct account_plan operator_plan = { .name = "root", .is_operator = true, .root_key = true },
				  platform = { .name = "amid platform",
					  .alias = ALIAS_PLATFORM,
					  .root_key = true },
				  any = { .name = "any" };
	/* the platform's account comes last: while it is missing, the first start is not over */
	if (*first_start && rows.count == 0 &&
		create_account(amid, NULL, &operator_plan, "root-credentials", err))
		return -1;
	if (*first_start && create_account(amid, ACCOUNT_PLATFORM, &platform, "platform-credentials", err))
		return -1;
	if (amid->config->auth_any && !has_account(&rows, ACCOUNT_ANY) &&
		create_account(amid, ACCOUNT_ANY, &any, NULL, err))
		return -1;
	return name_operator(amid, arena, err) || ensure_networks(amid, arena, err) ? -1 : 0;
}

/* Those of users that are gone: nobody's any more, and refused already. */
static int drop_keys(struct amid *amid, const char *account, struct arena *arena, struct error *err)
{
	struct meta_query query = { .account = account };
	struct meta_rows rows;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	if (meta_list(amid->meta, &record_access_key, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct access_key_record *key = rows.items[i];
		struct iam_user_record *user;
		if (!key->principal_id || text_equal(key->principal_id, account))
			continue;
		if (meta_get(amid->meta, &record_iam_user, account, "", key->principal_id, arena, &user, err))
			return -1;
		if (!user)
			meta_batch_delete(batch, &record_access_key, key);
	}
	return meta_commit(amid->meta, batch, err);
}

/* The records go, in one transaction; each controller, woken for a thing that has no record any more, removes what is left of it. */
int accounts_reset(struct amid *amid, const char *account, struct error *err)
{
	static const char *const kept[] = { "account", "access_key", NULL };
	struct arena *arena ARENA_SCOPED = arena_create();
	return meta_forget_account(amid->meta, account, kept, err) || drop_keys(amid, account, arena, err) ||
			ensure_networks(amid, arena, err)
		? -1
		: 0;
}
