/* Records of calls: what they say, what they hide and cut, and that they are found by the same words after a crash as before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/ec2.h"
#include "api/kms.h"
#include "audit/search.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "svc/audit.h"
#include "svc/audit_event.h"

#define ACCOUNT "111111111111"
#define OTHER "222222222222"
#define REGION "us-east-1"

struct test {
	char folder[64];
	struct amid_config config;
	struct amid amid;
	struct arena *arena;
	json_t *records[8]; /* newest first */
	char *texts[8];
	size_t count;
};

static int set_up(void **state)
{
	struct test *test = calloc(1, sizeof *test);
	struct error err;
	snprintf(test->folder, sizeof test->folder, "/tmp/amid-test-audit-XXXXXX");
	if (!mkdtemp(test->folder))
		return -1;
	test->config.data = test->folder;
	test->amid.config = &test->config;
	test->arena = arena_create();
	*state = test;
	return audit_open(&test->amid, &err);
}

static int tear_down(void **state)
{
	struct test *test = *state;
	for (size_t i = 0; i < test->count; i++)
		json_decref(test->records[i]);
	audit_log_close(test->amid.audit);
	file_remove_tree(test->folder, NULL);
	arena_destroy(test->arena);
	free(test);
	return 0;
}

static bool take(void *context, const char *event, size_t size, const struct audit_place *place)
{
	struct test *test = context;
	test->texts[test->count] = arena_strndup(test->arena, event, size);
	test->records[test->count] = json_loadb(event, size, 0, NULL);
	assert_non_null(test->records[test->count]);
	return ++test->count < 8;
}

static void make(struct test *test, const char *service_name, enum protocol protocol,
	const struct shape_operation *shape, enum call_access access, const void *input, const void *output,
	const struct error *failed)
{
	const struct service service = { .name = service_name, .protocol = protocol };
	const struct operation operation = { .shape = shape, .access = access };
	const struct principal principal = { .type = PRINCIPAL_ROLE_SESSION,
		.account = ACCOUNT,
		.arn = "arn:aws:sts::" ACCOUNT ":assumed-role/role/visit",
		.id = "AROATEST:visit",
		.access_key_id = "ASIATEST",
		.issuer_arn = "arn:aws:iam::" ACCOUNT ":role/path/role",
		.issuer_id = "AROATEST",
		.temporary = true };
	struct call call = { .amid = &test->amid,
		.arena = test->arena,
		.service = &service,
		.operation = &operation,
		.account = ACCOUNT,
		.region = REGION,
		.principal = &principal,
		.source_ip = "127.0.0.1",
		.user_agent = "agent \"quoted\"\n" };
	const struct door_outcome outcome = {
		.call = &call, .input = input, .output = output, .err = failed, .begun_ms = clock_now_ms()
	};
	const struct audit_search search = { .found = take, .context = test };
	struct error err;
	assert_int_equal(audit_record(&test->amid, &outcome, &err), 0);
	assert_int_equal(audit_log_sync(test->amid.audit, 0, &err), 0);
	assert_int_equal(audit_search(audit_log_folder(test->amid.audit), &search, &err), 0);
}

static const char *at(json_t *object, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(object, a), b));
}

static void launch_hides_user_data_and_names_its_resources(void **state)
{
	static const struct shape_operation shape = { .name = "RunInstances",
		.input = &ec2_shape_RunInstancesRequest,
		.output = &ec2_shape_Reservation };
	struct test *test = *state;
	struct ec2_RunInstancesRequest request = { .image_id = "ami-0123456789abcdef0",
		.user_data = "planted" };
	struct ec2_Instance instance = { .instance_id = "i-0123456789abcdef0" };
	struct ec2_Reservation result = { .reservation_id = "r-1", .instances = { &instance, 1, true } };
	make(test, "ec2", PROTOCOL_EC2, &shape, ACCESS_WRITE, &request, &result, NULL);
	assert_int_equal(test->count, 1);
	json_t *record = test->records[0];
	assert_string_equal(at(record, "requestParameters", "userData"), "HIDDEN_DUE_TO_SECURITY_REASONS");
	assert_null(strstr(test->texts[0], "planted"));
	json_t *items = json_object_get(
		json_object_get(json_object_get(record, "responseElements"), "instancesSet"), "items");
	assert_int_equal(json_array_size(items), 1);
	assert_int_equal(json_array_size(json_object_get(record, "resources")), 2);
	json_t *issuer = json_object_get(
		json_object_get(json_object_get(record, "userIdentity"), "sessionContext"), "sessionIssuer");
	assert_string_equal(json_string_value(json_object_get(issuer, "userName")), "role");
}

