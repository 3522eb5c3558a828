/* Policies of principals, compiled and remembered: what is collected, and that a change holds at once. */
#include "handlers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "svc/iam_managed.h"
#include "svc/iam_policies.h"

#define ACCOUNT "111111111111"
#define READ_ONLY "arn:aws:iam::aws:policy/ReadOnlyAccess"
#define OWN_ARN "arn:aws:iam::" ACCOUNT ":policy/own"
#define ALLOW(action) \
	"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"" action \
	"\",\"Resource\":\"*\"}}"

static const struct principal bob = { .type = PRINCIPAL_USER,
	.account = ACCOUNT,
	.arn = "arn:aws:iam::" ACCOUNT ":user/bob",
	.id = "AIDABOB",
	.user_name = "bob" };

#define INLINE(policy_name, text) ONE(struct record_inline_policy, .name = (policy_name), .document = (text))
#define RECORD(record_id) \
	{ \
		.account = ACCOUNT, .region = "", .id = (record_id) \
	}

static struct iam_user_record user_bob(void)
{
	return (struct iam_user_record){
		.record = RECORD("AIDABOB"), .name = "bob", .key = "bob", .path = "/"
	};
}

/* Puts the user as it is stored, changed by the caller. */
static struct iam_user_record *stored_bob(struct scene *s)
{
	struct iam_user_record *user;
	assert_int_equal(
		meta_get(s->meta, &record_iam_user, ACCOUNT, "", "AIDABOB", s->arena, &user, &s->err), 0);
	return user;
}

static struct policy_set collect(struct scene *s, const struct principal *principal)
{
	struct policy_set set = { 0 };
	if (iam_policies_collect(&s->amid, principal, s->arena, &set, &s->err))
		fail_msg("%s", s->err.message);
	return set;
}

static bool allows(const struct policy_set *set, const char *action)
{
	struct policy_request request = { .action = action,
		.resource = "*",
		.caller = { .type = POLICY_CALLER_USER, .account = ACCOUNT, .arn = bob.arn, .id = bob.id } };
	struct policy_result result;
	policy_evaluate(set, &request, NULL, &result);
	return result.decision == POLICY_ALLOWED;
}

static void test_what_a_user_has_is_collected(void **state)
{
	struct scene *s = *state;
	struct iam_group_record group = { .record = RECORD("AGPAONE"),
		.name = "one",
		.key = "one",
		.path = "/",
		.inline_policies = INLINE("g", ALLOW("ec2:StopInstances")) };
	struct iam_user_record user = user_bob();
	user.inline_policies = (struct record_inline_policy_list)INLINE("i", ALLOW("ec2:RunInstances"));
	user.attached_policies = (struct record_string_list)STRINGS(READ_ONLY);
	user.groups = (struct record_string_list)STRINGS("AGPAONE", "AGPAGONE");
	scene_put(s, &record_iam_group, &group);
	scene_put(s, &record_iam_user, &user);

	struct policy_set set = collect(s, &bob);
	assert_int_equal(set.identity.count, 3);
	assert_string_equal(set.identity.items[0].name, "inline:i");
	assert_string_equal(set.identity.items[1].name, READ_ONLY);
	assert_string_equal(set.identity.items[2].name, "inline:g");
	assert_false(set.has_boundary);
	assert_false(set.has_session);
	assert_true(allows(&set, "ec2:RunInstances"));
	assert_true(allows(&set, "ec2:DescribeImages"));
	assert_true(allows(&set, "ec2:StopInstances"));
	assert_false(allows(&set, "ec2:TerminateInstances"));
	struct policy_set again = collect(s, &bob);
	assert_ptr_equal(again.identity.items, set.identity.items); /* made once */
}

static void test_nobody_else_has_policies(void **state)
{
	struct scene *s = *state;
	struct principal root = { .type = PRINCIPAL_ROOT, .account = ACCOUNT, .id = ACCOUNT };
	struct policy_set set = collect(s, &root);
	assert_int_equal(set.identity.count, 0);
	set = collect(s, &bob); /* who has no record */
	assert_int_equal(set.identity.count, 0);
	struct iam_user_record user = user_bob();
	user.inline_policies = (struct record_inline_policy_list)INLINE("i", ALLOW("ec2:*"));
	scene_put(s, &record_iam_user, &user);
	set = collect(s, &bob);
	assert_int_equal(set.identity.count, 1);
	struct principal foreign = bob; /* the same id, in another account */
	foreign.account = "222222222222";
	set = collect(s, &foreign);
	assert_int_equal(set.identity.count, 0);
}

