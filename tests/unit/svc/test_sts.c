/* STS's handlers: who may assume a role, for how long, and what a session carries. */
#include "identity.h"

#include "base/clock.h"
#include "svc/authorize/message.h"

#define BOB "arn:aws:iam::" OURS ":user/bob"
#define DEPLOY "arn:aws:iam::" OURS ":role/deploy"
#define TRUST(principal, actions, condition) \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" principal \
	"\"},\"Action\":[" actions "]" condition "}]}"
#define ASSUME "\"sts:AssumeRole\""

static const struct principal bob = {
	.type = PRINCIPAL_USER, .account = OURS, .arn = BOB, .id = "AIDABOB", .user_name = "bob"
};
static const struct principal root = {
	.type = PRINCIPAL_ROOT, .account = OURS, .arn = "arn:aws:iam::" OURS ":root", .id = OURS
};

/* denials are worded as the service's protocol does */
static const struct service query = { .name = "sts", .protocol = PROTOCOL_QUERY };

static int setup(void **state)
{
	scene_setup(state);
	struct scene *s = *state;
	s->config.auth_any = false;
	s->call.principal = &bob;
	s->call.service = &query;
	put_account(s, OURS);
	put_account(s, THEIRS);
	put_role(s, OURS, "AROADEPLOY", "deploy", TRUST(BOB, ASSUME, ""));
	return 0;
}

static struct sts_AssumeRoleRequest asking(const char *role)
{
	return (struct sts_AssumeRoleRequest){ .role_arn = role, .role_session_name = "s1" };
}

static enum error_code assume(
	struct scene *s, struct sts_AssumeRoleRequest request, struct sts_AssumeRoleResponse *result)
{
	return STS(s, AssumeRole, sts_assume_role, &request, result);
}

static struct principal open_credentials(struct scene *s, const struct sts_Credentials *credentials)
{
	struct principal found;
	const char *secret;
	if (session_open(&s->amid, credentials->access_key_id, credentials->session_token, s->arena, &found,
		    &secret, &s->err))
		fail_msg("%s", s->err.message);
	assert_string_equal(secret, credentials->secret_access_key);
	return found;
}

static void role_is_assumed_by_whom_it_trusts(void **state)
{
	struct scene *s = *state;
	struct sts_AssumeRoleResponse result;
	int64_t now = clock_now_ms();
	assert_ok(assume(s, asking(DEPLOY), &result));
	assert_string_equal(result.assumed_role_user->arn, "arn:aws:sts::" OURS ":assumed-role/deploy/s1");
	assert_string_equal(result.assumed_role_user->assumed_role_id, "AROADEPLOY:s1");
	assert_in_range(result.credentials->expiration.ms, now + 3599 * 1000, now + 3700 * 1000);
	struct principal session = open_credentials(s, result.credentials);
	assert_int_equal(session.type, PRINCIPAL_ROLE_SESSION);
	assert_string_equal(session.issuer_arn, DEPLOY);
	assert_string_equal(session.account, OURS);
}

static void nobody_else_assumes_it(void **state)
{
	struct scene *s = *state;
	struct sts_AssumeRoleResponse result;
	struct principal eve = bob;
	eve.arn = "arn:aws:iam::" OURS ":user/eve";
	eve.id = "AIDAEVE";
	s->call.principal = &eve;
	assert_error(assume(s, asking(DEPLOY), &result), ERROR_ACCESS_DENIED_QUERY);
	char *refused = arena_strdup(s->arena, s->err.message);
	assert_error(
		assume(s, asking("arn:aws:iam::" OURS ":role/nothing"), &result), ERROR_ACCESS_DENIED_QUERY);
	/* whether it is there is not told */
	assert_string_equal(refused,
		"User: arn:aws:iam::" OURS
		":user/eve is not authorized to perform: sts:AssumeRole on resource: " DEPLOY);
	assert_non_null(strstr(s->err.message, "role/nothing"));
	s->call.principal = &root;
	assert_error(assume(s, asking(DEPLOY), &result), ERROR_ACCESS_DENIED_QUERY);
	s->call.principal = &bob;
	assert_error(
		assume(s, asking("arn:aws:iam::" OURS ":role/x/deploy"), &result), ERROR_ACCESS_DENIED_QUERY);
	assert_error(assume(s, asking("arn:aws:iam::" OURS ":user/deploy"), &result), ERROR_VALIDATION_QUERY);
	CHANGE(s, account, "", OURS, suspended = some_boolean(true));
	assert_error(assume(s, asking(DEPLOY), &result), ERROR_ACCESS_DENIED_QUERY);
}

