/* Key pairs: the handlers. */
#include "handlers.h"

#include "ssh_key_samples.h"

static struct ec2_KeyPair create(struct scene *s, const char *name, const char *type)
{
	struct ec2_CreateKeyPairRequest request = { .key_name = name, .key_type = type };
	struct ec2_KeyPair result;

	assert_ok(RUN(s, CreateKeyPair, ec2_create_key_pair, &request, &result));
	return result;
}

static enum error_code import(struct scene *s, const char *name, const char *material)
{
	struct ec2_ImportKeyPairRequest request = {
		.key_name = name,
		.public_key_material = { (const uint8_t *)material, strlen(material) },
	};
	struct ec2_ImportKeyPairResult result;

	return RUN(s, ImportKeyPair, ec2_import_key_pair, &request, &result);
}

static struct ec2_KeyPairList describe(struct scene *s, struct ec2_DescribeKeyPairsRequest request)
{
	struct ec2_DescribeKeyPairsResult result;

	assert_ok(RUN(s, DescribeKeyPairs, ec2_describe_key_pairs, &request, &result));
	return result.key_pairs;
}

static void a_created_pair_is_described_without_its_private_key(void **state)
{
	struct scene *s = *state;
	struct ec2_KeyPair created = create(s, "one", NULL);
	struct ec2_KeyPairList list = describe(s, (struct ec2_DescribeKeyPairsRequest){ 0 });

	assert_true(text_starts_with(created.key_material, "-----BEGIN RSA PRIVATE KEY-----"));
	assert_int_equal(list.count, 1);
	assert_string_equal(list.items[0].key_name, "one");
	assert_string_equal(list.items[0].key_type, "rsa");
	assert_string_equal(list.items[0].key_pair_id, created.key_pair_id);
	assert_string_equal(list.items[0].key_fingerprint, created.key_fingerprint);
	assert_true(list.items[0].create_time.set);
	assert_null(list.items[0].public_key);
}

static void a_private_key_is_nowhere_in_the_folder(void **state)
{
	struct scene *s = *state;
	struct ec2_KeyPair created = create(s, "one", "ed25519");
	char middle[33] = { 0 };
	const char *body = strchr(created.key_material, '\n') + 1 + 220; /* in the private part */

	memcpy(middle, body, 20);
	assert_null(strchr(middle, '\n'));
	assert_int_not_equal(system(arena_printf(s->arena, "grep -qaF -e '%s' %s/*", middle, s->folder)), 0);
	assert_int_equal(system(arena_printf(s->arena, "grep -qaF -e 'ssh-ed25519' %s/*", s->folder)), 0);
}

static void a_public_key_is_shown_when_asked_for(void **state)
{
	struct scene *s = *state;

	assert_int_equal(import(s, "mine", sample_ed25519_openssh " me@host"), ERROR_NONE);
	struct ec2_KeyPairList list =
		describe(s, (struct ec2_DescribeKeyPairsRequest){ .include_public_key = some_boolean(true) });
	assert_string_equal(list.items[0].public_key, sample_ed25519_openssh " mine");
	assert_string_equal(list.items[0].key_fingerprint, sample_ed25519_sha256);
	assert_string_equal(list.items[0].key_type, "ed25519");
}

static void a_name_is_taken_once(void **state)
{
	struct scene *s = *state;
	struct ec2_CreateKeyPairRequest request = { .key_name = "one" };
	struct ec2_KeyPair result;

	create(s, "one", NULL);
	assert_error(RUN(s, CreateKeyPair, ec2_create_key_pair, &request, &result), ERROR_KEY_PAIR_DUPLICATE);
	assert_error(import(s, "one", sample_rsa_openssh), ERROR_KEY_PAIR_DUPLICATE);
	s->call.region = "us-west-2";
	assert_int_equal(import(s, "one", sample_rsa_openssh), ERROR_NONE);
}

static void parameters_that_are_wrong_are_refused(void **state)
{
	struct scene *s = *state;
	struct ec2_KeyPair result;
	struct ec2_CreateKeyPairRequest request = { .key_name = "k", .key_format = "ppk" };

	assert_error(
		RUN(s, CreateKeyPair, ec2_create_key_pair, &request, &result), ERROR_UNSUPPORTED_OPERATION);
	request = (struct ec2_CreateKeyPairRequest){ .key_name = "k", .key_type = "dsa" };
	assert_error(
		RUN(s, CreateKeyPair, ec2_create_key_pair, &request, &result), ERROR_INVALID_PARAMETER_VALUE);
	request = (struct ec2_CreateKeyPairRequest){ .key_name = " k" };
	assert_error(
		RUN(s, CreateKeyPair, ec2_create_key_pair, &request, &result), ERROR_INVALID_PARAMETER_VALUE);
	assert_error(import(s, "k", "nonsense"), ERROR_KEY_FORMAT);
	assert_int_equal(describe(s, (struct ec2_DescribeKeyPairsRequest){ 0 }).count, 0);
}

