/* Where an account stands: levels from the root down, and policies only where they govern. */
#include "identity.h"

#include "svc/organization.h"
#include "svc/organization_cache.h"

#define ORGANIZATION "o-aaaaaaaaaa"
#define ROOT "r-aaaa"
#define TOP "ou-aaaa-11111111"
#define BELOW "ou-aaaa-22222222"
#define DENY \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}]}"

/* OURS manages; THEIRS is in BELOW, which is in TOP. */
static int setup(void **state)
{
	scene_setup(state);
	struct scene *s = *state;
	const struct organization_record organization = { .record = { OURS, "", ORGANIZATION },
		.root = ROOT,
		.feature_set = "ALL",
		.policies_enabled = some_boolean(true),
		.root_policies = STRINGS(ORGANIZATION_FULL_ACCESS) };
	const struct organization_unit_record top = { .record = { OURS, "", TOP },
		.organization = ORGANIZATION,
		.name = "top",
		.policies = STRINGS(ORGANIZATION_FULL_ACCESS, "p-deny") },
					      below = { .record = { OURS, "", BELOW },
						      .organization = ORGANIZATION,
						      .name = "below",
						      .parent = TOP,
						      .policies = STRINGS(ORGANIZATION_FULL_ACCESS) };
	const struct organization_policy_record policy = { .record = { OURS, "", "p-deny" },
		.organization = ORGANIZATION,
		.name = "deny",
		.document = DENY };
	const struct account_record ours = { .record = { "", "", OURS },
		.organization = ORGANIZATION,
		.policies = STRINGS(ORGANIZATION_FULL_ACCESS) },
				    theirs = { .record = { "", "", THEIRS },
					    .organization = ORGANIZATION,
					    .unit = BELOW,
					    .policies = STRINGS(ORGANIZATION_FULL_ACCESS) };
	scene_put(s, &record_organization, &organization);
	scene_put(s, &record_organization_unit, &top);
	scene_put(s, &record_organization_unit, &below);
	scene_put(s, &record_organization_policy, &policy);
	scene_put(s, &record_account, &ours);
	scene_put(s, &record_account, &theirs);
	return 0;
}

static struct organization_path path_of(struct scene *s, const char *account)
{
	struct organization_path path;
	if (organizations_path(&s->amid, account, s->arena, &path, &s->err))
		fail_msg("%s", s->err.message);
	return path;
}

static void levels_go_from_the_root_to_the_account(void **state)
{
	struct scene *s = *state;
	static const char *const ids[] = { ROOT, TOP, BELOW, THEIRS };
	static const size_t counts[] = { 1, 2, 1, 1 };
	struct organization_path path = path_of(s, THEIRS);
	assert_string_equal(path.organization, ORGANIZATION);
	assert_string_equal(
		path.organization_arn, "arn:aws:organizations::" OURS ":organization/" ORGANIZATION);
	assert_string_equal(path.management_account, OURS);
	assert_string_equal(path.path, ORGANIZATION "/" ROOT "/" TOP "/" BELOW "/");
	assert_true(path.governed);
	assert_int_equal(path.level_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(path.levels[i].id, ids[i]);
		assert_int_equal(path.levels[i].policy_count, counts[i]);
		assert_string_equal(path.levels[i].policies[0].arn, ORGANIZATION_FULL_ACCESS_ARN);
	}
	assert_string_equal(path.levels[1].policies[1].document, DENY);
	assert_int_equal(path.levels[1].policies[1].version, 1);
	assert_int_equal(path.unit_count, 2);
	assert_string_equal(path.unit_arns[0], "arn:aws:organizations::" OURS ":ou/" ORGANIZATION "/" TOP);
	assert_string_equal(path.unit_arns[1], path.levels[2].arn);
}

static void management_account_is_not_governed(void **state)
{
	struct scene *s = *state;
	struct organization_path path = path_of(s, OURS);
	assert_false(path.governed);
	assert_int_equal(path.level_count, 2);
	assert_int_equal(path.levels[0].policy_count, 0);
	assert_string_equal(path.path, ORGANIZATION "/" ROOT "/");
}

static void nobody_is_governed_while_policies_are_off(void **state)
{
	struct scene *s = *state;
	CHANGE(s, organization, OURS, ORGANIZATION, policies_enabled = some_boolean(false));
	assert_false(path_of(s, THEIRS).governed);
}

static void account_of_none_has_none(void **state)
{
	struct scene *s = *state;
	put_account(s, "333333333333");
	assert_null(path_of(s, "333333333333").organization);
	assert_null(path_of(s, "444444444444").organization);
	DELETE(s, organization, OURS, ORGANIZATION);
	assert_null(path_of(s, THEIRS).organization);
}

/* What governs cannot be told then, so nothing is allowed: the caller of organizations_path fails. */
static void missing_part_is_an_error(void **state)
{
	struct scene *s = *state;
	struct organization_path path;
	DELETE(s, organization_policy, OURS, "p-deny");
	assert_int_equal(organizations_path(&s->amid, THEIRS, s->arena, &path, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
	CHANGE(s, organization_unit, OURS, TOP, parent = BELOW);
	assert_int_equal(organizations_path(&s->amid, THEIRS, s->arena, &path, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
}

static void note_change(void *context, const struct meta_change *change)
{
	organization_cache_note_change(context, change);
}

/* Each kind of record that a path rests on: the next look sees the change, and who has an earlier path keeps it. */
static void kept_path_is_forgotten_with_every_change(void **state)
{
	struct scene *s = *state;
	s->amid.organizations = organization_cache_create();
	meta_set_listener(s->meta, note_change, s->amid.organizations);
	struct organization_path first = path_of(s, THEIRS), again = path_of(s, THEIRS);
	assert_ptr_equal(first.levels, again.levels);
	put_user(s, THEIRS, "AIDASOMEBODY", "somebody");
	assert_ptr_equal(first.levels, path_of(s, THEIRS).levels);
	CHANGE(s, organization_policy, OURS, "p-deny", document = "{}");
	assert_string_equal(path_of(s, THEIRS).levels[1].policies[1].document, "{}");
	CHANGE(s, organization_unit, OURS, TOP, policies.count = 1);
	assert_int_equal(path_of(s, THEIRS).levels[1].policy_count, 1);
	CHANGE(s, account, "", THEIRS, unit = NULL);
	assert_int_equal(path_of(s, THEIRS).level_count, 2);
	CHANGE(s, organization, OURS, ORGANIZATION, policies_enabled = some_boolean(false));
	assert_false(path_of(s, THEIRS).governed);
	assert_string_equal(first.levels[1].policies[1].document, DENY);
	/* one that was read before a change and comes after it is not kept */
	uint64_t before = organization_cache_generation(s->amid.organizations);
	CHANGE(s, account, "", THEIRS, unit = TOP);
	organization_cache_keep(s->amid.organizations, before, THEIRS, arena_create(), s->arena, &first);
	assert_int_equal(path_of(s, THEIRS).level_count, 3);
	DELETE(s, organization, OURS, ORGANIZATION);
	assert_null(path_of(s, THEIRS).organization);
	meta_set_listener(s->meta, NULL, NULL);
	organization_cache_destroy(s->amid.organizations);
	s->amid.organizations = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(levels_go_from_the_root_to_the_account),
		TEST(management_account_is_not_governed),
		TEST(nobody_is_governed_while_policies_are_off),
		TEST(account_of_none_has_none),
		TEST(missing_part_is_an_error),
		TEST(kept_path_is_forgotten_with_every_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
