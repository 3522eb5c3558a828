/* Tags of every kind of resource, and those that come with a new one. */
#include "handlers.h"

#include "svc/network.h"

static const char image_id[] = "ami-0123456789abcdef0";
static const char volume_id[] = "vol-0123456789abcdef0";

/* An image and a volume of the caller. */
static void put_resources(struct scene *s)
{
	struct image_record image = {
		.record = { .account = s->call.account, .region = s->call.region, .id = image_id },
		.name = "image",
	};
	struct volume_record volume = {
		.record = { .account = s->call.account, .region = s->call.region, .id = volume_id },
		.state = "available",
	};

	scene_put(s, &record_image, &image);
	scene_put(s, &record_volume, &volume);
}

static enum error_code set(struct scene *s, const char *id, const char *key, const char *value)
{
	struct ec2_CreateTagsRequest request = {
		.resources = STRINGS(id),
		.tags = ONE(struct ec2_Tag, .key = key, .value = value),
	};
	struct ec2_CreateTagsResult result;

	return RUN(s, CreateTags, ec2_create_tags, &request, &result);
}

/* `key` NULL: all tags. */
static enum error_code unset(struct scene *s, const char *id, const char *key, const char *value)
{
	struct ec2_DeleteTagsRequest request = {
		.resources = STRINGS(id),
		.tags = ONE(struct ec2_Tag, .key = key, .value = value),
	};
	struct ec2_DeleteTagsResult result;

	if (!key)
		request.tags = (struct ec2_TagList){ 0 };
	return RUN(s, DeleteTags, ec2_delete_tags, &request, &result);
}

/* "resource-type id key=value;" of each. */
static const char *shown(struct scene *s, struct ec2_DescribeTagsRequest request)
{
	struct ec2_DescribeTagsResult result;
	char *text = arena_strdup(s->arena, "");

	assert_ok(RUN(s, DescribeTags, ec2_describe_tags, &request, &result));
	for (size_t i = 0; i < result.tags.count; i++) {
		const struct ec2_TagDescription *tag = &result.tags.items[i];
		text = arena_printf(s->arena, "%s%s %s=%s;", text, tag->resource_type, tag->key, tag->value);
	}
	return text;
}

static void tags_are_set_replaced_and_shown(void **state)
{
	struct scene *s = *state;

	put_resources(s);
	assert_ok(set(s, image_id, "Name", "one"));
	assert_ok(set(s, image_id, "Name", "two"));
	assert_ok(set(s, volume_id, "Empty", NULL));
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "image Name=two;volume Empty=;");
}

static void tags_are_shown_by_filter(void **state)
{
	struct scene *s = *state;

	put_resources(s);
	assert_ok(set(s, image_id, "Name", "one"));
	assert_ok(set(s, image_id, "Stage", "one"));
	assert_ok(set(s, volume_id, "Name", "two"));
	static const char *const cases[][3] = {
		{ "resource-type", "volume", "volume Name=two;" },
		{ "resource-id", "ami-*", "image Name=one;image Stage=one;" },
		{ "key", "Stage", "image Stage=one;" },
		{ "value", "t?o", "volume Name=two;" },
		{ "tag:Name", "one", "image Name=one;" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(shown(s,
					    (struct ec2_DescribeTagsRequest){
						    .filters = FILTER(cases[i][0], cases[i][1]) }),
			cases[i][2]);
}

static void deleting_looks_at_values_only_where_they_are_given(void **state)
{
	struct scene *s = *state;

	put_resources(s);
	assert_ok(set(s, image_id, "a", "1"));
	assert_ok(set(s, image_id, "b", ""));
	assert_ok(set(s, image_id, "c", "3"));
	assert_ok(unset(s, image_id, "a", "2"));
	assert_ok(unset(s, image_id, "c", ""));
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "image a=1;image b=;image c=3;");
	assert_ok(unset(s, image_id, "a", "1"));
	assert_ok(unset(s, image_id, "b", ""));
	assert_ok(unset(s, image_id, "c", NULL));
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "");
	assert_ok(unset(s, image_id, "never", NULL));
}

static void deleting_without_tags_deletes_all(void **state)
{
	struct scene *s = *state;

	put_resources(s);
	assert_ok(set(s, image_id, "a", "1"));
	assert_ok(set(s, image_id, "b", "2"));
	assert_ok(unset(s, image_id, NULL, NULL));
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "");
}

static void one_resource_that_is_missing_leaves_all_as_they_were(void **state)
{
	struct scene *s = *state;
	struct ec2_CreateTagsRequest request = {
		.resources = STRINGS(image_id, "vol-00000000000000000"),
		.tags = ONE(struct ec2_Tag, .key = "a", .value = "1"),
	};
	struct ec2_CreateTagsResult result;

	put_resources(s);
	assert_error(RUN(s, CreateTags, ec2_create_tags, &request, &result), ERROR_VOLUME_NOT_FOUND);
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "");
}

