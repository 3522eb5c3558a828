/* The codecs over the real operation tables: requests to structs, structs to answers, and what bad parameters get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/ebs.h"
#include "api/ec2.h"
#include "api/kms.h"
#include "api/rbin.h"
#include "api/sts.h"
#include "aws/codec.h"

#define ID "5d32d6e4-0000-4000-8000-000000000000"

/* A request on its way; freed with the arena. */
struct exchange {
	struct arena *arena;
	struct http_request http;
	struct codec_request request;
	void *input;
	struct error err;
};

static int receive(struct exchange *exchange, const struct service *service)
{
	const struct codec *codec = codec_of(service->protocol);
	exchange->err = (struct error){ 0 };
	if (codec->route(service, &exchange->http, exchange->arena, &exchange->request, &exchange->err) < 0)
		return -1;
	return codec->decode(&exchange->request, &exchange->input, &exchange->err);
}

/* A form posted to EC2. */
static int post(struct exchange *exchange, const char *form)
{
	exchange->http = (struct http_request){
		.method = "POST", .path = "/", .query = "", .body = form, .body_size = strlen(form)
	};
	return receive(exchange, &ec2_service);
}

static void expect(struct exchange *exchange, const char *form, enum error_code code, const char *message)
{
	assert_int_equal(post(exchange, form), -1);
	if (exchange->err.code != code || !strstr(exchange->err.message, message))
		fail_msg("%s: %s: %s", form, error_aws_code(exchange->err.code), exchange->err.message);
}

static void ec2_requests_become_structs(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	static const char form[] =
		"Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=2&SubnetId=&DryRun=true"
		"&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1&BlockDeviceMapping.1.Ebs.VolumeSize=8"
		"&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false&BlockDeviceMapping.2.DeviceName=%2Fdev%2Fsdb"
		"&BlockDeviceMapping.2.NoDevice=&BlockDeviceMapping.2.Ebs.SnapshotId=&SecurityGroupId.1=sg-1&SecurityGroupId.3=sg-3"
		"&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value="
		"&MetadataOptions.HttpTokens=required";
	assert_int_equal(post(&exchange, form), 0);
	const struct ec2_RunInstancesRequest *input = exchange.input;
	assert_string_equal(exchange.request.operation->shape->name, "RunInstances");
	assert_string_equal(input->image_id, "ami-1");
	assert_int_equal(input->max_count.value, 2);
	assert_null(input->subnet_id);
	assert_int_equal(input->block_device_mappings.count, 2);
	const struct ec2_BlockDeviceMapping *mapping = input->block_device_mappings.items;
	assert_string_equal(mapping[0].device_name, "/dev/sda1");
	assert_int_equal(mapping[0].ebs->volume_size.value, 8);
	assert_true(
		mapping[0].ebs->delete_on_termination.set && !mapping[0].ebs->delete_on_termination.value);
	assert_null(mapping[0].no_device);
	assert_string_equal(mapping[1].no_device, "");
	assert_null(mapping[1].ebs);
	assert_int_equal(input->security_group_ids.count, 2);
	assert_string_equal(input->security_group_ids.items[1], "sg-3");
	assert_string_equal(input->tag_specifications.items[0].tags.items[0].value, "");
	assert_string_equal(input->metadata_options->http_tokens, "required");
	assert_true(codec_wants_dry_run(exchange.request.operation, input));
	assert_false(input->security_groups.set);
}

static void ec2_takes_parameters_from_the_query_string_and_ignores_those_of_a_signature(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	exchange.http = (struct http_request){ .method = "GET",
		.path = "/",
		.query =
			"Action=DescribeImages&Filter.1.Name=name&Filter.1.Value.1=a*&Filter.1.Value.2=&Owner.1=self"
			"&X-Amz-Signature=1&X-Amz-Date=2",
		.body = "" };
	assert_int_equal(receive(&exchange, &ec2_service), 0);
	const struct ec2_DescribeImagesRequest *input = exchange.input;
	assert_string_equal(input->filters.items[0].values.items[0], "a*");
	assert_string_equal(input->filters.items[0].values.items[1], "");
	assert_string_equal(input->owners.items[0], "self");
	assert_false(codec_wants_dry_run(exchange.request.operation, input));
}

