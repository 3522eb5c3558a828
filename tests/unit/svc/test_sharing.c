/* Who sees and uses what of whom: every way to an image and a snapshot, and what closes it. */
#include "handlers.h"

#include "base/clock.h"
#include "svc/allowed_images.h"
#include "svc/organization.h"
#include "svc/public_access.h"
#include "svc/sharing.h"

/* The callers: in a unit below a unit of an organization; in the organization alone; in none. */
#define INSIDER "111111111111"
#define MEMBER "222222222222"
#define STRANGER "333333333333"
#define OWNER "444444444444"

#define ORGANIZATION "arn:aws:organizations::" OWNER ":organization/o-abcdefghij"
#define OTHER_ORGANIZATION "arn:aws:organizations::" OWNER ":organization/o-zbcdefghij"
#define OUTER "arn:aws:organizations::" OWNER ":ou/o-abcdefghij/ou-root-outer000"
#define INNER "arn:aws:organizations::" OWNER ":ou/o-abcdefghij/ou-root-inner000"
#define OTHER_UNIT "arn:aws:organizations::" OWNER ":ou/o-abcdefghij/ou-root-other000"
#define UNIT_OF_OTHERS "arn:aws:organizations::" OWNER ":ou/o-zbcdefghij/ou-root-inner000"

static void put_accounts(struct scene *s)
{
	struct account_record insider = { .record = { .account = "", .region = "", .id = INSIDER },
		.organization = "o-abcdefghij",
		.unit = "ou-root-inner000" };
	struct account_record member = { .record = { .account = "", .region = "", .id = MEMBER },
		.organization = "o-abcdefghij" };
	struct account_record stranger = { .record = { .account = "", .region = "", .id = STRANGER } };
	struct organization_unit_record inner = {
		.record = { .account = OWNER, .region = "", .id = "ou-root-inner000" },
		.organization = "o-abcdefghij",
		.parent = "ou-root-outer000",
	};
	struct organization_unit_record outer = {
		.record = { .account = OWNER, .region = "", .id = "ou-root-outer000" },
		.organization = "o-abcdefghij",
	};
	struct organization_record organization = {
		.record = { .account = OWNER, .region = "", .id = "o-abcdefghij" }, .root = "r-root"
	};
	scene_put(s, &record_organization, &organization);
	scene_put(s, &record_account, &insider);
	scene_put(s, &record_account, &member);
	scene_put(s, &record_account, &stranger);
	scene_put(s, &record_organization_unit, &inner);
	scene_put(s, &record_organization_unit, &outer);
}

static struct sharing *view_of(struct scene *s, const char *account)
{
	struct sharing *view;
	if (sharing_open(&s->amid, account, "us-east-1", s->arena, &view, &s->err))
		fail_msg("%s", s->err.message);
	return view;
}

static enum sharing_way way_of(
	struct scene *s, const char *account, struct record_launch_permission permission)
{
	struct image_record image = { .record = { .account = OWNER, .region = "us-east-1", .id = "ami-1" },
		.launch_permissions = { &permission, 1, true } };
	return sharing_image_way(view_of(s, account), &image);
}