static void external_id_is_asked_for(void **state)
{
	struct scene *s = *state;
	struct sts_AssumeRoleResponse result;
	put_role(s, OURS, "AROAVENDOR", "vendor",
		TRUST(BOB, ASSUME, ",\"Condition\":{\"StringEquals\":{\"sts:ExternalId\":\"secret-7\"}}"));
	struct sts_AssumeRoleRequest request = asking("arn:aws:iam::" OURS ":role/vendor");
	assert_error(assume(s, request, &result), ERROR_ACCESS_DENIED_QUERY);
	request.external_id = "secret-8";
	assert_error(assume(s, request, &result), ERROR_ACCESS_DENIED_QUERY);
	request.external_id = "secret-7";
	assert_ok(assume(s, request, &result));
}

static void session_lasts_as_long_as_the_role_says(void **state)
{
	struct scene *s = *state;
	struct sts_AssumeRoleResponse result;
	struct sts_AssumeRoleRequest request = asking(DEPLOY);
	request.duration_seconds = some_integer(7200);
	assert_ok(assume(s, request, &result));
	request.duration_seconds = some_integer(7201);
	assert_error(assume(s, request, &result), ERROR_VALIDATION_QUERY);
	/* a role that assumes a role has an hour */
	put_role(s, OURS, "AROANEXT", "next", TRUST(DEPLOY, ASSUME, ""));
	request.duration_seconds = some_integer(900);
	assert_ok(assume(s, request, &result));
	struct principal first = open_credentials(s, result.credentials);
	s->call.principal = &first;
	request = asking("arn:aws:iam::" OURS ":role/next");
	request.duration_seconds = some_integer(3601);
	assert_error(assume(s, request, &result), ERROR_VALIDATION_QUERY);
	request.duration_seconds = some_integer(3600);
	assert_ok(assume(s, request, &result));
}

static void tags_and_source_identity_need_permission_and_are_handed_on(void **state)
{
	struct scene *s = *state;
	struct sts_AssumeRoleResponse result;
	struct sts_Tag tags[] = { { "Stage", "prod" }, { "Team", "" } };
	struct sts_AssumeRoleRequest request = asking(DEPLOY);
	request.tags = (struct sts_tagListType){ .items = tags, .count = 2, .set = true };
	request.transitive_tag_keys = (struct sts_tagKeyListType)STRINGS("stage");
	assert_error(assume(s, request, &result), ERROR_ACCESS_DENIED_QUERY); /* no sts:TagSession */
	CHANGE(s, iam_role, OURS, "AROADEPLOY",
		trust_policy = TRUST(BOB, ASSUME ",\"sts:TagSession\",\"sts:SetSourceIdentity\"", ""));
	put_role(s, OURS, "AROANEXT", "next",
		TRUST(DEPLOY, ASSUME ",\"sts:TagSession\",\"sts:SetSourceIdentity\"",
			",\"Condition\":{\"StringEquals\":{\"aws:RequestTag/Stage\":\"prod\",\"sts:SourceIdentity\":\"alice\"}}"));
	request.source_identity = "alice";
	assert_ok(assume(s, request, &result));
	assert_string_equal(result.source_identity, "alice");
	assert_true(result.packed_policy_size.set);
	struct principal first = open_credentials(s, result.credentials);
	assert_int_equal(first.session_tag_count, 2);
	s->call.principal = &first;
	request = asking("arn:aws:iam::" OURS ":role/next");
	assert_ok(assume(s, request, &result));
	struct principal second = open_credentials(s, result.credentials);
	assert_int_equal(second.session_tag_count, 1);
	assert_string_equal(second.session_tags[0].key, "Stage");
	assert_string_equal(second.source_identity, "alice");
	request.source_identity = "mallory";
	assert_error(assume(s, request, &result), ERROR_ACCESS_DENIED_QUERY);
	request.source_identity = NULL;
	request.tags = (struct sts_tagListType){ .items = tags, .count = 1, .set = true };
	assert_error(assume(s, request, &result), ERROR_INVALID_PARAMETER_VALUE);
}

static void what_a_session_is_given_is_checked(void **state)
{
	struct scene *s = *state;
	struct sts_AssumeRoleResponse result;
	struct sts_AssumeRoleRequest request = asking(DEPLOY);
	struct sts_PolicyDescriptorType none = { "arn:aws:iam::" OURS ":policy/none" },
					aws = { "arn:aws:iam::aws:policy/ReadOnlyAccess" };
	struct sts_Tag reserved[] = { { "aws:x", "1" } }, twice[] = { { "A", "1" }, { "a", "2" } };
	request.role_session_name = "no spaces";
	assert_error(assume(s, request, &result), ERROR_VALIDATION_QUERY);
	request = asking(DEPLOY);
	request.policy = "{}";
	assert_error(assume(s, request, &result), ERROR_MALFORMED_POLICY_DOCUMENT);
	char *large = arena_alloc(s->arena, 2050);
	memset(large, ' ', 2049);
	request.policy = large;
	assert_error(assume(s, request, &result), ERROR_PACKED_POLICY_TOO_LARGE);
	request.policy = NULL;
	request.policy_arns =
		(struct sts_policyDescriptorListType){ .items = &none, .count = 1, .set = true };
	assert_error(assume(s, request, &result), ERROR_MALFORMED_POLICY_DOCUMENT);
	request.policy_arns.items = &aws;
	assert_ok(assume(s, request, &result));
	request.tags = (struct sts_tagListType){ .items = reserved, .count = 1, .set = true };
	assert_error(assume(s, request, &result), ERROR_INVALID_PARAMETER_VALUE);
	request.tags = (struct sts_tagListType){ .items = twice, .count = 2, .set = true };
	assert_error(assume(s, request, &result), ERROR_INVALID_PARAMETER_VALUE);
	request = asking(DEPLOY);
	request.serial_number = "arn:aws:iam::" OURS ":mfa/bob";
	request.token_code = "123456";
	assert_error(assume(s, request, &result), ERROR_ACCESS_DENIED_QUERY);
}