static void ec2_names_the_parameter_at_fault(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
#define RUN "Action=RunInstances&MinCount=1&MaxCount=1"
	expect(&exchange, "", ERROR_MISSING_PARAMETER, "Action");
	expect(&exchange, "Action=Nonsense", ERROR_INVALID_ACTION, "Nonsense");
	expect(&exchange, "Action=CreateVpc", ERROR_UNSUPPORTED_OPERATION, "CreateVpc");
	expect(&exchange, "Action=RunInstances&MinCount=1", ERROR_MISSING_PARAMETER, "parameter MaxCount");
	expect(&exchange, "Action=DeregisterImage&ImageId=", ERROR_MISSING_PARAMETER, "parameter ImageId");
	expect(&exchange, RUN "&Colour=red", ERROR_UNKNOWN_PARAMETER, "parameter Colour");
	expect(&exchange, RUN "&BlockDeviceMapping.1.Ebs.Size=8", ERROR_UNKNOWN_PARAMETER,
		"BlockDeviceMapping.1.Ebs.Size");
	expect(&exchange, RUN "&SecurityGroupId=sg-1", ERROR_UNKNOWN_PARAMETER, "SecurityGroupId");
	expect(&exchange, RUN "&ImageId.1=ami-1", ERROR_UNKNOWN_PARAMETER, "ImageId.1");
	expect(&exchange, RUN "&MinCount=2", ERROR_MALFORMED_QUERY, "MinCount");
	expect(&exchange, "Action=RunInstances&MinCount=1&MaxCount=two", ERROR_INVALID_PARAMETER_VALUE,
		"(two) for parameter MaxCount");
	expect(&exchange, "Action=RunInstances&MinCount=1&MaxCount=3000000000", ERROR_INVALID_PARAMETER_VALUE,
		"MaxCount");
	expect(&exchange, RUN "&EbsOptimized=maybe", ERROR_INVALID_PARAMETER_VALUE, "EbsOptimized");
	expect(&exchange, RUN "&BlockDeviceMapping.1.Ebs.VolumeType=gp9", ERROR_INVALID_PARAMETER_VALUE,
		"(gp9) for parameter BlockDeviceMapping.1.Ebs.VolumeType");
	expect(&exchange, "Action=DescribeInstanceTypes&MaxResults=4", ERROR_INVALID_PARAMETER_VALUE,
		"between 5 and 100");
	expect(&exchange, "Action=DescribeSnapshots&A=%ff", ERROR_MALFORMED_QUERY, "malformed");
	expect(&exchange, "Action=ImportKeyPair&KeyName=k&PublicKeyMaterial=%3F%3F",
		ERROR_INVALID_PARAMETER_VALUE, "PublicKeyMaterial");
	assert_int_equal(post(&exchange, RUN "&InstanceType=m99.huge"), 0); /* the handler's to refuse */
}

static void secrets_are_not_in_messages(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	static const char json[] = "{\"VolumeSize\":1,\"KmsKeyArn\":\"\"}";
	exchange.http = (struct http_request){
		.method = "POST", .path = "/snapshots", .query = "", .body = json, .body_size = strlen(json)
	};
	assert_int_equal(receive(&exchange, &ebs_service), -1);
	assert_int_equal(exchange.err.code, ERROR_VALIDATION);
	assert_non_null(strstr(exchange.err.message, "'KmsKeyArn'"));
	assert_null(strstr(exchange.err.message, "''"));
}

static void answer(struct exchange *exchange, const struct service *service, const void *output,
	struct http_response *response)
{
	*response = (struct http_response){ 0 };
	codec_of(service->protocol)->encode(&exchange->request, output, ID, response);
}

static void ec2_answers(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct http_response response;
	struct ec2_Tag tags[] = { { "a<b", "\"x\"&\x01\r\xff" }, { "empty", "" } };
	struct ec2_Image images[] = {
		{ .image_id = "ami-1", .public = some_boolean(false), .tags = { tags, 2, true } }, { 0 }
	};
	struct ec2_DescribeImagesResult result = { .images = { images, 2, true } };
	assert_int_equal(post(&exchange, "Action=DescribeImages"), 0);
	answer(&exchange, &ec2_service, &result, &response);
	assert_int_equal(response.status, 200);
	assert_string_equal(response.content_type, "text/xml;charset=UTF-8");
	assert_string_equal(response.body.data,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<DescribeImagesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>" ID
		"</requestId><imagesSet>"
		"<item><tagSet><item><key>a&lt;b</key><value>&quot;x&quot;&amp;\xef\xbf\xbd&#xD;\xef\xbf\xbd</value></item>"
		"<item><key>empty</key><value></value></item></tagSet><imageId>ami-1</imageId><isPublic>false</isPublic></item>"
		"<item></item></imagesSet></DescribeImagesResponse>");
	buffer_free(&response.body);
}