static void a_resource_named_twice_is_tagged_once(void **state)
{
	struct scene *s = *state;
	struct ec2_CreateTagsRequest request = {
		.resources = STRINGS(image_id, image_id),
		.tags = ONE(struct ec2_Tag, .key = "a", .value = "1"),
	};
	struct ec2_CreateTagsResult result;

	put_resources(s);
	assert_ok(RUN(s, CreateTags, ec2_create_tags, &request, &result));
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "image a=1;");
}

static void resources_of_others_are_not_found(void **state)
{
	struct scene *s = *state;

	put_resources(s);
	s->call.account = "222222222222";
	assert_error(set(s, image_id, "a", "1"), ERROR_AMI_ID_NOT_FOUND);
	assert_error(unset(s, volume_id, "a", "1"), ERROR_VOLUME_NOT_FOUND);
	assert_error(set(s, "i-0123456789abcdef0", "a", "1"), ERROR_INSTANCE_NOT_FOUND);
	assert_error(set(s, "snap-0123456789abcdef0", "a", "1"), ERROR_SNAPSHOT_NOT_FOUND);
	assert_error(set(s, "key-0123456789abcdef0", "a", "1"), ERROR_KEY_PAIR_NOT_FOUND);
	assert_error(set(s, "sg-0123456789abcdef0", "a", "1"), ERROR_GROUP_NOT_FOUND);
	assert_error(set(s, "sgr-0123456789abcdef0", "a", "1"), ERROR_RULE_ID_NOT_FOUND);
	assert_error(set(s, "subnet-0123456789abcdef0", "a", "1"), ERROR_SUBNET_NOT_FOUND);
	assert_error(set(s, "vpc-0123456789abcdef0", "a", "1"), ERROR_VPC_NOT_FOUND);
	assert_error(set(s, "rock-0123456789abcdef0", "a", "1"), ERROR_INVALID_ID);
	assert_error(set(s, "ami", "a", "1"), ERROR_INVALID_ID);
}

static void the_default_network_can_be_tagged_before_it_was_looked_at(void **state)
{
	struct scene *s = *state;

	assert_ok(set(s, network_default_vpc_id(s->call.account, s->call.region, s->arena), "Name", "home"));
	assert_string_equal(shown(s, (struct ec2_DescribeTagsRequest){ 0 }), "vpc Name=home;");
}

static void a_rule_and_its_group_are_tagged_in_one_call(void **state)
{
	struct scene *s = *state;
	struct security_group_record *group;
	const char *group_id = network_default_group_id(s->call.account, s->call.region, s->arena);

	assert_int_equal(network_ensure_default(&s->amid, s->call.account, s->call.region, &s->err), 0);
	assert_int_equal(EC2_GET(&s->call, record_security_group, group_id, &group, &s->err), 0);
	struct ec2_CreateTagsRequest request = {
		.resources = STRINGS(group->rules.items[0].id, group_id, group->rules.items[1].id),
		.tags = ONE(struct ec2_Tag, .key = "a", .value = "1"),
	};
	struct ec2_CreateTagsResult result;
	assert_ok(RUN(s, CreateTags, ec2_create_tags, &request, &result));
	assert_string_equal(shown(s,
				    (struct ec2_DescribeTagsRequest){
					    .filters = FILTER("resource-type", "security-group*") }),
		"security-group a=1;security-group-rule a=1;security-group-rule a=1;");
}

static void keys_and_values_are_checked(void **state)
{
	struct scene *s = *state;
	char long_text[300];

	put_resources(s);
	memset(long_text, 'x', sizeof long_text);
	long_text[256] = '\0';
	assert_error(set(s, image_id, "", "1"), ERROR_INVALID_PARAMETER_VALUE);
	assert_error(set(s, image_id, "aws:x", "1"), ERROR_INVALID_PARAMETER_VALUE);
	assert_error(set(s, image_id, "AWS:x", "1"), ERROR_INVALID_PARAMETER_VALUE);
	assert_error(set(s, image_id, long_text, "1"), ERROR_INVALID_PARAMETER_VALUE);
	assert_error(set(s, image_id, "a", long_text), ERROR_INVALID_PARAMETER_VALUE);
	long_text[255] = '\0';
	assert_ok(set(s, image_id, "a", long_text));
}

static void characters_count_not_bytes(void **state)
{
	struct scene *s = *state;
	char *text = arena_alloc(s->arena, 2 * 128 + 1);

	put_resources(s);
	for (int i = 0; i < 127; i++)
		memcpy(text + 2 * i, "\xc3\xa4", 2);
	assert_ok(set(s, image_id, text, "1"));
	memcpy(text + 2 * 127, "\xc3\xa4", 2);
	assert_error(set(s, image_id, text, "1"), ERROR_INVALID_PARAMETER_VALUE);
}

static void a_resource_has_fifty_tags_at_most(void **state)
{
	struct scene *s = *state;

	put_resources(s);
	for (int i = 0; i < 50; i++)
		assert_ok(set(s, image_id, arena_printf(s->arena, "k%d", i), "1"));
	assert_error(set(s, image_id, "one more", "1"), ERROR_TAG_LIMIT);
	assert_ok(set(s, image_id, "k7", "2"));
}

