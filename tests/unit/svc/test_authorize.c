/* What callers may do: policies of a user over real records, asked as the door asks. */
#include "handlers.h"

#include <jansson.h>

#include "aws/codec.h"
#include "svc/authorize/authorize.h"
#include "svc/authorize/message.h"
#include "svc/network.h"

#define IMAGE "ami-0123456789abcdef0"
#define VOLUME "vol-0123456789abcdef0"
#define SNAPSHOT "snap-0123456789abcdef0"
#define ALLOW(action, resource) \
	"{\"Effect\":\"Allow\",\"Action\":\"" action "\",\"Resource\":\"" resource "\"}"
#define DENY(action, resource) "{\"Effect\":\"Deny\",\"Action\":\"" action "\",\"Resource\":\"" resource "\"}"
#define IF(effect, action, resource, condition) \
	"{\"Effect\":\"" effect "\",\"Action\":\"" action "\",\"Resource\":\"" resource \
	"\",\"Condition\":" condition "}"

/* The caller is a user with these statements. */
static void be_user(struct scene *s, const char *statements)
{
	const char *document =
		arena_printf(s->arena, "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements);
	struct iam_user_record user = {
		.record = { .account = s->call.account, .region = "", .id = "AIDATESTER" },
		.name = "tester",
		.key = "tester",
		.path = "/",
		.inline_policies = ONE(struct record_inline_policy, .name = "p", .document = document),
		.tags = ONE(struct record_tag, .key = "team", .value = "blue"),
	};
	s->config.auth_any = false;
	s->call.service = &ec2_service;
	s->call.source_ip = "192.0.2.7";
	scene_put(s, &record_iam_user, &user);
}

static void put_image(struct scene *s, const char *account, const char *tag, const char *value)
{
	struct image_record image = {
		.record = { .account = account, .region = s->call.region, .id = IMAGE },
		.name = "image",
		.state = "available",
		.root_device_name = "/dev/sda1",
		.root_device_type = "ebs",
		.block_devices = ONE(struct record_image_block_device, .device = "/dev/sda1",
			.size_gib = some_integer(8), .volume_type = "gp3"),
		.tags = ONE(struct record_tag, .key = tag, .value = value),
	};
	scene_put(s, &record_image, &image);
}

static void put_volume(struct scene *s)
{
	struct volume_record volume = {
		.record = { .account = s->call.account, .region = s->call.region, .id = VOLUME },
		.state = "available",
		.size_gib = some_integer(20),
		.volume_type = "gp3",
		.zone = "us-east-1a",
		.snapshot = SNAPSHOT,
	};
	scene_put(s, &record_volume, &volume);
}

static void put_network(struct scene *s)
{
	if (network_ensure_default(&s->amid, s->call.account, s->call.region, &s->err))
		fail_msg("%s", s->err.message);
}

static enum error_code ask(struct scene *s, const char *operation, const void *input)
{
	s->call.operation = codec_find_operation(&ec2_service, operation);
	assert_non_null(s->call.operation);
	s->err = (struct error){ 0 };
	return authorize_call(&s->call, input, &s->err) == 0 ? ERROR_NONE : s->err.code;
}
#define ASK(s, operation, ...) ask(s, #operation, &(struct ec2_##operation##Request){ __VA_ARGS__ })
#define assert_denied(call) assert_error(call, ERROR_UNAUTHORIZED)

static void users_may_nothing_at_first(void **state)
{
	struct scene *s = *state;
	be_user(s, ALLOW("s3:*", "*"));
	assert_denied(ASK(s, DescribeImages));
	assert_non_null(strstr(s->err.message,
		"User: arn:aws:iam::111111111111:user/tester is not authorized to perform: ec2:DescribeImages on resource: "
		"* because no identity-based policy allows the ec2:DescribeImages action"));
}

static void root_may_everything(void **state)
{
	struct scene *s = *state;
	static const struct principal root = { .type = PRINCIPAL_ROOT,
		.account = "111111111111",
		.arn = "arn:aws:iam::111111111111:root",
		.id = "111111111111" };
	be_user(s, DENY("*", "*"));
	s->call.principal = &root;
	assert_ok(ASK(s, DeleteVolume, .volume_id = VOLUME));
}

static void actions_and_resources_are_what_policies_name(void **state)
{
	struct scene *s = *state;
	be_user(s,
		ALLOW("ec2:DeleteVolume", "arn:aws:ec2:us-east-1:111111111111:volume/" VOLUME) "," ALLOW(
			"ec2:DeleteSnapshot", "arn:aws:ec2:us-east-1::snapshot/*"));
	assert_ok(ASK(s, DeleteVolume, .volume_id = VOLUME));
	assert_denied(ASK(s, DeleteVolume, .volume_id = "vol-0123456789abcdef1"));
	assert_ok(ASK(s, DeleteSnapshot, .snapshot_id = SNAPSHOT));
	s->call.region = "us-west-2";
	assert_denied(ASK(s, DeleteVolume, .volume_id = VOLUME));
}

static void every_resource_of_a_call_must_be_allowed(void **state)
{
	struct scene *s = *state;
	be_user(s,
		ALLOW("ec2:AttachVolume", "arn:aws:ec2:*:*:volume/*") "," ALLOW(
			"ec2:StopInstances", "arn:aws:ec2:*:*:instance/i-00000000000000001"));
	assert_denied(ASK(s, AttachVolume, .volume_id = VOLUME, .instance_id = "i-00000000000000001"));
	assert_non_null(strstr(s->err.message, ":instance/i-00000000000000001"));
	assert_denied(
		ASK(s, StopInstances, .instance_ids = STRINGS("i-00000000000000001", "i-00000000000000002")));
	assert_non_null(strstr(s->err.message, ":instance/i-00000000000000002"));
}

/* As in the EC2 User Guide: an image with a tag; everything else that a launch touches without condition. */
#define APPROVED_ONLY \
	IF("Allow", "ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-*", \
		"{\"StringEquals\":{\"ec2:ResourceTag/department\":\"dev\"}}") \
	",{\"Effect\":\"Allow\",\"Action\":\"ec2:RunInstances\",\"Resource\":[" \
	"\"arn:aws:ec2:us-east-1:111111111111:instance/*\",\"arn:aws:ec2:us-east-1:111111111111:subnet/*\"," \
	"\"arn:aws:ec2:us-east-1:111111111111:volume/*\",\"arn:aws:ec2:us-east-1:111111111111:network-interface/*\"," \
	"\"arn:aws:ec2:us-east-1:111111111111:key-pair/*\",\"arn:aws:ec2:us-east-1:111111111111:security-group/*\"]}"

#define LAUNCH .image_id = IMAGE, .min_count = some_integer(1), .max_count = some_integer(1)

static void launches_are_limited_to_tagged_images(void **state)
{
	struct scene *s = *state;
	put_network(s);
	put_image(s, s->call.account, "department", "dev");
	be_user(s, APPROVED_ONLY);
	assert_ok(ASK(s, RunInstances, LAUNCH));
	assert_denied(ASK(s, RunInstances, .image_id = "ami-0123456789abcdef1"));
}

static void tags_of_another_account_do_not_count(void **state)
{
	struct scene *s = *state;
	put_network(s);
	put_image(s, "222222222222", "department", "dev");
	be_user(s, APPROVED_ONLY);
	assert_denied(ASK(s, RunInstances, LAUNCH));
	assert_non_null(strstr(s->err.message, "arn:aws:ec2:us-east-1::image/" IMAGE));
}

/* Else anybody could find out by conditions what somebody else's private images are like. */
static void what_is_not_shared_has_no_condition_keys(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeImageAttributeRequest asked = { .image_id = IMAGE,
		.attribute = "launchPermission" };
	put_image(s, "222222222222", "a", "b");
	be_user(s,
		IF("Allow", "ec2:DescribeImageAttribute", "*",
			"{\"StringEquals\":{\"ec2:Owner\":\"222222222222\"}}"));
	assert_denied(ask(s, "DescribeImageAttribute", &asked));
	struct image_record *image;
	assert_int_equal(meta_get(s->meta, &record_image, "222222222222", s->call.region, IMAGE, s->arena,
				 &image, &s->err),
		0);
	image->launch_permissions = (struct record_launch_permission_list)ONE(
		struct record_launch_permission, .user = "111111111111");
	scene_put(s, &record_image, image);
	assert_ok(ask(s, "DescribeImageAttribute", &asked));
}

static void a_launch_is_asked_about_all_that_it_makes(void **state)
{
	struct scene *s = *state;
	put_network(s);
	put_image(s, s->call.account, "a", "b");
	be_user(s,
		ALLOW("ec2:RunInstances", "*") "," IF("Deny", "ec2:RunInstances",
			"arn:aws:ec2:*:*:instance/*",
			"{\"StringNotEquals\":{\"ec2:InstanceType\":\"t3.nano\"}}") "," IF("Deny",
			"ec2:RunInstances", "arn:aws:ec2:*:*:volume/*",
			"{\"NumericGreaterThan\":{\"ec2:VolumeSize\":\"10\"}}") "," IF("Deny", "ec2:*", "*",
			"{\"StringEquals\":{\"ec2:AvailabilityZone\":\"us-east-1c\"}}"));
	assert_ok(ASK(s, RunInstances, LAUNCH, .instance_type = "t3.nano"));
	assert_denied(ASK(s, RunInstances, LAUNCH, .instance_type = "t3.micro"));
	assert_non_null(strstr(s->err.message, "with an explicit deny in an identity-based policy"));
	struct ec2_EbsBlockDevice large = { .volume_size = some_integer(11) };
	assert_denied(ASK(s, RunInstances, LAUNCH, .instance_type = "t3.nano",
		.block_device_mappings =
			ONE(struct ec2_BlockDeviceMapping, .device_name = "/dev/sda1", .ebs = &large)));
	struct ec2_Placement placement = { .availability_zone = "us-east-1c" };
	assert_denied(ASK(s, RunInstances, LAUNCH, .instance_type = "t3.nano", .placement = &placement));
}

static void an_instance_profile_passes_its_role_on(void **state)
{
	struct scene *s = *state;
	struct iam_role_record role = { .record = { s->call.account, "", "AROAROLE" },
		.name = "Backup",
		.key = "backup",
		.path = "/jobs/" };
	struct instance_profile_record profile = { .record = { s->call.account, "", "AIPAPROFILE" },
		.name = "Profile",
		.key = "profile",
		.role = "AROAROLE" };
	struct ec2_IamInstanceProfileSpecification asked = { .name = "Profile" };
	scene_put(s, &record_iam_role, &role);
	scene_put(s, &record_instance_profile, &profile);
	put_network(s);
	put_image(s, s->call.account, "a", "b");
	be_user(s,
		ALLOW("ec2:RunInstances", "*") "," IF("Allow", "iam:PassRole",
			"arn:aws:iam::111111111111:role/${aws:PrincipalTag/team}/*",
			"{\"StringEquals\":{\"iam:PassedToService\":\"ec2.amazonaws.com\"}}"));
	assert_ok(ASK(s, RunInstances, LAUNCH));
	assert_denied(ASK(s, RunInstances, LAUNCH, .iam_instance_profile = &asked));
	assert_non_null(strstr(
		s->err.message, "iam:PassRole on resource: arn:aws:iam::111111111111:role/jobs/Backup"));
	role.record.version = 1;
	role.path = "/blue/";
	scene_put(s, &record_iam_role, &role);
	assert_ok(ASK(s, RunInstances, LAUNCH, .iam_instance_profile = &asked));
}

/* Credentials that an instance was given tell where; others have none of these keys. */
static void policies_can_ask_for_the_instance_of_the_caller(void **state)
{
	struct scene *s = *state;
	const struct ec2_DescribeRegionsRequest request = { 0 };
	const struct principal_instance second = { .arn = "arn:aws:ec2:us-east-1:111111111111:instance/i-1",
		.vpc = "vpc-1",
		.private_address = "172.31.0.5",
		.delivery = "2.0" };
	struct principal_instance first = second;
	struct principal caller = *s->call.principal;
	s->call.principal = &caller;
	be_user(s,
		IF("Allow", "ec2:*", "*",
			"{\"NumericGreaterThanEquals\":{\"ec2:RoleDelivery\":\"2.0\"},"
			"\"ArnLike\":{\"ec2:SourceInstanceArn\":\"arn:aws:ec2:*:*:instance/i-1\"},"
			"\"StringEquals\":{\"aws:Ec2InstanceSourceVpc\":\"vpc-1\","
			"\"aws:Ec2InstanceSourcePrivateIPv4\":\"172.31.0.5\"}}"));
	assert_error(ask(s, "DescribeRegions", &request), ERROR_UNAUTHORIZED);
	caller.instance = &second;
	assert_error(ask(s, "DescribeRegions", &request), ERROR_NONE);
	first.delivery = "1.0";
	caller.instance = &first;
	assert_error(ask(s, "DescribeRegions", &request), ERROR_UNAUTHORIZED);
}

static void others_can_be_asked_about(void **state)
{
	struct scene *s = *state;
	const struct policy_context_key given = {
		.name = "kms:ViaService", .values = (const char *const[]){ "ec2" }, .value_count = 1
	};
	const struct authorize_request asked = { .action = "kms:Decrypt",
		.resource = "arn:aws:kms:us-east-1:111111111111:key/k",
		.context = &given,
		.context_count = 1 };
	struct policy_result result;
	be_user(s, IF("Allow", "kms:*", "*", "{\"StringEquals\":{\"kms:viaservice\":\"ec2\"}}"));
	assert_int_equal(
		authorize_evaluate(&s->amid, s->call.principal, NULL, &asked, s->arena, &result, &s->err), 0);
	assert_int_equal(result.decision, POLICY_ALLOWED);
	assert_int_equal(result.match.source, POLICY_SOURCE_IDENTITY);
	struct authorize_request plain = asked;
	plain.context_count = 0;
	assert_int_equal(
		authorize_evaluate(&s->amid, s->call.principal, NULL, &plain, s->arena, &result, &s->err), 0);
	assert_int_equal(result.decision, POLICY_IMPLICIT_DENY);
}

static void tags_with_something_new_need_a_permission_of_their_own(void **state)
{
	struct scene *s = *state;
	be_user(s,
		ALLOW("ec2:CreateVolume", "*") "," IF("Allow", "ec2:CreateTags", "arn:aws:ec2:*:*:volume/*",
			"{\"StringEquals\":{\"ec2:CreateAction\":\"CreateVolume\",\"aws:RequestTag/stage\":\"test\"},"
			"\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"stage\"]}}"));
#define TAGGED_VOLUME(...) \
	.availability_zone = "us-east-1a", .size = some_integer(1), \
	.tag_specifications = \
		ONE(struct ec2_TagSpecification, .resource_type = "volume", .tags = __VA_ARGS__)
	assert_ok(ASK(s, CreateVolume, .availability_zone = "us-east-1a", .size = some_integer(1)));
	assert_ok(ASK(s, CreateVolume, TAGGED_VOLUME(ONE(struct ec2_Tag, .key = "stage", .value = "test"))));
	assert_denied(
		ASK(s, CreateVolume, TAGGED_VOLUME(ONE(struct ec2_Tag, .key = "stage", .value = "live"))));
	assert_non_null(strstr(s->err.message, "ec2:CreateTags"));
	assert_denied(
		ASK(s, CreateVolume, TAGGED_VOLUME(ONE(struct ec2_Tag, .key = "other", .value = "test"))));
	/* not to what is there already */
	assert_denied(ASK(s, CreateTags, .resources = STRINGS(VOLUME),
		.tags = ONE(struct ec2_Tag, .key = "stage", .value = "test")));
}

static void keys_of_existing_things_are_their_records(void **state)
{
	struct scene *s = *state;
	put_volume(s);
	static const char *const right[] = { "{\"NumericEquals\":{\"ec2:VolumeSize\":\"20\"}}",
		"{\"StringEquals\":{\"ec2:volumetype\":\"gp3\"}}", "{\"Bool\":{\"ec2:Encrypted\":\"false\"}}",
		"{\"ArnLike\":{\"ec2:ParentSnapshot\":\"arn:aws:ec2:us-east-1::snapshot/" SNAPSHOT "\"}}",
		"{\"StringEquals\":{\"aws:ResourceAccount\":\"111111111111\"}}",
		"{\"StringEquals\":{\"aws:PrincipalTag/team\":\"blue\"}}",
		"{\"StringEquals\":{\"aws:username\":\"tester\"}}",
		"{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}}",
		"{\"DateGreaterThan\":{\"aws:CurrentTime\":\"2020-01-01T00:00:00Z\"}}",
		"{\"StringEquals\":{\"aws:RequestedRegion\":\"us-east-1\"}}",
		"{\"Bool\":{\"aws:SecureTransport\":\"false\"}}",
		"{\"Null\":{\"aws:MultiFactorAuthPresent\":\"true\"}}",
		"{\"ArnEquals\":{\"aws:PrincipalArn\":\"arn:aws:iam::111111111111:user/tester\"}}" };
	static const char *const wrong[] = { "{\"NumericEquals\":{\"ec2:VolumeSize\":\"21\"}}",
		"{\"StringEquals\":{\"ec2:InstanceType\":\"t3.nano\"}}",
		"{\"StringEquals\":{\"aws:PrincipalTag/team\":\"red\"}}",
		"{\"IpAddress\":{\"aws:SourceIp\":\"198.51.100.0/24\"}}",
		"{\"DateLessThan\":{\"aws:CurrentTime\":\"2020-01-01T00:00:00Z\"}}",
		"{\"StringEquals\":{\"aws:ResourceTag/any\":\"\"}}",
		"{\"Null\":{\"aws:PrincipalOrgID\":\"false\"}}" };
	struct iam_user_record *user;
	be_user(s, ALLOW("ec2:Nothing", "*"));
	for (size_t i = 0; i < sizeof right / sizeof *right + sizeof wrong / sizeof *wrong; i++) {
		bool is_right = i < sizeof right / sizeof *right;
		const char *condition = is_right ? right[i] : wrong[i - sizeof right / sizeof *right];
		assert_int_equal(meta_get(s->meta, &record_iam_user, s->call.account, "", "AIDATESTER",
					 s->arena, &user, &s->err),
			0);
		user->inline_policies.items[0].document = arena_printf(s->arena,
			"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"ec2:DeleteVolume\","
			"\"Resource\":\"*\",\"Condition\":%s}]}",
			condition);
		scene_put(s, &record_iam_user, user);
		enum error_code code = ASK(s, DeleteVolume, .volume_id = VOLUME);
		if (code != (is_right ? ERROR_NONE : ERROR_UNAUTHORIZED))
			fail_msg("%s: %s", condition, s->err.message);
	}
}

static void sharing_has_keys_for_whom(void **state)
{
	struct scene *s = *state;
	be_user(s,
		ALLOW("ec2:ModifySnapshotAttribute", "*") "," IF("Deny", "ec2:ModifySnapshotAttribute", "*",
			"{\"StringEquals\":{\"ec2:Add/group\":\"all\"}}") "," IF("Deny",
			"ec2:ModifySnapshotAttribute", "*",
			"{\"ForAnyValue:StringNotEquals\":{\"ec2:Add/userId\":\"222222222222\"}}"));
	struct ec2_CreateVolumePermissionModifications good = { .add = ONE(struct ec2_CreateVolumePermission,
									.user_id = "222222222222") };
	struct ec2_CreateVolumePermissionModifications public = {
		.add = ONE(struct ec2_CreateVolumePermission, .group = "all")
	};
	struct ec2_CreateVolumePermissionModifications other = { .add = ONE(struct ec2_CreateVolumePermission,
									 .user_id = "333333333333") };
#define SHARE(s, with) \
	ASK(s, ModifySnapshotAttribute, .snapshot_id = SNAPSHOT, .create_volume_permission = &(with))
	assert_ok(SHARE(s, good));
	assert_denied(SHARE(s, public));
	assert_denied(SHARE(s, other));
	assert_denied(ASK(s, ModifySnapshotAttribute, .snapshot_id = SNAPSHOT, .operation_type = "add",
		.user_ids = STRINGS("333333333333")));
}

static void put_organization(struct scene *s, const char *statements)
{
	struct organization_record organization = { .record = { "999999999999", "", "o-1234567890" },
		.root = "r-abcd",
		.policies_enabled = some_boolean(true),
		.root_policies = STRINGS("p-everything") };
	struct account_record account = { .record = { "", "", s->call.account },
		.name = "member",
		.organization = "o-1234567890",
		.unit = "ou-abcd-12345678" };
	struct organization_unit_record unit = { .record = { "999999999999", "", "ou-abcd-12345678" },
		.organization = "o-1234567890",
		.policies = STRINGS("p-unit") };
	struct organization_policy_record everything = { .record = { "999999999999", "", "p-everything" },
		.document = "{\"Version\":\"2012-10-17\",\"Statement\":[" ALLOW("*", "*") "]}" };
	struct organization_policy_record limits = { .record = { "999999999999", "", "p-unit" },
		.document = arena_printf(
			s->arena, "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements) };
	account.policies = (struct record_string_list)STRINGS("p-everything");
	scene_put(s, &record_organization, &organization);
	scene_put(s, &record_account, &account);
	scene_put(s, &record_organization_unit, &unit);
	scene_put(s, &record_organization_policy, &everything);
	scene_put(s, &record_organization_policy, &limits);
}

static void an_organization_limits_users_and_roots(void **state)
{
	struct scene *s = *state;
	static const struct principal root = { .type = PRINCIPAL_ROOT,
		.account = "111111111111",
		.arn = "arn:aws:iam::111111111111:root",
		.id = "111111111111" };
	put_organization(s, ALLOW("*", "*") "," DENY("ec2:DeleteVolume", "*"));
	be_user(s, ALLOW("*", "*"));
	assert_ok(ASK(s, DescribeImages));
	assert_denied(ASK(s, DeleteVolume, .volume_id = VOLUME));
	assert_non_null(strstr(s->err.message, "with an explicit deny in a service control policy"));
	s->call.principal = &root;
	assert_denied(ASK(s, DeleteVolume, .volume_id = VOLUME));
	assert_ok(ASK(s, DescribeImages));
}

static void each_level_of_an_organization_must_allow(void **state)
{
	struct scene *s = *state;
	put_organization(s, ALLOW("ec2:Describe*", "*"));
	be_user(s, ALLOW("*", "*"));
	assert_ok(ASK(s, DescribeImages));
	assert_denied(ASK(s, DeleteVolume, .volume_id = VOLUME));
	assert_non_null(strstr(s->err.message, "because no service control policy allows"));
}

static void sessions_are_limited_by_their_policies(void **state)
{
	struct scene *s = *state;
	static const char *const policies[] = { "{\"Version\":\"2012-10-17\",\"Statement\":[" ALLOW(
		"ec2:DescribeImages", "*") "]}" };
	be_user(s, ALLOW("ec2:*", "*"));
	struct principal session = *s->call.principal;
	session.session_policies = policies;
	session.session_policy_count = 1;
	session.temporary = true;
	s->call.principal = &session;
	assert_ok(ASK(s, DescribeImages));
	assert_denied(ASK(s, DescribeVolumes));
	assert_non_null(strstr(s->err.message, "because no session policy allows"));
}

static void a_denial_opens_as_what_was_asked(void **state)
{
	struct scene *s = *state;
	put_network(s);
	put_image(s, s->call.account, "stage", "raw");
	be_user(s,
		IF("Deny", "ec2:RunInstances", "arn:aws:ec2:*::image/*",
			"{\"StringEquals\":{\"ec2:ResourceTag/stage\":\"raw\"}}") "," ALLOW("*", "*"));
	assert_denied(ASK(s, RunInstances, LAUNCH));
	assert_non_null(s->err.detail);
	const char *encoded = strrchr(s->err.detail, ' ') + 1;
	const char *text = authorize_message_open(&s->amid, s->call.account, encoded, s->arena);
	assert_non_null(text);
	json_t *message = json_loads(text, 0, NULL);
	assert_true(json_is_false(json_object_get(message, "allowed")));
	assert_true(json_is_true(json_object_get(message, "explicitDeny")));
	json_t *context = json_object_get(message, "context");
	assert_string_equal(json_string_value(json_object_get(context, "action")), "ec2:RunInstances");
	assert_string_equal(json_string_value(json_object_get(context, "resource")),
		"arn:aws:ec2:us-east-1::image/" IMAGE);
	assert_non_null(strstr(
		text, "{\"key\":\"aws:ResourceTag/stage\",\"values\":{\"items\":[{\"value\":\"raw\"}]}}"));
	assert_non_null(
		strstr(text, "{\"key\":\"ec2:ImageType\",\"values\":{\"items\":[{\"value\":\"machine\"}]}}"));
	json_decref(message);
	assert_null(authorize_message_open(&s->amid, "222222222222", encoded, s->arena));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(users_may_nothing_at_first),
		SCENE_TEST(root_may_everything),
		SCENE_TEST(actions_and_resources_are_what_policies_name),
		SCENE_TEST(every_resource_of_a_call_must_be_allowed),
		SCENE_TEST(launches_are_limited_to_tagged_images),
		SCENE_TEST(tags_of_another_account_do_not_count),
		SCENE_TEST(what_is_not_shared_has_no_condition_keys),
		SCENE_TEST(a_launch_is_asked_about_all_that_it_makes),
		SCENE_TEST(an_instance_profile_passes_its_role_on),
		SCENE_TEST(policies_can_ask_for_the_instance_of_the_caller),
		SCENE_TEST(others_can_be_asked_about),
		SCENE_TEST(tags_with_something_new_need_a_permission_of_their_own),
		SCENE_TEST(keys_of_existing_things_are_their_records),
		SCENE_TEST(sharing_has_keys_for_whom),
		SCENE_TEST(an_organization_limits_users_and_roots),
		SCENE_TEST(each_level_of_an_organization_must_allow),
		SCENE_TEST(sessions_are_limited_by_their_policies),
		SCENE_TEST(a_denial_opens_as_what_was_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
