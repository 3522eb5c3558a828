/* Client tokens, over a real metadata store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/ec2.h"
#include "api/records.h"
#include "aws/idempotency.h"
#include "base/clock.h"

static char folder[] = "/tmp/amid-idempotency-XXXXXX";
static struct meta *meta;
static const struct operation run_instances = { .shape = &ec2_operation_RunInstances };
static const struct operation create_volume = { .shape = &ec2_operation_CreateVolume };

static int open_store(void **state)
{
	char path[64];
	struct error err;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/meta", folder);
	return meta_open(path, &meta, &err);
}

static int close_store(void **state)
{
	static const char *const names[] = { "meta", "meta-wal", "meta-shm", "meta-lock" };
	meta_close(meta);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64];
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

static struct call make_call(struct arena *arena)
{
	return (struct call){
		.arena = arena, .operation = &run_instances, .account = "123456789012", .region = "us-east-1"
	};
}

static struct ec2_RunInstancesRequest make_request(const char *token)
{
	return (struct ec2_RunInstancesRequest){ .client_token = token,
		.image_id = "ami-1",
		.min_count = some_integer(1),
		.max_count = some_integer(1) };
}

static void begin(struct call *call, const void *request, struct idempotency *once)
{
	struct error err;
	if (idempotency_begin(call, meta, request, ERROR_IDEMPOTENT_MISMATCH, once, &err) < 0)
		fail_msg("%s", err.message);
}

static int finish(struct idempotency *once, const char *id, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(meta, once->call->arena);
	idempotency_record(once, batch, &id, 1);
	return idempotency_commit(once, batch, err);
}

static void a_request_sent_again_finds_what_the_first_made(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request = make_request("again");
	struct idempotency once;
	struct error err;
	begin(&call, &request, &once);
	assert_false(once.done);
	assert_int_equal(finish(&once, "i-1", &err), 0);
	request.dry_run = some_boolean(false); /* no parameter of what is made */
	begin(&call, &request, &once);
	assert_true(once.done);
	assert_int_equal(once.resource_count, 1);
	assert_string_equal(once.resource_ids[0], "i-1");
}

static void other_parameters_are_a_mismatch(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request = make_request("mismatch");
	struct idempotency once;
	struct error err;
	begin(&call, &request, &once);
	assert_int_equal(finish(&once, "i-1", &err), 0);
	request.max_count = some_integer(2);
	assert_int_equal(
		idempotency_begin(&call, meta, &request, ERROR_IDEMPOTENT_MISMATCH, &once, &err), -1);
	assert_int_equal(err.code, ERROR_IDEMPOTENT_MISMATCH);
}

static void tokens_of_others_do_not_meet(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request = make_request("mine");
	struct ec2_CreateVolumeRequest volume = { .client_token = "mine" };
	struct idempotency once;
	struct error err;
	begin(&call, &request, &once);
	assert_int_equal(finish(&once, "i-1", &err), 0);
	call.account = "210987654321";
	begin(&call, &request, &once);
	assert_false(once.done);
	call = make_call(arena);
	call.region = "us-west-2";
	begin(&call, &request, &once);
	assert_false(once.done);
	call = make_call(arena);
	call.operation = &create_volume;
	begin(&call, &volume, &once);
	assert_false(once.done);
}

static void without_a_token_nothing_is_remembered(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request = make_request(NULL);
	struct idempotency once;
	struct error err;
	begin(&call, &request, &once);
	assert_int_equal(finish(&once, "i-1", &err), 0);
	begin(&call, &request, &once);
	assert_false(once.done);
}

static void of_two_at_once_one_is_run_again(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request = make_request("race");
	struct idempotency first, second;
	struct error err;
	begin(&call, &request, &first);
	begin(&call, &request, &second);
	assert_int_equal(finish(&first, "i-1", &err), 0);
	assert_int_equal(finish(&second, "i-2", &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	begin(&call, &request, &second);
	assert_true(second.done);
	assert_string_equal(second.resource_ids[0], "i-1");
}

static void a_long_token_is_refused(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request =
		make_request("0123456789012345678901234567890123456789012345678901234567890123+");
	struct idempotency once;
	struct error err;
	assert_int_equal(
		idempotency_begin(&call, meta, &request, ERROR_IDEMPOTENT_MISMATCH, &once, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID_PARAMETER_VALUE);
}

static size_t stored_tokens(struct arena *arena)
{
	const struct meta_query all = { 0 };
	struct meta_rows rows;
	struct error err;
	assert_int_equal(meta_list(meta, &record_client_token, &all, arena, &rows, &err), 0);
	return rows.count;
}

/* Last, because it moves the clock. */
static void tokens_expire_after_a_day(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct ec2_RunInstancesRequest request = make_request("old");
	struct idempotency once;
	struct error err;
	begin(&call, &request, &once);
	assert_int_equal(finish(&once, "i-1", &err), 0);
	clock_advance(25 * 60 * 60 * 1000);
	request.max_count = some_integer(9);
	begin(&call, &request, &once);
	assert_false(once.done);
	assert_int_equal(finish(&once, "i-2", &err), 0);
	assert_true(stored_tokens(arena) > 1);
	assert_int_equal(idempotency_sweep(meta, &err), 0);
	assert_int_equal(stored_tokens(arena), 1);
	begin(&call, &request, &once);
	assert_true(once.done);
	assert_string_equal(once.resource_ids[0], "i-2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_sent_again_finds_what_the_first_made),
		cmocka_unit_test(other_parameters_are_a_mismatch),
		cmocka_unit_test(tokens_of_others_do_not_meet),
		cmocka_unit_test(without_a_token_nothing_is_remembered),
		cmocka_unit_test(of_two_at_once_one_is_run_again),
		cmocka_unit_test(a_long_token_is_refused),
		cmocka_unit_test(tokens_expire_after_a_day),
	};
	return cmocka_run_group_tests(tests, open_store, close_store);
}