static void test_each_permission_opens_an_image_for_those_it_names(void **state)
{
	struct scene *s = *state;
	static const struct {
		struct record_launch_permission permission;
		enum sharing_way insider, member, stranger;
	} cases[] = {
		{ { 0 }, SHARING_NONE, SHARING_NONE, SHARING_NONE },
		{ { .user = INSIDER }, SHARING_ACCOUNT, SHARING_NONE, SHARING_NONE },
		{ { .user = STRANGER }, SHARING_NONE, SHARING_NONE, SHARING_ACCOUNT },
		{ { .group = "all" }, SHARING_PUBLIC, SHARING_PUBLIC, SHARING_PUBLIC },
		{ { .organization = ORGANIZATION }, SHARING_ORGANIZATION, SHARING_ORGANIZATION,
			SHARING_NONE },
		{ { .organization = OTHER_ORGANIZATION }, SHARING_NONE, SHARING_NONE, SHARING_NONE },
		{ { .unit = INNER }, SHARING_UNIT, SHARING_NONE, SHARING_NONE },
		{ { .unit = OUTER }, SHARING_UNIT, SHARING_NONE, SHARING_NONE },
		{ { .unit = OTHER_UNIT }, SHARING_NONE, SHARING_NONE, SHARING_NONE },
		{ { .unit = UNIT_OF_OTHERS }, SHARING_NONE, SHARING_NONE, SHARING_NONE },
	};
	put_accounts(s);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(way_of(s, INSIDER, cases[i].permission), cases[i].insider);
		assert_int_equal(way_of(s, MEMBER, cases[i].permission), cases[i].member);
		assert_int_equal(way_of(s, STRANGER, cases[i].permission), cases[i].stranger);
		assert_int_equal(way_of(s, OWNER, cases[i].permission), SHARING_OWN);
	}
}

static void test_recycled_things_are_nobodys(void **state)
{
	struct scene *s = *state;
	struct record_recycled recycled = { .name = "was" };
	struct image_record image = { .record = { .account = OWNER, .region = "us-east-1", .id = "ami-1" },
		.launch_permissions = ONE(struct record_launch_permission, .group = "all"),
		.recycled = &recycled };
	struct snapshot_record snapshot = {
		.record = { .account = OWNER, .region = "us-east-1", .id = "snap-1" },
		.create_volume_permissions = ONE(struct record_launch_permission, .group = "all"),
		.recycled = &recycled
	};
	enum sharing_way way;
	assert_int_equal(sharing_image_way(view_of(s, OWNER), &image), SHARING_NONE);
	assert_int_equal(sharing_image_way(view_of(s, STRANGER), &image), SHARING_NONE);
	assert_int_equal(sharing_snapshot_way(view_of(s, STRANGER), &snapshot, &way, &s->err), 0);
	assert_int_equal(way, SHARING_NONE);
}

static enum sharing_way snapshot_way(
	struct scene *s, const char *account, const struct snapshot_record *snapshot)
{
	enum sharing_way way;
	if (sharing_snapshot_way(view_of(s, account), snapshot, &way, &s->err))
		fail_msg("%s", s->err.message);
	return way;
}

static void test_blocked_public_snapshots_are_seen_by_those_named_only(void **state)
{
	struct scene *s = *state;
	struct record_launch_permission permissions[] = { { .group = "all" }, { .user = MEMBER } };
	struct snapshot_record snapshot = {
		.record = { .account = OWNER, .region = "us-east-1", .id = "snap-1" },
		.create_volume_permissions = { permissions, 2, true },
	};
	struct account_setting_record setting = {
		.record = { .account = OWNER, .region = "us-east-1", .id = "snapshot-block-public-access" },
		.value = PUBLIC_ACCESS_BLOCK_ALL,
	};
	assert_int_equal(snapshot_way(s, STRANGER, &snapshot), SHARING_PUBLIC);
	assert_int_equal(snapshot_way(s, MEMBER, &snapshot), SHARING_ACCOUNT);
	scene_put(s, &record_account_setting, &setting);
	assert_int_equal(snapshot_way(s, STRANGER, &snapshot), SHARING_NONE);
	assert_int_equal(snapshot_way(s, MEMBER, &snapshot), SHARING_ACCOUNT);
	assert_int_equal(snapshot_way(s, OWNER, &snapshot), SHARING_OWN);
}

