/*
 * Whom an access key or a session token stands for. What was found is remembered (identity_cache.h) under the key's id or, with a token, under both; what stands for nobody is not. Runs on the connections' threads.
 */
#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "svc/accounts.h"
#include "svc/identity_cache.h"
#include "svc/last_use.h"
#include "svc/secret.h"
#include "svc/session.h"
#include "base/banned.h"

enum { TOKEN_KEPT_MAX = 4096 }; /* larger ones are opened each time: what is remembered must have a bound */

static int refuse(const char *access_key_id, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, "no active access key %.64s", access_key_id);
}

/* *live: the account is there and not suspended. */
static int check_account(
	struct amid *amid, const char *id, struct arena *arena, bool *live, struct error *err)
{
	struct account_record *account;
	if (meta_get(amid->meta, &record_account, "", "", id, arena, &account, err))
		return -1;
	*live = account && !boolean_or(account->suspended, false);
	return 0;
}

/* Fills in what the record of a user says; *live: there is one. */
static int read_user(struct amid *amid, const char *account, const char *id, struct arena *arena,
	struct principal *principal, bool *live, struct error *err)
{
	struct iam_user_record *user;
	if (meta_get(amid->meta, &record_iam_user, account, "", id, arena, &user, err))
		return -1;
	*live = user;
	if (!user)
		return 0;
	principal->type = PRINCIPAL_USER;
	principal->account = account;
	principal->id = id;
	principal->user_name = user->name;
	principal->arn = arena_printf(
		arena, "arn:aws:iam::%s:user%s%s", account, user->path ? user->path : "/", user->name);
	return 0;
}

/* Roots have their account's number for an id, users theirs. */
static int read_owner(struct amid *amid, const struct access_key_record *key, struct arena *arena,
	struct principal *principal, bool *live, struct error *err)
{
	*principal = (struct principal){ .type = PRINCIPAL_ROOT,
		.account = key->record.account,
		.arn = key->principal_arn,
		.id = key->principal_id };
	if (check_account(amid, key->record.account, arena, live, err))
		return -1;
	if (!*live || strcmp(key->principal_id, key->record.account) == 0)
		return 0;
	return read_user(amid, key->record.account, key->principal_id, arena, principal, live, err);
}

static int look_up_key(struct amid *amid, const char *access_key_id, struct arena *arena,
	struct door_identity *identity, struct error *err)
{
	struct access_key_record *key;
	bool live;
	uint64_t generation = identity_cache_generation(amid->identities);
	*identity = (struct door_identity){ 0 };
	if (meta_get_any(amid->meta, &record_access_key, NULL, access_key_id, arena, &key, err))
		return -1;
	if (!key || !key->sealed_secret || !key->principal_id || strcmp(key->status, "Active") != 0)
		return refuse(access_key_id, err);
	if (read_owner(amid, key, arena, &identity->principal, &live, err))
		return -1;
	if (!live)
		return refuse(access_key_id, err);
	const char *purpose = arena_printf(arena, "access-key:%s", access_key_id);
	void *secret;
	size_t size;
	if (secret_open(amid, purpose, key->sealed_secret, arena, &secret, &size, err))
		return -1;
	identity->secret = secret;
	identity_cache_keep(amid->identities, generation, access_key_id, identity);
	return 0;
}

/* The user or role that a session would be nothing without; NULL: it is its account's root, or amid's own. */
static const char *source_of(const struct principal *principal)
{
	const char *id = NULL;
	if (principal->type == PRINCIPAL_USER)
		id = principal->id;
	else if (principal->type == PRINCIPAL_ROLE_SESSION || principal->type == PRINCIPAL_FEDERATED_USER)
		id = principal->issuer_id;
	return text_equal(id, principal->account) ? NULL : id;
}

static int read_source(struct amid *amid, const struct principal *session, struct arena *arena,
	struct principal *source, bool *live, struct error *err)
{
	const char *id = source_of(session);
	struct iam_role_record *role;
	if (check_account(amid, session->account, arena, live, err))
		return -1;
	if (!*live || !id)
		return 0;
	if (session->type != PRINCIPAL_ROLE_SESSION)
		return read_user(amid, session->account, id, arena, source, live, err);
	if (meta_get(amid->meta, &record_iam_role, session->account, "", id, arena, &role, err))
		return -1;
	*live = role;
	return 0;
}

/* Sessions outlive no account, user or role. */
static int check_source(struct amid *amid, struct principal *session, struct arena *arena, struct error *err)
{
	struct principal source = { 0 };
	bool live;
	if (read_source(amid, session, arena, &source, &live, err))
		return -1;
	if (!live)
		return refuse(session->access_key_id, err);
	/* a user may have got another name since */
	if (session->type == PRINCIPAL_USER) {
		session->arn = source.arn;
		session->user_name = source.user_name;
	}
	return 0;
}

/* A token that was opened and found right is its own name in the cache; its time passes there, too. */
static int look_up_session(struct amid *amid, const char *access_key_id, const char *token,
	struct arena *arena, struct door_identity *identity, struct error *err)
{
	bool keeps = strlen(token) <= TOKEN_KEPT_MAX;
	char *name = keeps ? arena_printf(arena, "%s %s", access_key_id, token) : NULL;
	uint64_t generation = identity_cache_generation(amid->identities);
	if (keeps && identity_cache_find(amid->identities, name, arena, identity))
		return session_check_time(&identity->principal, err);
	*identity = (struct door_identity){ 0 };
	if (session_open(amid, access_key_id, token, arena, &identity->principal, &identity->secret, err) ||
		check_source(amid, &identity->principal, arena, err))
		return -1;
	if (keeps)
		identity_cache_keep(amid->identities, generation, name, identity);
	return 0;
}

int accounts_lookup(void *context, const char *access_key_id, const char *session_token, struct arena *arena,
	struct door_identity *identity, struct error *err)
{
	struct amid *amid = context;
	if (session_token)
		return look_up_session(amid, access_key_id, session_token, arena, identity, err);
	if (!identity_cache_find(amid->identities, access_key_id, arena, identity) &&
		look_up_key(amid, access_key_id, arena, identity, err))
		return -1;
	identity->principal.access_key_id = access_key_id;
	return 0;
}

void accounts_note_use(
	void *context, const struct principal *principal, const char *service, const char *region)
{
	struct amid *amid = context;
	if (!principal->temporary)
		last_use_note(amid->last_uses, &record_access_key, principal->access_key_id, service, region);
	else if (principal->type == PRINCIPAL_ROLE_SESSION && principal->issuer_id)
		last_use_note(amid->last_uses, &record_iam_role, principal->issuer_id, service, region);
}