static void long_requests_are_cut_and_stay_json(void **state)
{
	static const struct shape_operation shape = { .name = "DescribeInstances",
		.input = &ec2_shape_DescribeInstancesRequest,
		.output = &ec2_shape_DescribeInstancesResult };
	struct test *test = *state;
	enum { COUNT = 5000 };
	const char **ids = arena_alloc_array(test->arena, COUNT, sizeof *ids);
	for (int i = 0; i < COUNT; i++)
		ids[i] = arena_printf(test->arena, "i-%017x", i);
	struct ec2_DescribeInstancesRequest request = { .instance_ids = { ids, COUNT, true },
		.next_token = memset(arena_alloc(test->arena, 20001), 'x', 20000) };
	make(test, "ec2", PROTOCOL_EC2, &shape, ACCESS_LIST, &request, NULL, NULL);
	assert_true(strlen(test->texts[0]) < 60000);
	assert_non_null(strstr(test->texts[0], "more)"));
	assert_true(json_is_null(json_object_get(test->records[0], "responseElements")));
}

static void plaintext_is_hidden_and_the_owner_of_the_key_is_told(void **state)
{
	static const struct shape_operation shape = {
		.name = "Encrypt", .input = &kms_shape_EncryptRequest, .output = &kms_shape_EncryptResponse
	};
	struct test *test = *state;
	struct kms_EncryptRequest request = { .key_id = "arn:aws:kms:us-east-1:" OTHER ":key/k",
		.plaintext = { (const uint8_t *)"planted", 7 } };
	const struct error failed = { .code = ERROR_ACCESS_DENIED, .message = "no" };
	make(test, "kms", PROTOCOL_JSON, &shape, ACCESS_WRITE, &request, NULL, &failed);
	assert_int_equal(test->count, 2);
	for (int i = 0; i < 2; i++) {
		json_t *record = test->records[i];
		assert_string_equal(
			json_string_value(json_object_get(record, "errorCode")), "AccessDeniedException");
		assert_string_equal(json_string_value(json_object_get(record, "recipientAccountId")),
			i ? ACCOUNT : OTHER);
		assert_string_equal(
			at(record, "requestParameters", "plaintext"), "HIDDEN_DUE_TO_SECURITY_REASONS");
	}
	assert_string_equal(json_string_value(json_object_get(test->records[0], "sharedEventID")),
		json_string_value(json_object_get(test->records[1], "sharedEventID")));
}

/* The index is made from the call when it is written, and from the JSON after a crash: both must have the same words. */
static void attributes_are_the_same_from_the_json(void **state)
{
	static const struct shape_operation shape = {
		.name = "CreateVolume", .input = &ec2_shape_CreateVolumeRequest, .output = &ec2_shape_Volume
	};
	static const char *const attributes[][2] = { { NULL, NULL }, { "EventName", "CreateVolume" },
		{ "EventSource", "ec2.amazonaws.com" }, { "Username", "visit" },
		{ "AccessKeyId", "ASIATEST" }, { "ReadOnly", "false" },
		{ "ResourceType", "AWS::EC2::Volume" }, { "ResourceName", "vol-0123456789abcdef0" },
		{ "ResourceName", "arn:aws:ec2:" REGION ":" ACCOUNT ":volume/vol-0123456789abcdef0" } };
	struct test *test = *state;
	struct ec2_CreateVolumeRequest request = { .availability_zone = "us-east-1a" };
	struct ec2_Volume result = { .volume_id = "vol-0123456789abcdef0" };
	for (int i = 0; i < 300; i++) { /* more than a block, so that its filter is asked */
		test->count = 0;
		make(test, "ec2", PROTOCOL_EC2, &shape, ACCESS_WRITE, &request, &result, NULL);
		for (size_t j = 0; j < test->count; j++)
			json_decref(test->records[j]);
	}
	uint64_t words[AUDIT_WORDS_MAX];
	int64_t time_ms;
	size_t count;
	struct audit_event event;
	assert_int_equal(
		audit_event_describe(test->texts[0], strlen(test->texts[0]), &time_ms, words, &count), 0);
	assert_int_equal(audit_event_parse(test->arena, test->texts[0], strlen(test->texts[0]), &event), 0);
	test->count = 0;
	assert_int_equal(count, 1 + 6 + 3);
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		uint64_t word = audit_event_word(ACCOUNT, REGION, attributes[i][0], attributes[i][1]);
		bool among = false;
		for (size_t j = 0; j < count; j++)
			among |= words[j] == word;
		assert_true(among);
		if (attributes[i][0])
			assert_true(audit_event_has(&event, attributes[i][0], attributes[i][1]));
		/* in the first block, whose filter was made of the calls: what is before its end */
		struct audit_search search = {
			.words = &word, .word_count = 1, .found = take, .context = test
		};
		struct error err;
		audit_name_make(clock_now_ms(), 1, search.before.file);
		search.before.offset = 100 * (uint64_t)1000;
		assert_int_equal(audit_search(audit_log_folder(test->amid.audit), &search, &err), 0);
		assert_int_equal(test->count, 8);
		for (; test->count; test->count--)
			json_decref(test->records[test->count - 1]);
	}
	assert_false(audit_event_has(&event, "EventName", "CreateVolumes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			launch_hides_user_data_and_names_its_resources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_requests_are_cut_and_stay_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			plaintext_is_hidden_and_the_owner_of_the_key_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attributes_are_the_same_from_the_json, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