static void test_snapshots_of_public_platform_images_are_everybodys(void **state)
{
	struct scene *s = *state;
	struct snapshot_record snapshot = {
		.record = { .account = ACCOUNT_PLATFORM, .region = "us-east-1", .id = "snap-1" }
	};
	struct image_record image = {
		.record = { .account = ACCOUNT_PLATFORM, .region = "us-east-1", .id = "ami-1" },
		.name = "platform",
		.block_devices =
			ONE(struct record_image_block_device, .device = "/dev/sda1", .snapshot = "snap-1"),
	};
	assert_int_equal(snapshot_way(s, STRANGER, &snapshot), SHARING_NONE);
	scene_put(s, &record_image, &image);
	assert_int_equal(snapshot_way(s, STRANGER, &snapshot), SHARING_NONE);
	image.record.version = 1;
	image.public = some_boolean(true);
	scene_put(s, &record_image, &image);
	assert_int_equal(snapshot_way(s, STRANGER, &snapshot), SHARING_PUBLIC);
}

#define DAY_MS (24 * 60 * 60 * 1000LL)

/* Whether an image of OWNER, three days old and deprecated for one, meets a criterion. */
static bool meets(struct record_image_criterion criterion)
{
	const int64_t now = 1000 * DAY_MS;
	const char *codes[] = { "abc123" };
	struct image_record image = { .record = { .account = OWNER, .region = "us-east-1", .id = "ami-1" },
		.name = "golden-2026-01",
		.created = some_timestamp(now - 3 * DAY_MS),
		.deprecated_at = some_timestamp(now - DAY_MS),
		.product_codes = { codes, 1, true } };
	struct allowed_images_record settings = { .criteria = { &criterion, 1, true } };
	return allowed_images_match(&settings, &image, now);
}

static void test_a_criterion_is_met_when_all_its_conditions_are(void **state)
{
	(void)state;
	assert_true(meets((struct record_image_criterion){ .providers = STRINGS(OWNER) }));
	assert_true(meets((struct record_image_criterion){ .providers = STRINGS("amazon", OWNER) }));
	assert_false(meets((struct record_image_criterion){ .providers = STRINGS("none") }));
	assert_false(meets((struct record_image_criterion){ .providers = STRINGS("amazon", STRANGER) }));
	assert_true(meets((struct record_image_criterion){ .names = STRINGS("silver-*", "golden-*-0?") }));
	assert_false(meets((struct record_image_criterion){ .names = STRINGS("golden") }));
	assert_true(meets((struct record_image_criterion){ .product_codes = STRINGS("abc123") }));
	assert_false(meets((struct record_image_criterion){ .product_codes = STRINGS("abc") }));
	assert_true(meets((struct record_image_criterion){ .max_age_days = some_integer(3) }));
	assert_false(meets((struct record_image_criterion){ .max_age_days = some_integer(2) }));
	assert_true(meets((struct record_image_criterion){ .max_deprecated_days = some_integer(1) }));
	assert_false(meets((struct record_image_criterion){ .max_deprecated_days = some_integer(0) }));
	assert_false(meets((struct record_image_criterion){
		.providers = STRINGS(OWNER), .names = STRINGS("silver-*") }));
}

static void test_enforced_settings_hide_what_meets_no_criterion_but_never_ones_own(void **state)
{
	struct scene *s = *state;
	struct image_record image = { .record = { .account = OWNER, .region = "us-east-1", .id = "ami-1" },
		.launch_permissions = ONE(struct record_launch_permission, .group = "all"),
		.name = "public" };
	struct allowed_images_record settings = {
		.record = { .account = STRANGER, .region = "us-east-1", .id = "allowed-images" },
		.state = ALLOWED_IMAGES_AUDIT,
	};
	assert_true(sharing_image_is_visible(view_of(s, STRANGER), &image));
	scene_put(s, &record_allowed_images, &settings);
	assert_true(sharing_image_is_visible(view_of(s, STRANGER), &image));
	assert_false(sharing_image_is_allowed(view_of(s, STRANGER), &image));
	settings.record.version = 1;
	settings.state = ALLOWED_IMAGES_ENABLED;
	scene_put(s, &record_allowed_images, &settings);
	assert_false(sharing_image_is_visible(view_of(s, STRANGER), &image));
	assert_int_equal(sharing_image_way(view_of(s, STRANGER), &image), SHARING_PUBLIC);
	image.record.account = STRANGER;
	assert_true(sharing_image_is_visible(view_of(s, STRANGER), &image));
	settings.record.version = 2;
	settings.criteria = (struct record_image_criterion_list)ONE(
		struct record_image_criterion, .providers = STRINGS(OWNER));
	scene_put(s, &record_allowed_images, &settings);
	image.record.account = OWNER;
	assert_true(sharing_image_is_visible(view_of(s, STRANGER), &image));
}

