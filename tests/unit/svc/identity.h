/* Accounts, users, roles and keys put straight into the metadata, for tests of who is who. */
#pragma once

#include "handlers.h"

#include "api/records.h"
#include "api/sts.h"
#include "svc/accounts.h"
#include "svc/secret.h"
#include "svc/session.h"

#define OURS "111111111111"
#define THEIRS "222222222222"

#define STS(scene, name, handler, request, result) \
	scene_run((scene), &sts_operation_##name, \
		(int (*)(struct call *, const void *, void *, struct error *))(void *)(handler), (request), \
		(result))

static inline void put_account(struct scene *s, const char *id)
{
	const struct account_record account = { .record = { .account = "", .region = "", .id = id },
		.name = "of a test" };
	scene_put(s, &record_account, &account);
}

static inline void put_user(struct scene *s, const char *account, const char *id, const char *name)
{
	const struct iam_user_record user = { .record = { .account = account, .region = "", .id = id },
		.name = name,
		.key = name,
		.path = "/staff/" };
	scene_put(s, &record_iam_user, &user);
}

static inline void put_role(
	struct scene *s, const char *account, const char *id, const char *name, const char *trust)
{
	const struct iam_role_record role = { .record = { .account = account, .region = "", .id = id },
		.name = name,
		.key = name,
		.path = "/",
		.max_session_seconds = some_integer(7200),
		.trust_policy = trust };
	scene_put(s, &record_iam_role, &role);
}

/* A key with the secret "secret". */
static inline void put_key(struct scene *s, const char *account, const char *owner, const char *id)
{
	char *sealed;
	const char *purpose = arena_printf(s->arena, "access-key:%s", id);
	assert_int_equal(secret_seal(&s->amid, purpose, "secret", 6, s->arena, &sealed, &s->err), 0);
	const struct access_key_record key = { .record = { .account = account, .region = "", .id = id },
		.sealed_secret = sealed,
		.principal_id = owner,
		.principal_arn = arena_printf(s->arena, "arn:aws:iam::%s:root", account),
		.status = "Active" };
	scene_put(s, &record_access_key, &key);
}

static inline enum error_code look_up(
	struct scene *s, const char *key, const char *token, struct door_identity *identity)
{
	s->err = (struct error){ 0 };
	return accounts_lookup(&s->amid, key, token, s->arena, identity, &s->err) ? s->err.code : ERROR_NONE;
}

/* Replaces a record by one that `change` has changed. */
#define CHANGE(scene, kind, account_, id_, change) \
	do { \
		struct kind##_record *record_; \
		assert_int_equal(meta_get((scene)->meta, &record_##kind, (account_), "", (id_), \
					 (scene)->arena, &record_, &(scene)->err), \
			0); \
		assert_non_null(record_); \
		record_->change; \
		scene_put((scene), &record_##kind, record_); \
	} while (0)
#define DELETE(scene, kind, account_, id_) \
	do { \
		struct kind##_record *record_; \
		struct meta_batch *batch_ = meta_batch_create((scene)->meta, (scene)->arena); \
		assert_int_equal(meta_get((scene)->meta, &record_##kind, (account_), "", (id_), \
					 (scene)->arena, &record_, &(scene)->err), \
			0); \
		meta_batch_delete(batch_, &record_##kind, record_); \
		assert_int_equal(meta_commit((scene)->meta, batch_, &(scene)->err), 0); \
	} while (0)
