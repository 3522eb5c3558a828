/* Session tokens and encoded messages: what comes back is what went in, and nothing else is taken. */
#include "identity.h"

#include "base/clock.h"
#include "base/text.h"
#include "svc/authorize/message.h"
#include "svc/seal.h"

static const char *const documents[] = { "{\"Version\":\"2012-10-17\",\"Statement\":[]}" };
static const char *const arns[] = { "arn:aws:iam::aws:policy/ReadOnlyAccess" };
static const struct principal_tag tags[] = { { "Stage", "prod", true }, { "Team", "", false } };

static const struct principal role = { .type = PRINCIPAL_ROLE_SESSION,
	.account = OURS,
	.arn = "arn:aws:sts::" OURS ":assumed-role/deploy/build-7",
	.id = "AROADEPLOY:build-7",
	.issuer_arn = "arn:aws:iam::" OURS ":role/deploy",
	.issuer_id = "AROADEPLOY",
	.session_name = "build-7",
	.session_policies = documents,
	.session_policy_count = 1,
	.session_policy_arns = arns,
	.session_policy_arn_count = 1,
	.session_tags = tags,
	.session_tag_count = 2,
	.source_identity = "alice" };

static struct session_credentials make(struct scene *s, int64_t seconds)
{
	struct session_credentials made;
	if (session_make(&s->amid, &role, seconds, s->arena, &made, &s->err))
		fail_msg("%s", s->err.message);
	return made;
}

static enum error_code open_token(
	struct scene *s, const char *key, const char *token, struct principal *found, const char **secret)
{
	s->err = (struct error){ 0 };
	return session_open(&s->amid, key, token, s->arena, found, secret, &s->err) ? s->err.code
										    : ERROR_NONE;
}

static void token_is_the_session(void **state)
{
	struct scene *s = *state;
	struct principal found;
	const char *secret;
	int64_t before = clock_now_ms();
	struct session_credentials made = make(s, 900);
	assert_int_equal(strlen(made.access_key_id), 20);
	assert_int_equal(strlen(made.secret), 40);
	assert_int_equal(open_token(s, made.access_key_id, made.token, &found, &secret), ERROR_NONE);
	assert_string_equal(secret, made.secret);
	assert_int_equal(found.type, PRINCIPAL_ROLE_SESSION);
	assert_string_equal(found.account, OURS);
	assert_string_equal(found.arn, role.arn);
	assert_string_equal(found.id, role.id);
	assert_string_equal(found.access_key_id, made.access_key_id);
	assert_string_equal(found.issuer_arn, role.issuer_arn);
	assert_string_equal(found.issuer_id, "AROADEPLOY");
	assert_string_equal(found.session_name, "build-7");
	assert_string_equal(found.source_identity, "alice");
	assert_true(found.temporary && !found.mfa);
	assert_true(found.issued_ms >= before && found.expires_ms == made.expires_ms);
	assert_int_equal(found.session_policy_count, 1);
	assert_string_equal(found.session_policies[0], documents[0]);
	assert_string_equal(found.session_policy_arns[0], arns[0]);
	assert_int_equal(found.session_tag_count, 2);
	assert_string_equal(found.session_tags[0].value, "prod");
	assert_true(found.session_tags[0].transitive && !found.session_tags[1].transitive);
	assert_string_equal(found.session_tags[1].value, "");
}

static void token_tells_nothing(void **state)
{
	struct scene *s = *state;
	struct session_credentials one = make(s, 900), other = make(s, 900);
	size_t size;
	const char *bytes = (char *)text_unbase64(s->arena, one.token, &size);
	assert_null(memmem(bytes, size, "deploy", 6));
	assert_string_not_equal(one.token, other.token);
	assert_string_not_equal(one.secret, other.secret);
	assert_string_not_equal(one.access_key_id, other.access_key_id);
}