static void ec2_answers_true_where_there_is_no_result(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct http_response response;
	struct ec2_RebootInstancesResult result = { 0 };
	assert_int_equal(post(&exchange, "Action=RebootInstances&InstanceId.1=i-1"), 0);
	answer(&exchange, &ec2_service, &result, &response);
	assert_non_null(
		strstr(response.body.data, "</requestId><return>true</return></RebootInstancesResponse>"));
	buffer_free(&response.body);
}

static void ec2_timestamps_and_numbers_look_like_those_of_aws(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct http_response response;
	struct ec2_Snapshot snapshot = { .snapshot_id = "snap-1",
		.start_time = some_timestamp(1700000000123),
		.volume_size = some_integer(8) };
	assert_int_equal(post(&exchange, "Action=CreateSnapshot&VolumeId=vol-1"), 0);
	answer(&exchange, &ec2_service, &snapshot, &response);
	assert_non_null(strstr(response.body.data, "<startTime>2023-11-14T22:13:20.123Z</startTime>"));
	assert_non_null(strstr(response.body.data, "<volumeSize>8</volumeSize>"));
	buffer_free(&response.body);
}

static void errors_in_each_protocol(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct http_response response = { 0 };
	struct error err;
	error_set(&err, ERROR_AMI_ID_NOT_FOUND, "The image id '[ami-<1>]' does not exist");
	codec_of(PROTOCOL_EC2)->encode_error(&ec2_service, &err, ID, arena, &response);
	assert_int_equal(response.status, 400);
	assert_string_equal(response.body.data,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>"
		"<Code>InvalidAMIID.NotFound</Code><Message>The image id '[ami-&lt;1&gt;]' does not exist</Message></Error></Errors>"
		"<RequestID>" ID "</RequestID></Response>");
	buffer_free(&response.body);
	response = (struct http_response){ 0 };
	error_set(&err, ERROR_VALIDATION_QUERY, "no");
	codec_of(PROTOCOL_QUERY)->encode_error(&sts_service, &err, ID, arena, &response);
	assert_string_equal(response.body.data,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>ValidationError</Code>"
		"<Message>no</Message></Error><RequestId>" ID "</RequestId></ErrorResponse>");
	buffer_free(&response.body);
	response = (struct http_response){ 0 };
	error_set(&err, ERROR_RESOURCE_NOT_FOUND, "a \"b\"");
	codec_of(PROTOCOL_REST_JSON)->encode_error(&ebs_service, &err, ID, arena, &response);
	assert_int_equal(response.status, 404);
	assert_string_equal(response.headers[0].name, "x-amzn-ErrorType");
	assert_string_equal(response.headers[0].value, "ResourceNotFoundException");
	assert_string_equal(
		response.body.data, "{\"Message\":\"a \\\"b\\\"\",\"Reason\":\"SNAPSHOT_NOT_FOUND\"}");
	buffer_free(&response.body);
	response = (struct http_response){ 0 };
	error_set(&err, ERROR_CONCURRENT_LIMIT, "many");
	codec_of(PROTOCOL_REST_JSON)->encode_error(&ebs_service, &err, ID, arena, &response);
	assert_string_equal(response.body.data, "{\"Message\":\"many\"}");
	buffer_free(&response.body);
}

static void query_answers_in_a_result_wrapper_and_ignores_unknown_parameters(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct http_response response;
	struct sts_GetCallerIdentityResponse result = { .account = "123456789012",
		.arn = "arn:aws:iam::123456789012:root" };
	static const char form[] = "Action=GetCallerIdentity&Version=2011-06-15&Nonsense=1";
	exchange.http = (struct http_request){
		.method = "POST", .path = "/", .query = "", .body = form, .body_size = strlen(form)
	};
	assert_int_equal(receive(&exchange, &sts_service), 0);
	answer(&exchange, &sts_service, &result, &response);
	assert_string_equal(response.body.data,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>"
		"<Account>123456789012</Account><Arn>arn:aws:iam::123456789012:root</Arn></GetCallerIdentityResult>"
		"<ResponseMetadata><RequestId>" ID
		"</RequestId></ResponseMetadata></GetCallerIdentityResponse>");
	buffer_free(&response.body);
}