static void test_a_change_holds_at_once(void **state)
{
	struct scene *s = *state;
	struct iam_user_record user = user_bob();
	user.inline_policies = (struct record_inline_policy_list)INLINE("i", ALLOW("ec2:RunInstances"));
	scene_put(s, &record_iam_user, &user);
	struct policy_set before = collect(s, &bob);

	struct iam_user_record *stored = stored_bob(s);
	stored->inline_policies.items[0].document = ALLOW("ec2:StopInstances");
	scene_put(s, &record_iam_user, stored);
	struct policy_set after = collect(s, &bob);
	assert_true(allows(&after, "ec2:StopInstances"));
	assert_false(allows(&after, "ec2:RunInstances"));
	assert_true(allows(&before, "ec2:RunInstances")); /* whoever has the old ones may go on with them */

	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_iam_user, stored_bob(s));
	assert_int_equal(meta_commit(s->meta, batch, &s->err), 0);
	after = collect(s, &bob);
	assert_int_equal(after.identity.count, 0);
}

static void test_a_boundary_that_is_gone_allows_nothing(void **state)
{
	struct scene *s = *state;
	struct iam_user_record user = user_bob();
	user.inline_policies = (struct record_inline_policy_list)INLINE("i", ALLOW("*"));
	user.boundary = OWN_ARN;
	scene_put(s, &record_iam_user, &user);
	struct policy_set set = collect(s, &bob);
	assert_true(set.has_boundary);
	assert_int_equal(set.boundary.count, 0);
	assert_false(allows(&set, "ec2:RunInstances"));

	struct iam_policy_record policy = { .record = RECORD("ANPAOWN"),
		.name = "own",
		.key = "own",
		.path = "/",
		.arn = OWN_ARN,
		.versions = ONE(struct record_policy_version, .id = "v1", .document = ALLOW("ec2:*")),
		.default_version = "v1" };
	scene_put(s, &record_iam_policy, &policy);
	set = collect(s, &bob);
	assert_int_equal(set.boundary.count, 1);
	assert_true(allows(&set, "ec2:RunInstances"));
	assert_false(allows(&set, "s3:GetObject"));

	policy.record.version = 1;
	policy.versions.items[0].document = ALLOW("s3:*");
	scene_put(s, &record_iam_policy, &policy);
	set = collect(s, &bob);
	assert_false(allows(&set, "ec2:RunInstances"));
	assert_true(allows(&set, "s3:GetObject"));
}

static void test_a_session_restricts(void **state)
{
	struct scene *s = *state;
	struct iam_role_record role = { .record = RECORD("AROAONE"),
		.name = "worker",
		.key = "worker",
		.path = "/",
		.inline_policies = INLINE("i", ALLOW("*")) };
	scene_put(s, &record_iam_role, &role);
	const char *document = ALLOW("ec2:RunInstances"), *arn = READ_ONLY;
	struct principal session = { .type = PRINCIPAL_ROLE_SESSION,
		.account = ACCOUNT,
		.id = "AROAONE:me",
		.issuer_id = "AROAONE",
		.session_policies = &document,
		.session_policy_count = 1,
		.session_policy_arns = &arn,
		.session_policy_arn_count = 1 };
	struct policy_set set = collect(s, &session);
	assert_int_equal(set.identity.count, 1);
	assert_true(set.has_session);
	assert_int_equal(set.session.count, 2);
	assert_true(allows(&set, "ec2:RunInstances"));
	assert_true(allows(&set, "ec2:DescribeImages"));
	assert_false(allows(&set, "ec2:StopInstances"));
	arn = "arn:aws:iam::" ACCOUNT ":policy/none";
	set = collect(s, &session);
	assert_int_equal(set.session.count, 1);
}