static void pages_go_through_the_tags_of_one_resource(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeTagsRequest request = { .max_results = some_integer(5) };
	struct ec2_DescribeTagsResult result;
	size_t seen = 0;

	put_resources(s);
	for (int i = 0; i < 12; i++)
		assert_ok(set(s, image_id, arena_printf(s->arena, "k%d", i), "1"));
	do {
		assert_ok(RUN(s, DescribeTags, ec2_describe_tags, &request, &result));
		seen += result.tags.count;
		request.next_token = result.next_token;
	} while (request.next_token);
	assert_int_equal(seen, 12);
	request.max_results = some_integer(1);
	assert_error(
		RUN(s, DescribeTags, ec2_describe_tags, &request, &result), ERROR_INVALID_PARAMETER_VALUE);
}

static void specifications_give_the_tags_of_one_type(void **state)
{
	struct scene *s = *state;
	static const char *const allowed[] = { "image", "snapshot", NULL };
	struct ec2_Tag tags[] = { { .key = "a", .value = "1" }, { .key = "b" } };
	struct ec2_TagSpecification items[] = {
		{ .resource_type = "image", .tags = { tags, 1, true } },
		{ .resource_type = "snapshot", .tags = { tags, 2, true } },
	};
	struct ec2_TagSpecificationList list = { items, 2, true };
	struct record_tag_list result;

	assert_int_equal(
		ec2_tags_from_specifications(&s->call, &list, "snapshot", allowed, &result, &s->err), 0);
	assert_int_equal(result.count, 2);
	assert_string_equal(ec2_tags_find(&result, "b"), "");
	assert_null(ec2_tags_find(&result, "c"));
	items[0].resource_type = "volume";
	assert_int_equal(
		ec2_tags_from_specifications(&s->call, &list, "snapshot", allowed, &result, &s->err), -1);
	assert_error(s->err.code, ERROR_INVALID_PARAMETER_VALUE);
	items[0].resource_type = "image";
	tags[1].key = "a";
	assert_int_equal(
		ec2_tags_from_specifications(&s->call, &list, "snapshot", allowed, &result, &s->err), -1);
	items[1].tags.count = 0;
	assert_int_equal(
		ec2_tags_from_specifications(&s->call, &list, "snapshot", allowed, &result, &s->err), -1);
}

static void ids_are_checked_by_form(void **state)
{
	struct scene *s = *state;
	static const char *const wrong[] = { "", "ami", "ami-", "ami-1234567", "ami-123456789",
		"ami-1234567G", "ami-0123456789ABCDEF0", "amix-12345678", "i-12345678" };

	assert_int_equal(ec2_check_id("ami-12345678", "ami", ERROR_AMI_ID_MALFORMED, &s->err), 0);
	assert_int_equal(ec2_check_id(image_id, "ami", ERROR_AMI_ID_MALFORMED, &s->err), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(ec2_check_id(wrong[i], "ami", ERROR_AMI_ID_MALFORMED, &s->err), -1);
}

static void members_that_are_not_implemented_are_refused_if_present(void **state)
{
	struct scene *s = *state;
	static const char *const refused[] = { "KernelId", "RamdiskId", NULL };
	struct ec2_RunInstancesRequest request = { .image_id = image_id };

	s->operation.shape = &ec2_operation_RunInstances;
	assert_int_equal(ec2_refuse_members(&s->call, &request, refused, &s->err), 0);
	request.ramdisk_id = "ari-12345678";
	assert_int_equal(ec2_refuse_members(&s->call, &request, refused, &s->err), -1);
	assert_error(s->err.code, ERROR_UNSUPPORTED_OPERATION);
	assert_non_null(strstr(s->err.message, "RamdiskId"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(tags_are_set_replaced_and_shown),
		SCENE_TEST(tags_are_shown_by_filter),
		SCENE_TEST(deleting_looks_at_values_only_where_they_are_given),
		SCENE_TEST(deleting_without_tags_deletes_all),
		SCENE_TEST(one_resource_that_is_missing_leaves_all_as_they_were),
		SCENE_TEST(a_resource_named_twice_is_tagged_once),
		SCENE_TEST(resources_of_others_are_not_found),
		SCENE_TEST(the_default_network_can_be_tagged_before_it_was_looked_at),
		SCENE_TEST(a_rule_and_its_group_are_tagged_in_one_call),
		SCENE_TEST(keys_and_values_are_checked),
		SCENE_TEST(characters_count_not_bytes),
		SCENE_TEST(a_resource_has_fifty_tags_at_most),
		SCENE_TEST(pages_go_through_the_tags_of_one_resource),
		SCENE_TEST(specifications_give_the_tags_of_one_type),
		SCENE_TEST(ids_are_checked_by_form),
		SCENE_TEST(members_that_are_not_implemented_are_refused_if_present),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