static void rest_json_takes_members_from_path_query_headers_and_payload(void **state)
{
	static const struct http_header headers[] = { { "X-AMZ-DATA-LENGTH", "3" },
		{ "x-amz-checksum", "abc=" }, { "x-amz-Checksum-Algorithm", "SHA256" } };
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	exchange.http = (struct http_request){ .method = "PUT",
		.path = "/snapshots/snap-%31/blocks/7",
		.query = "",
		.headers = headers,
		.header_count = 3,
		.body = "a\0b",
		.body_size = 3 };
	assert_int_equal(receive(&exchange, &ebs_service), 0);
	const struct ebs_PutSnapshotBlockRequest *put = exchange.input;
	assert_string_equal(put->snapshot_id, "snap-1");
	assert_int_equal(put->block_index.value, 7);
	assert_int_equal(put->data_length.value, 3);
	assert_string_equal(put->checksum, "abc=");
	assert_int_equal(put->block_data.size, 3);
	assert_memory_equal(put->block_data.data, "a\0b", 3);

	exchange.http = (struct http_request){ .method = "GET",
		.path = "/snapshots/snap-2/changedblocks",
		.query = "firstSnapshotId=snap-1&maxResults=100&startingBlockIndex=",
		.body = "" };
	assert_int_equal(receive(&exchange, &ebs_service), 0);
	const struct ebs_ListChangedBlocksRequest *list = exchange.input;
	assert_string_equal(list->second_snapshot_id, "snap-2");
	assert_string_equal(list->first_snapshot_id, "snap-1");
	assert_int_equal(list->max_results.value, 100);
	assert_false(list->starting_block_index.set);
}

static void rest_json_takes_lists_from_the_query_and_answers_nothing_without_content(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct rbin_UntagResourceResponse result = { 0 };
	struct http_response response;
	exchange.http = (struct http_request){ .method = "DELETE",
		.path = "/tags/arn%3Aaws%3Arule%2Fx",
		.query = "tagKeys=a&other=b&tagKeys=c%20d",
		.body = "" };
	assert_int_equal(receive(&exchange, &rbin_service), 0);
	const struct rbin_UntagResourceRequest *request = exchange.input;
	assert_string_equal(request->resource_arn, "arn:aws:rule/x");
	assert_int_equal(request->tag_keys.count, 2);
	assert_string_equal(request->tag_keys.items[0], "a");
	assert_string_equal(request->tag_keys.items[1], "c d");
	answer(&exchange, &rbin_service, &result, &response);
	assert_int_equal(response.status, 204);
	assert_int_equal(response.body.size, 0);
	exchange.http.query = "other=b";
	assert_int_equal(receive(&exchange, &rbin_service), -1); /* required */
}

static void rest_json_refuses(void **state)
{
	static const struct {
		const char *method, *path, *query, *body;
		enum error_code code;
		const char *message;
	} cases[] = { { "GET", "/snapshots", "", "", ERROR_UNKNOWN_OPERATION, "/snapshots" },
		{ "POST", "/snapshots/", "", "", ERROR_UNKNOWN_OPERATION, "" },
		{ "POST", "/", "", "", ERROR_UNKNOWN_OPERATION, "" },
		{ "GET", "/snapshots//blocks", "", "", ERROR_UNKNOWN_OPERATION, "" },
		{ "GET", "/snapshots/%zz/blocks", "", "", ERROR_MALFORMED_QUERY, "path" },
		{ "GET", "/snapshots/snap-1/blocks", "maxResults=5", "", ERROR_VALIDATION, "'maxResults'" },
		{ "GET", "/snapshots/snap-1/blocks/x", "blockToken=a", "", ERROR_VALIDATION, "'blockIndex'" },
		{ "GET", "/snapshots/snap-1/blocks/1", "", "", ERROR_VALIDATION, "null at 'blockToken'" },
		{ "POST", "/snapshots", "", "{}", ERROR_VALIDATION, "'VolumeSize'" },
		{ "POST", "/snapshots", "", "{\"VolumeSize\":\"1\"}", ERROR_SERIALIZATION, "'VolumeSize'" },
		{ "POST", "/snapshots", "", "{\"VolumeSize\":0}", ERROR_VALIDATION,
			"greater than or equal to 1" },
		{ "POST", "/snapshots", "", "{", ERROR_SERIALIZATION, "JSON" } };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct exchange exchange = { .arena = arena };
		exchange.http = (struct http_request){ .method = cases[i].method,
			.path = cases[i].path,
			.query = cases[i].query,
			.body = cases[i].body,
			.body_size = strlen(cases[i].body) };
		assert_int_equal(receive(&exchange, &ebs_service), -1);
		if (exchange.err.code != cases[i].code || !strstr(exchange.err.message, cases[i].message))
			fail_msg("%zu: %s: %s", i, error_aws_code(exchange.err.code), exchange.err.message);
	}
}

