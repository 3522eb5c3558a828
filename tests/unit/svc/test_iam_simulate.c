/* Simulations that need more than one account. */
#include "handlers.h"

#include "api/iam.h"

#define MEMBER "111111111111"
#define MANAGEMENT "222222222222"
#define DOCUMENT(effect, action) \
	"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"" effect "\",\"Action\":\"" action \
	"\",\"Resource\":\"*\"}}"

static void put_account(struct scene *s, const char *id)
{
	struct account_record account = { .record = { .account = "", .region = "", .id = id },
		.name = id,
		.organization = "o-one",
		.policies = STRINGS("p-account") };
	scene_put(s, &record_account, &account);
}

static void put_organization_policy(struct scene *s, const char *id, const char *document)
{
	struct organization_policy_record policy = {
		.record = { .account = MANAGEMENT, .region = "", .id = id },
		.organization = "o-one",
		.name = id,
		.document = document
	};
	scene_put(s, &record_organization_policy, &policy);
}

/* An organization that denies ec2:StopInstances to its members; a user in each account who may do everything. */
static void make_world(struct scene *s)
{
	struct organization_record organization = {
		.record = { .account = MANAGEMENT, .region = "", .id = "o-one" },
		.root = "r-one",
		.policies_enabled = some_boolean(true),
		.root_policies = STRINGS("p-root")
	};
	scene_put(s, &record_organization, &organization);
	put_organization_policy(s, "p-root", DOCUMENT("Allow", "*"));
	put_organization_policy(s, "p-account",
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"},"
		"{\"Effect\":\"Deny\",\"Action\":\"ec2:StopInstances\",\"Resource\":\"*\"}]}");
	put_account(s, MEMBER);
	put_account(s, MANAGEMENT);
	static const char *const accounts[] = { MEMBER, MANAGEMENT };
	for (size_t i = 0; i < 2; i++) {
		struct iam_user_record user = {
			.record = { .account = accounts[i], .region = "", .id = accounts[i] },
			.name = "bob",
			.key = "bob",
			.path = "/",
			.inline_policies = ONE(struct record_inline_policy, .name = "all",
				.document = DOCUMENT("Allow", "*"))
		};
		scene_put(s, &record_iam_user, &user);
	}
}

static const struct iam_EvaluationResult *simulate(
	struct scene *s, const char *account, const char *action, struct iam_SimulatePolicyResponse *result)
{
	struct iam_SimulatePrincipalPolicyRequest request = { .policy_source_arn = arena_printf(s->arena,
								      "arn:aws:iam::%s:user/bob", account),
		.action_names = STRINGS(action) };
	s->call.account = account;
	s->operation.shape = &iam_operation_SimulatePrincipalPolicy;
	memset(result, 0, sizeof *result);
	if (iam_simulate_principal_policy(&s->call, &request, result, &s->err))
		fail_msg("%s", s->err.message);
	assert_int_equal(result->evaluation_results.count, 1);
	return &result->evaluation_results.items[0];
}

static void test_the_organization_takes_part(void **state)
{
	struct scene *s = *state;
	struct iam_SimulatePolicyResponse result;
	make_world(s);
	const struct iam_EvaluationResult *found = simulate(s, MEMBER, "ec2:StartInstances", &result);
	assert_string_equal(found->eval_decision, "allowed");
	assert_true(found->organizations_decision_detail->allowed_by_organizations.value);
	assert_int_equal(found->matched_statements.count, 1);
	found = simulate(s, MEMBER, "ec2:StopInstances", &result);
	assert_string_equal(found->eval_decision, "explicitDeny");
	assert_false(found->organizations_decision_detail->allowed_by_organizations.value);
}

static void test_the_management_account_is_not_restricted(void **state)
{
	struct scene *s = *state;
	struct iam_SimulatePolicyResponse result;
	make_world(s);
	const struct iam_EvaluationResult *found = simulate(s, MANAGEMENT, "ec2:StopInstances", &result);
	assert_string_equal(found->eval_decision, "allowed");
	assert_null(found->organizations_decision_detail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(test_the_organization_takes_part),
		SCENE_TEST(test_the_management_account_is_not_restricted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