static void session_tokens_come_of_long_term_keys(void **state)
{
	struct scene *s = *state;
	struct sts_GetSessionTokenRequest request = { 0 };
	struct sts_GetSessionTokenResponse result;
	struct sts_GetFederationTokenRequest federation = { .name = "guest" };
	struct sts_GetFederationTokenResponse federated;
	assert_ok(STS(s, GetSessionToken, sts_get_session_token, &request, &result));
	struct principal session = open_credentials(s, result.credentials);
	assert_int_equal(session.type, PRINCIPAL_USER);
	assert_string_equal(session.arn, BOB);
	assert_int_equal(session.expires_ms / 1000 - session.issued_ms / 1000, 12 * 3600);
	assert_ok(STS(s, GetFederationToken, sts_get_federation_token, &federation, &federated));
	struct principal guest = open_credentials(s, federated.credentials);
	assert_int_equal(guest.type, PRINCIPAL_FEDERATED_USER);
	assert_string_equal(guest.arn, "arn:aws:sts::" OURS ":federated-user/guest");
	assert_string_equal(guest.id, OURS ":guest");
	assert_string_equal(guest.issuer_id, "AIDABOB");
	s->call.principal = &session;
	assert_error(
		STS(s, GetSessionToken, sts_get_session_token, &request, &result), ERROR_ACCESS_DENIED_QUERY);
	assert_error(STS(s, GetFederationToken, sts_get_federation_token, &federation, &federated),
		ERROR_ACCESS_DENIED_QUERY);
	s->call.principal = &root;
	request.duration_seconds = some_integer(36000);
	assert_ok(STS(s, GetSessionToken, sts_get_session_token, &request, &result));
	session = open_credentials(s, result.credentials);
	assert_int_equal(session.expires_ms / 1000 - session.issued_ms / 1000, 3600);
}

static void keys_and_messages_are_told_about(void **state)
{
	struct scene *s = *state;
	struct sts_GetAccessKeyInfoRequest key = { "AKIATHEIRS0000000000" };
	struct sts_GetAccessKeyInfoResponse info;
	struct sts_GetSessionTokenRequest request = { 0 };
	struct sts_GetSessionTokenResponse session;
	put_key(s, THEIRS, THEIRS, "AKIATHEIRS0000000000");
	assert_ok(STS(s, GetAccessKeyInfo, sts_get_access_key_info, &key, &info));
	assert_string_equal(info.account, THEIRS);
	assert_ok(STS(s, GetSessionToken, sts_get_session_token, &request, &session));
	key.access_key_id = session.credentials->access_key_id;
	assert_ok(STS(s, GetAccessKeyInfo, sts_get_access_key_info, &key, &info));
	assert_string_equal(info.account, OURS);
	key.access_key_id = "AKIANOBODY0000000000";
	assert_error(STS(s, GetAccessKeyInfo, sts_get_access_key_info, &key, &info), ERROR_VALIDATION_QUERY);
	struct sts_DecodeAuthorizationMessageRequest message = { authorize_message_seal(
		&s->amid, OURS, "{\"allowed\":false}", s->arena) };
	struct sts_DecodeAuthorizationMessageResponse decoded;
	assert_ok(STS(s, DecodeAuthorizationMessage, sts_decode_authorization_message, &message, &decoded));
	assert_string_equal(decoded.decoded_message, "{\"allowed\":false}");
	message.encoded_message = "AAAA";
	assert_error(STS(s, DecodeAuthorizationMessage, sts_decode_authorization_message, &message, &decoded),
		ERROR_INVALID_AUTHORIZATION_MESSAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(role_is_assumed_by_whom_it_trusts),
		TEST(nobody_else_assumes_it),
		TEST(external_id_is_asked_for),
		TEST(session_lasts_as_long_as_the_role_says),
		TEST(tags_and_source_identity_need_permission_and_are_handed_on),
		TEST(what_a_session_is_given_is_checked),
		TEST(session_tokens_come_of_long_term_keys),
		TEST(keys_and_messages_are_told_about),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
