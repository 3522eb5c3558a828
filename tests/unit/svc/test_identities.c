/* Whom keys and sessions stand for, and that nothing stands for anybody once it is revoked: with the cache of a running server. */
#include "identity.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "svc/identity_cache.h"
#include "svc/last_use.h"

static void on_change(void *context, const struct meta_change *change)
{
	identity_cache_note_change(((struct amid *)context)->identities, change);
}

static int setup(void **state)
{
	scene_setup(state);
	struct scene *s = *state;
	s->amid.identities = identity_cache_create();
	meta_set_listener(s->meta, on_change, &s->amid);
	put_account(s, OURS);
	put_user(s, OURS, "AIDABOB", "bob");
	put_role(s, OURS, "AROADEPLOY", "deploy", "{}");
	put_key(s, OURS, OURS, "AKIAROOT");
	put_key(s, OURS, "AIDABOB", "AKIABOB");
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	struct identity_cache *cache = s->amid.identities;
	meta_set_listener(s->meta, NULL, NULL);
	scene_teardown(state);
	identity_cache_destroy(cache);
	return 0;
}

static void key_of_root_is_its_account(void **state)
{
	struct scene *s = *state;
	struct door_identity found;
	for (int i = 0; i < 2; i++) { /* read, and remembered */
		assert_int_equal(look_up(s, "AKIAROOT", NULL, &found), ERROR_NONE);
		assert_string_equal(found.secret, "secret");
		assert_int_equal(found.principal.type, PRINCIPAL_ROOT);
		assert_string_equal(found.principal.account, OURS);
		assert_string_equal(found.principal.arn, "arn:aws:iam::" OURS ":root");
		assert_string_equal(found.principal.access_key_id, "AKIAROOT");
		assert_null(found.principal.user_name);
	}
	assert_int_equal(look_up(s, "AKIANONE", NULL, &found), ERROR_NOT_FOUND);
	assert_int_equal(look_up(s, "AKIAROOT", "token", &found), ERROR_NOT_FOUND);
}

static void key_of_user_has_the_users_name_and_path(void **state)
{
	struct scene *s = *state;
	struct door_identity found;
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NONE);
	assert_int_equal(found.principal.type, PRINCIPAL_USER);
	assert_string_equal(found.principal.arn, "arn:aws:iam::" OURS ":user/staff/bob");
	assert_string_equal(found.principal.id, "AIDABOB");
	CHANGE(s, iam_user, OURS, "AIDABOB", name = "robert");
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NONE);
	assert_string_equal(found.principal.arn, "arn:aws:iam::" OURS ":user/staff/robert");
}

static void revoked_key_is_refused_by_the_next_call(void **state)
{
	struct scene *s = *state;
	struct door_identity found;
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NONE);
	CHANGE(s, access_key, OURS, "AKIABOB", status = "Inactive");
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NOT_FOUND);
	CHANGE(s, access_key, OURS, "AKIABOB", status = "Active");
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NONE);
	DELETE(s, iam_user, OURS, "AIDABOB");
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NOT_FOUND);
	assert_int_equal(look_up(s, "AKIAROOT", NULL, &found), ERROR_NONE);
	DELETE(s, access_key, OURS, "AKIAROOT");
	assert_int_equal(look_up(s, "AKIAROOT", NULL, &found), ERROR_NOT_FOUND);
}

struct readers {
	struct amid *amid;
	atomic_bool ending;
};

/* Keeps the cache filled from whatever the records say at each moment. */
static void *keep_looking_up(void *context)
{
	struct readers *readers = context;
	while (!atomic_load(&readers->ending)) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct door_identity found;
		struct error err;
		accounts_lookup(readers->amid, "AKIABOB", NULL, arena, &found, &err);
	}
	return NULL;
}

static void no_reader_keeps_what_was_revoked(void **state)
{
	enum { READERS = 3, ROUNDS = 100 };
	struct scene *s = *state;
	struct readers readers = { .amid = &s->amid };
	struct door_identity found;
	pthread_t threads[READERS];
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_looking_up, &readers), 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHANGE(s, access_key, OURS, "AKIABOB", status = "Inactive");
		assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NOT_FOUND);
		CHANGE(s, access_key, OURS, "AKIABOB", status = "Active");
		assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NONE);
	}
	atomic_store(&readers.ending, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
}