static void rest_json_ignores_unknown_members(void **state)
{
	static const char json[] = "{\"VolumeSize\":2,\"Colour\":[\"red\"],\"Tags\":[{\"Key\":\"a\"}]}";
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	exchange.http = (struct http_request){ .method = "POST",
		.path = "/snapshots",
		.query = "x=1",
		.body = json,
		.body_size = strlen(json) };
	assert_int_equal(receive(&exchange, &ebs_service), 0);
	const struct ebs_StartSnapshotRequest *input = exchange.input;
	assert_int_equal(input->volume_size.value, 2);
	assert_string_equal(input->tags.items[0].key, "a");
}

static void rest_json_answers_headers_and_payload(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct http_response response;
	struct ebs_GetSnapshotBlockResponse block = {
		.data_length = some_integer(2), .checksum = "c", .block_data = { (const uint8_t *)"\0x", 2 }
	};
	exchange.http = (struct http_request){
		.method = "GET", .path = "/snapshots/snap-1/blocks/0", .query = "blockToken=a", .body = ""
	};
	assert_int_equal(receive(&exchange, &ebs_service), 0);
	answer(&exchange, &ebs_service, &block, &response);
	assert_int_equal(response.status, 200);
	assert_int_equal(response.header_count, 2);
	assert_string_equal(response.headers[0].name, "x-amz-Data-Length");
	assert_string_equal(response.headers[0].value, "2");
	assert_int_equal(response.body.size, 2);
	assert_memory_equal(response.body.data, "\0x", 2);
	buffer_free(&response.body);

	static const struct http_header headers[] = { { "x-amz-ChangedBlocksCount", "0" } };
	struct ebs_CompleteSnapshotResponse complete = { .status = "pending" };
	exchange.http = (struct http_request){ .method = "POST",
		.path = "/snapshots/completion/snap-1",
		.query = "",
		.headers = headers,
		.header_count = 1,
		.body = "" };
	assert_int_equal(receive(&exchange, &ebs_service), 0);
	answer(&exchange, &ebs_service, &complete, &response);
	assert_int_equal(response.status, 202);
	assert_string_equal(response.body.data, "{\"Status\":\"pending\"}");
	buffer_free(&response.body);
}

static int post_json(struct exchange *exchange, const char *target, const char *json)
{
	struct http_header *header = arena_alloc(exchange->arena, sizeof *header);
	*header = (struct http_header){ "X-Amz-Target", target };
	exchange->http = (struct http_request){ .method = "POST",
		.path = "/",
		.query = "",
		.headers = header,
		.header_count = target ? 1 : 0,
		.body = json,
		.body_size = strlen(json) };
	return receive(exchange, &kms_service);
}

static void json_takes_the_operation_from_the_target_and_the_members_from_the_body(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct exchange exchange = { .arena = arena };
	struct http_response response;
	assert_int_equal(post_json(&exchange, "TrentService.GenerateRandom",
				 "{\"NumberOfBytes\":3,\"Colour\":{\"a\":[1,null]}}"),
		0);
	const struct kms_GenerateRandomRequest *input = exchange.input;
	assert_int_equal(input->number_of_bytes.value, 3);
	assert_int_equal(post_json(&exchange, "TrentService.GenerateRandom", ""), 0);
	struct kms_GenerateRandomResponse result = { .plaintext = { (const uint8_t *)"\0x", 2 } };
	answer(&exchange, &kms_service, &result, &response);
	assert_int_equal(response.status, 200);
	assert_string_equal(response.content_type, "application/x-amz-json-1.1");
	assert_string_equal(response.body.data, "{\"Plaintext\":\"AHg=\"}");
	buffer_free(&response.body);
}