static void names_ids_and_filters_choose(void **state)
{
	struct scene *s = *state;
	struct ec2_KeyPair one = create(s, "one", "ed25519");

	create(s, "two", "ed25519");
	struct ec2_KeyPairList list =
		describe(s, (struct ec2_DescribeKeyPairsRequest){ .key_names = STRINGS("two") });
	assert_int_equal(list.count, 1);
	assert_string_equal(list.items[0].key_name, "two");
	list = describe(s, (struct ec2_DescribeKeyPairsRequest){ .key_pair_ids = STRINGS(one.key_pair_id) });
	assert_string_equal(list.items[0].key_name, "one");
	list = describe(s, (struct ec2_DescribeKeyPairsRequest){ .filters = FILTER("key-name", "o*") });
	assert_int_equal(list.count, 1);
	assert_string_equal(list.items[0].key_name, "one");
}

static void a_name_or_filter_that_is_not_there_is_an_error(void **state)
{
	struct scene *s = *state;
	struct ec2_DescribeKeyPairsResult result;
	struct ec2_DescribeKeyPairsRequest request = { .key_names = STRINGS("none") };

	assert_error(RUN(s, DescribeKeyPairs, ec2_describe_key_pairs, &request, &result),
		ERROR_KEY_PAIR_NOT_FOUND);
	request = (struct ec2_DescribeKeyPairsRequest){ .filters = FILTER("colour", "red") };
	assert_error(RUN(s, DescribeKeyPairs, ec2_describe_key_pairs, &request, &result),
		ERROR_INVALID_PARAMETER_VALUE);
	assert_string_equal(s->err.message, "The filter 'colour' is invalid");
}

static void deleting_works_once_and_succeeds_twice(void **state)
{
	struct scene *s = *state;
	struct ec2_KeyPair one = create(s, "one", "ed25519");
	struct ec2_DeleteKeyPairRequest request = { .key_name = "one" };
	struct ec2_DeleteKeyPairResult result;

	assert_ok(RUN(s, DeleteKeyPair, ec2_delete_key_pair, &request, &result));
	assert_string_equal(result.key_pair_id, one.key_pair_id);
	assert_int_equal(describe(s, (struct ec2_DescribeKeyPairsRequest){ 0 }).count, 0);
	assert_ok(RUN(s, DeleteKeyPair, ec2_delete_key_pair, &request, &result));
	assert_true(result.return_.value);
	assert_null(result.key_pair_id);
	request = (struct ec2_DeleteKeyPairRequest){ 0 };
	assert_error(RUN(s, DeleteKeyPair, ec2_delete_key_pair, &request, &result), ERROR_MISSING_PARAMETER);
}

static void another_account_has_keys_of_its_own(void **state)
{
	struct scene *s = *state;
	struct ec2_KeyPair one = create(s, "one", "ed25519");
	struct ec2_DeleteKeyPairRequest request = { .key_pair_id = one.key_pair_id };
	struct ec2_DeleteKeyPairResult result;

	s->call.account = "222222222222";
	assert_int_equal(describe(s, (struct ec2_DescribeKeyPairsRequest){ 0 }).count, 0);
	assert_ok(RUN(s, DeleteKeyPair, ec2_delete_key_pair, &request, &result));
	s->call.account = "111111111111";
	assert_int_equal(describe(s, (struct ec2_DescribeKeyPairsRequest){ 0 }).count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_created_pair_is_described_without_its_private_key),
		SCENE_TEST(a_private_key_is_nowhere_in_the_folder),
		SCENE_TEST(a_public_key_is_shown_when_asked_for),
		SCENE_TEST(a_name_is_taken_once),
		SCENE_TEST(parameters_that_are_wrong_are_refused),
		SCENE_TEST(names_ids_and_filters_choose),
		SCENE_TEST(a_name_or_filter_that_is_not_there_is_an_error),
		SCENE_TEST(deleting_works_once_and_succeeds_twice),
		SCENE_TEST(another_account_has_keys_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