static void suspended_account_is_refused(void **state)
{
	struct scene *s = *state;
	struct door_identity found;
	struct session_credentials session;
	const struct principal root = {
		.type = PRINCIPAL_ROOT, .account = OURS, .arn = "arn:aws:iam::" OURS ":root", .id = OURS
	};
	assert_int_equal(session_make(&s->amid, &root, 900, s->arena, &session, &s->err), 0);
	assert_int_equal(look_up(s, session.access_key_id, session.token, &found), ERROR_NONE);
	CHANGE(s, account, "", OURS, suspended = some_boolean(true));
	assert_int_equal(look_up(s, "AKIAROOT", NULL, &found), ERROR_NOT_FOUND);
	assert_int_equal(look_up(s, "AKIABOB", NULL, &found), ERROR_NOT_FOUND);
	assert_int_equal(look_up(s, session.access_key_id, session.token, &found), ERROR_NOT_FOUND);
	CHANGE(s, account, "", OURS, suspended = some_boolean(false));
	assert_int_equal(look_up(s, "AKIAROOT", NULL, &found), ERROR_NONE);
	assert_int_equal(look_up(s, session.access_key_id, session.token, &found), ERROR_NONE);
}

static void session_ends_with_its_role_or_user(void **state)
{
	struct scene *s = *state;
	struct door_identity found;
	struct session_credentials of_role, of_user;
	const struct principal role = { .type = PRINCIPAL_ROLE_SESSION,
		.account = OURS,
		.arn = "arn:aws:sts::" OURS ":assumed-role/deploy/x",
		.id = "AROADEPLOY:x",
		.issuer_id = "AROADEPLOY" };
	const struct principal user = { .type = PRINCIPAL_USER,
		.account = OURS,
		.arn = "arn:aws:iam::" OURS ":user/staff/bob",
		.id = "AIDABOB",
		.user_name = "bob" };
	assert_int_equal(session_make(&s->amid, &role, 900, s->arena, &of_role, &s->err), 0);
	assert_int_equal(session_make(&s->amid, &user, 900, s->arena, &of_user, &s->err), 0);
	assert_int_equal(look_up(s, of_role.access_key_id, of_role.token, &found), ERROR_NONE);
	assert_string_equal(found.principal.arn, role.arn);
	CHANGE(s, iam_user, OURS, "AIDABOB", name = "robert");
	assert_int_equal(look_up(s, of_user.access_key_id, of_user.token, &found), ERROR_NONE);
	assert_string_equal(found.principal.arn, "arn:aws:iam::" OURS ":user/staff/robert");
	DELETE(s, iam_role, OURS, "AROADEPLOY");
	DELETE(s, iam_user, OURS, "AIDABOB");
	assert_int_equal(look_up(s, of_role.access_key_id, of_role.token, &found), ERROR_NOT_FOUND);
	assert_int_equal(look_up(s, of_user.access_key_id, of_user.token, &found), ERROR_NOT_FOUND);
}

static const struct principal_instance instance = { .arn = "arn:aws:ec2:us-east-1:" OURS ":instance/i-1",
	.vpc = "vpc-1",
	.private_address = "172.31.0.5",
	.delivery = "2.0" };