static void test_a_document_is_compiled_once(void **state)
{
	struct scene *s = *state;
	struct policy *first, *second;
	assert_int_equal(
		iam_policies_compile(s->amid.iam_policies, POLICY_IDENTITY, ALLOW("ec2:*"), &first, &s->err),
		0);
	assert_int_equal(
		iam_policies_compile(s->amid.iam_policies, POLICY_IDENTITY, ALLOW("ec2:*"), &second, &s->err),
		0);
	assert_ptr_equal(first, second);
	policy_release(first);
	policy_release(second);
	/* what it is for counts: a trust policy has no Resource */
	assert_int_equal(
		iam_policies_compile(s->amid.iam_policies, POLICY_TRUST, ALLOW("ec2:*"), &first, &s->err),
		-1);
}

static void test_a_stored_document_that_does_not_compile_allows_nothing(void **state)
{
	struct scene *s = *state;
	struct iam_user_record user = user_bob();
	struct policy_set set = { 0 };
	user.inline_policies = (struct record_inline_policy_list)INLINE("i", "{");
	scene_put(s, &record_iam_user, &user);
	assert_int_equal(iam_policies_collect(&s->amid, &bob, s->arena, &set, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_INTERNAL);
}

enum { READERS = 3, CHANGES = 150 };

struct race {
	struct scene *scene;
	atomic_int committed; /* "t:N" is allowed since this was raised to N */
	atomic_int stale;
};

/* What had been committed before the look began is seen. */
static void *look(void *context)
{
	struct race *race = context;
	int known;
	do {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct policy_set set = { 0 };
		struct error err;
		known = atomic_load(&race->committed);
		if (iam_policies_collect(&race->scene->amid, &bob, arena, &set, &err) ||
			!allows(&set, arena_printf(arena, "t:%d", known)))
			atomic_fetch_add(&race->stale, 1);
	} while (known < CHANGES);
	return NULL;
}

static void test_no_change_is_missed_among_threads(void **state)
{
	struct scene *s = *state;
	struct race race = { .scene = s };
	struct iam_user_record user = user_bob();
	struct buffer actions BUFFER_SCOPED = { 0 };
	pthread_t readers[READERS];
	for (int i = 0; i <= CHANGES; i++) {
		buffer_printf(&actions, "%s\"t:%d\"", i ? "," : "", i);
		user.record.version = i;
		user.inline_policies = (struct record_inline_policy_list)INLINE("i",
			arena_printf(s->arena,
				"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":[%s],\"Resource\":\"*\"}}",
				actions.data));
		scene_put(s, &record_iam_user, &user);
		atomic_store(&race.committed, i);
		for (int j = 0; i == 0 && j < READERS; j++)
			assert_int_equal(pthread_create(&readers[j], NULL, look, &race), 0);
	}
	for (int j = 0; j < READERS; j++)
		pthread_join(readers[j], NULL);
	assert_int_equal(atomic_load(&race.stale), 0);
}

static void test_every_policy_of_aws_compiles_and_is_found(void **state)
{
	struct scene *s = *state;
	assert_true(iam_managed_policy_count >= 20);
	for (size_t i = 0; i < iam_managed_policy_count; i++) {
		const struct iam_managed_policy *managed = &iam_managed_policies[i];
		struct policy *policy;
		assert_ptr_equal(iam_managed_policy_find(managed->arn), managed);
		if (policy_compile(
			    POLICY_IDENTITY, managed->document, strlen(managed->document), &policy, &s->err))
			fail_msg("%s: %s", managed->name, s->err.message);
		policy_release(policy);
	}
	assert_null(iam_managed_policy_find("arn:aws:iam::aws:policy/service-role/ReadOnlyAccess"));
	assert_null(iam_managed_policy_find("ReadOnlyAccess"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(test_what_a_user_has_is_collected),
		SCENE_TEST(test_nobody_else_has_policies),
		SCENE_TEST(test_a_change_holds_at_once),
		SCENE_TEST(test_a_boundary_that_is_gone_allows_nothing),
		SCENE_TEST(test_a_session_restricts),
		SCENE_TEST(test_a_document_is_compiled_once),
		SCENE_TEST(test_a_stored_document_that_does_not_compile_allows_nothing),
		SCENE_TEST(test_no_change_is_missed_among_threads),
		SCENE_TEST(test_every_policy_of_aws_compiles_and_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