static void test_new_accounts_block_public_images_older_ones_and_the_platform_do_not(void **state)
{
	struct scene *s = *state;
	const char *access;
	struct image_record image = { .record = { .account = MEMBER, .region = "us-east-1", .id = "ami-1" },
		.name = "old",
		.public = some_boolean(true) };
	scene_put(s, &record_image, &image);
	static const char *const expected[][2] = { { STRANGER, PUBLIC_ACCESS_BLOCK_NEW },
		{ MEMBER, PUBLIC_ACCESS_UNBLOCKED }, { ACCOUNT_PLATFORM, PUBLIC_ACCESS_UNBLOCKED } };
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(
			image_public_access(s->meta, expected[i][0], "us-east-1", s->arena, &access, &s->err),
			0);
		assert_string_equal(access, expected[i][1]);
	}
}

static enum sharing_way claimed_way(
	struct scene *s, const char *account, const char *organization, const char *unit)
{
	const struct organization_path claimed = {
		.organization_arn = organization, .unit_arns = &unit, .unit_count = unit ? 1 : 0
	};
	struct record_launch_permission permissions[] = { { .organization = ORGANIZATION },
		{ .unit = INNER } };
	struct image_record image = { .record = { .account = OWNER, .region = "us-east-1", .id = "ami-1" },
		.launch_permissions = { permissions, 2, true } };
	struct sharing *view;
	if (sharing_open_claimed(&s->amid, account, "us-east-1", &claimed, s->arena, &view, &s->err))
		fail_msg("%s", s->err.message);
	return sharing_image_way(view, &image);
}

/* An account of a peer. */
static void test_a_claimed_organization_counts_for_who_is_in_none_here(void **state)
{
	struct scene *s = *state;
	put_accounts(s);
	assert_int_equal(claimed_way(s, "555555555555", NULL, NULL), SHARING_NONE);
	assert_int_equal(claimed_way(s, "555555555555", ORGANIZATION, NULL), SHARING_ORGANIZATION);
	assert_int_equal(claimed_way(s, "555555555555", OTHER_ORGANIZATION, INNER), SHARING_UNIT);
	assert_int_equal(claimed_way(s, "555555555555", OTHER_ORGANIZATION, OTHER_UNIT), SHARING_NONE);
	assert_int_equal(claimed_way(s, MEMBER, OTHER_ORGANIZATION, INNER), SHARING_ORGANIZATION);
	assert_int_equal(claimed_way(s, STRANGER, NULL, NULL), SHARING_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(test_each_permission_opens_an_image_for_those_it_names),
		SCENE_TEST(test_a_claimed_organization_counts_for_who_is_in_none_here),
		SCENE_TEST(test_recycled_things_are_nobodys),
		SCENE_TEST(test_blocked_public_snapshots_are_seen_by_those_named_only),
		SCENE_TEST(test_snapshots_of_public_platform_images_are_everybodys),
		cmocka_unit_test(test_a_criterion_is_met_when_all_its_conditions_are),
		SCENE_TEST(test_enforced_settings_hide_what_meets_no_criterion_but_never_ones_own),
		SCENE_TEST(test_new_accounts_block_public_images_older_ones_and_the_platform_do_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