static void json_refuses(void **state)
{
	static const struct {
		const char *target, *body;
		enum error_code code;
		const char *message;
	} cases[] = { { NULL, "{}", ERROR_UNKNOWN_OPERATION, "X-Amz-Target" },
		{ "", "{}", ERROR_UNKNOWN_OPERATION, "" },
		{ "TrentService", "{}", ERROR_UNKNOWN_OPERATION, "TrentService" },
		{ "TrentService.", "{}", ERROR_UNKNOWN_OPERATION, "no operation" },
		{ "TrentServices.GenerateRandom", "{}", ERROR_UNKNOWN_OPERATION, "TrentServices" },
		{ "GenerateRandom", "{}", ERROR_UNKNOWN_OPERATION, "GenerateRandom" },
		{ "TrentService.Generate", "{}", ERROR_UNKNOWN_OPERATION, "There is no operation" },
		{ "TrentService.CreateCustomKeyStore", "{}", ERROR_UNKNOWN_OPERATION, "not implemented" },
		{ "TrentService.GenerateRandom", "{\"NumberOfBytes\":0}", ERROR_VALIDATION,
			"between 1 and 1024" },
		{ "TrentService.GenerateRandom", "{\"NumberOfBytes\":\"1\"}", ERROR_SERIALIZATION,
			"'NumberOfBytes'" },
		{ "TrentService.GenerateRandom", "[]", ERROR_SERIALIZATION, "object" } };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct exchange exchange = { .arena = arena };
		assert_int_equal(post_json(&exchange, cases[i].target, cases[i].body), -1);
		if (exchange.err.code != cases[i].code || !strstr(exchange.err.message, cases[i].message))
			fail_msg("%zu: %s: %s", i, error_aws_code(exchange.err.code), exchange.err.message);
	}
}

static void json_errors_of_the_client_are_all_400(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct http_response response = { 0 };
	struct error err;
	error_set(&err, ERROR_ACCESS_DENIED, "a \"b\"");
	codec_of(PROTOCOL_JSON)->encode_error(&kms_service, &err, ID, arena, &response);
	assert_int_equal(response.status, 400);
	assert_string_equal(response.headers[0].name, "x-amzn-ErrorType");
	assert_string_equal(response.headers[0].value, "AccessDeniedException");
	assert_string_equal(
		response.body.data, "{\"__type\":\"AccessDeniedException\",\"message\":\"a \\\"b\\\"\"}");
	buffer_free(&response.body);
	response = (struct http_response){ 0 };
	error_set(&err, ERROR_UNAVAILABLE, "later");
	codec_of(PROTOCOL_JSON)->encode_error(&kms_service, &err, ID, arena, &response);
	assert_int_equal(response.status, 503);
	buffer_free(&response.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ec2_requests_become_structs),
		cmocka_unit_test(ec2_takes_parameters_from_the_query_string_and_ignores_those_of_a_signature),
		cmocka_unit_test(ec2_names_the_parameter_at_fault),
		cmocka_unit_test(secrets_are_not_in_messages),
		cmocka_unit_test(ec2_answers),
		cmocka_unit_test(ec2_answers_true_where_there_is_no_result),
		cmocka_unit_test(ec2_timestamps_and_numbers_look_like_those_of_aws),
		cmocka_unit_test(errors_in_each_protocol),
		cmocka_unit_test(query_answers_in_a_result_wrapper_and_ignores_unknown_parameters),
		cmocka_unit_test(rest_json_takes_members_from_path_query_headers_and_payload),
		cmocka_unit_test(rest_json_takes_lists_from_the_query_and_answers_nothing_without_content),
		cmocka_unit_test(rest_json_refuses),
		cmocka_unit_test(rest_json_ignores_unknown_members),
		cmocka_unit_test(rest_json_answers_headers_and_payload),
		cmocka_unit_test(json_takes_the_operation_from_the_target_and_the_members_from_the_body),
		cmocka_unit_test(json_refuses),
		cmocka_unit_test(json_errors_of_the_client_are_all_400),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