static void no_other_token_is_taken(void **state)
{
	struct scene *s = *state;
	struct principal found;
	const char *secret;
	struct session_credentials made = make(s, 900), other = make(s, 900);
	size_t size, length = strlen(made.token);
	uint8_t *bytes = text_unbase64(s->arena, made.token, &size);
	for (size_t i = 0; i < size; i++) {
		uint8_t *forged = arena_memdup(s->arena, bytes, size);
		forged[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(open_token(s, made.access_key_id, text_base64(s->arena, forged, size),
					 &found, &secret),
			ERROR_NOT_FOUND);
	}
	for (size_t i = 0; i < length; i++)
		assert_int_equal(open_token(s, made.access_key_id, arena_strndup(s->arena, made.token, i),
					 &found, &secret),
			ERROR_NOT_FOUND);
	assert_int_equal(open_token(s, other.access_key_id, made.token, &found, &secret), ERROR_NOT_FOUND);
	memset(s->amid.token_key, 8, sizeof s->amid.token_key);
	assert_int_equal(open_token(s, made.access_key_id, made.token, &found, &secret), ERROR_NOT_FOUND);
}

static void session_expires_by_the_clock(void **state)
{
	struct scene *s = *state;
	struct principal found;
	const char *secret;
	struct session_credentials made = make(s, 900), longer = make(s, 3600);
	clock_advance(890 * 1000);
	assert_int_equal(open_token(s, made.access_key_id, made.token, &found, &secret), ERROR_NONE);
	clock_advance(11 * 1000);
	assert_int_equal(open_token(s, made.access_key_id, made.token, &found, &secret), ERROR_EXPIRED_TOKEN);
	assert_int_equal(open_token(s, longer.access_key_id, longer.token, &found, &secret), ERROR_NONE);
}

static void key_names_its_account(void **state)
{
	struct scene *s = *state;
	static const char *const wrong[] = { "", "ASIA", "AKIAAAAAAAAAAAAAAAAA", "ASIA0000000000000000",
		"ASIA777777777777777777", "ASIA7777777777777777" };
	static const char *const accounts[] = { "000000000001", "999999999999", OURS };
	char account[13];
	for (size_t i = 0; i < sizeof accounts / sizeof *accounts; i++) {
		struct principal root = { .type = PRINCIPAL_ROOT,
			.account = accounts[i],
			.arn = "arn:aws:iam::0:root",
			.id = accounts[i] };
		struct session_credentials made;
		assert_int_equal(session_make(&s->amid, &root, 900, s->arena, &made, &s->err), 0);
		assert_true(session_account_of_key(made.access_key_id, account));
		assert_string_equal(account, accounts[i]);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(session_account_of_key(wrong[i], account));
}

static void session_that_is_too_large_is_refused(void **state)
{
	struct scene *s = *state;
	struct principal large = role;
	struct session_credentials made;
	char *document = arena_alloc(s->arena, 70 * 1024);
	const char *const large_documents[] = { document };
	memset(document, 'x', 70 * 1024 - 1);
	large.session_policies = large_documents;
	assert_int_equal(session_make(&s->amid, &large, 900, s->arena, &made, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_INVALID);
}

static void message_opens_for_its_account_only(void **state)
{
	struct scene *s = *state;
	const char *json = "{\"allowed\":false}";
	const char *message = authorize_message_seal(&s->amid, OURS, json, s->arena);
	assert_string_equal(authorize_message_open(&s->amid, OURS, message, s->arena), json);
	assert_null(authorize_message_open(&s->amid, THEIRS, message, s->arena));
	assert_null(authorize_message_open(&s->amid, OURS, message + 4, s->arena));
	assert_null(authorize_message_open(&s->amid, OURS, "", s->arena));
	struct session_credentials made = make(s, 900);
	assert_null(authorize_message_open(&s->amid, OURS, made.token, s->arena));
	char *long_json = arena_alloc(s->arena, AUTHORIZE_MESSAGE_MAX);
	memset(long_json, ' ', AUTHORIZE_MESSAGE_MAX - 1);
	assert_null(authorize_message_seal(&s->amid, OURS, long_json, s->arena));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(token_is_the_session),
		SCENE_TEST(token_tells_nothing),
		SCENE_TEST(no_other_token_is_taken),
		SCENE_TEST(session_expires_by_the_clock),
		SCENE_TEST(key_names_its_account),
		SCENE_TEST(session_that_is_too_large_is_refused),
		SCENE_TEST(message_opens_for_its_account_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