static void kept_session_is_whole_and_expires(void **state)
{
	struct scene *s = *state;
	struct door_identity found;
	struct session_credentials session;
	static const char *const documents[] = { "{}" };
	static const struct principal_tag tags[] = { { "Stage", "prod", true } };
	const struct principal role = { .type = PRINCIPAL_ROLE_SESSION,
		.account = OURS,
		.arn = "arn:aws:sts::" OURS ":assumed-role/deploy/x",
		.id = "AROADEPLOY:x",
		.issuer_id = "AROADEPLOY",
		.session_policies = documents,
		.session_policy_count = 1,
		.session_tags = tags,
		.session_tag_count = 1,
		.source_identity = "alice",
		.instance = &instance };
	assert_int_equal(session_make(&s->amid, &role, 900, s->arena, &session, &s->err), 0);
	for (int i = 0; i < 2; i++) { /* read, and remembered */
		assert_int_equal(look_up(s, session.access_key_id, session.token, &found), ERROR_NONE);
		assert_string_equal(found.secret, session.secret);
		assert_string_equal(found.principal.session_policies[0], "{}");
		assert_int_equal(found.principal.session_policy_arn_count, 0);
		assert_string_equal(found.principal.session_tags[0].value, "prod");
		assert_true(found.principal.session_tags[0].transitive && found.principal.temporary);
		assert_string_equal(found.principal.source_identity, "alice");
		assert_string_equal(
			found.principal.instance->arn, "arn:aws:ec2:us-east-1:" OURS ":instance/i-1");
		assert_string_equal(found.principal.instance->vpc, "vpc-1");
		assert_string_equal(found.principal.instance->private_address, "172.31.0.5");
		assert_string_equal(found.principal.instance->delivery, "2.0");
		assert_string_equal(found.principal.access_key_id, session.access_key_id);
	}
	/* nothing of it is taken for another key, or another token */
	assert_int_equal(look_up(s, "ASIAAAAAAAAAAAAAAAAA", session.token, &found), ERROR_NOT_FOUND);
	assert_int_equal(look_up(s, session.access_key_id, session.token + 4, &found), ERROR_NOT_FOUND);
	clock_advance(901 * 1000);
	assert_int_equal(look_up(s, session.access_key_id, session.token, &found), ERROR_EXPIRED_TOKEN);
}

static void last_use_is_known_at_once_and_written_later(void **state)
{
	struct scene *s = *state;
	struct last_use use;
	struct access_key_record *key;
	struct iam_role_record *role;
	int64_t before = clock_now_ms(), changes;
	struct image_record *image =
		&(struct image_record){ .record = { .id = "ami-1" }, .state = "available" };
	scene_put(s, &record_image, image);
	assert_int_equal(last_use_open(s->meta, &s->amid.last_uses, &s->err), 0);
	changes = meta_last_change(s->meta);
	assert_false(last_use_find(s->amid.last_uses, &record_access_key, "AKIABOB", &use));
	for (int i = 0; i < 1000; i++)
		last_use_note(s->amid.last_uses, &record_access_key, "AKIABOB", "ec2", "us-west-2");
	last_use_note(s->amid.last_uses, &record_iam_role, "AROADEPLOY", "ec2", "us-east-1");
	last_use_note(s->amid.last_uses, &record_image, "ami-1", "ec2", "us-east-1");
	last_use_note(s->amid.last_uses, &record_access_key, "AKIAGONE", "ec2", "us-east-1");
	assert_true(last_use_find(s->amid.last_uses, &record_access_key, "AKIABOB", &use));
	assert_true(use.time_ms >= before);
	assert_string_equal(use.region, "us-west-2");
	assert_int_equal(meta_last_change(s->meta), changes); /* no commit per call */
	last_use_close(s->amid.last_uses);
	assert_int_equal(meta_last_change(s->meta), changes + 3);
	assert_int_equal(
		meta_get_any(s->meta, &record_access_key, NULL, "AKIABOB", s->arena, &key, &s->err), 0);
	assert_int_equal(key->last_used.ms, use.time_ms);
	assert_string_equal(key->last_used_service, "ec2");
	assert_int_equal(
		meta_get_any(s->meta, &record_iam_role, NULL, "AROADEPLOY", s->arena, &role, &s->err), 0);
	assert_true(role->last_used.ms >= before);
	assert_int_equal(meta_get_any(s->meta, &record_image, NULL, "ami-1", s->arena, &image, &s->err), 0);
	assert_true(image->last_launched.ms >= before);
	assert_string_equal(image->state, "available");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(key_of_root_is_its_account),
		TEST(key_of_user_has_the_users_name_and_path),
		TEST(revoked_key_is_refused_by_the_next_call),
		TEST(no_reader_keeps_what_was_revoked),
		TEST(suspended_account_is_refused),
		TEST(session_ends_with_its_role_or_user),
		TEST(kept_session_is_whole_and_expires),
		TEST(last_use_is_known_at_once_and_written_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
