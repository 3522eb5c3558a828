/*
 * What policies cost a call: a user with 20 of them (10 attached, 5 of its own, 5 of its groups), collected and evaluated.
 *
 *	bench-iam FOLDER
 *
 * Prints lines "NAME NANOSECONDS ns": the medians of many runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "api/records.h"
#include "base/buffer.h"
#include "svc/amid.h"
#include "svc/iam_policies.h"
#include "base/banned.h"

enum { ROUNDS = 2000, REPEATS = 16, ATTACHED = 10, OWN = 5, STATEMENTS = 6 };

#define ACCOUNT "111111111111"

static const struct principal user = { .type = PRINCIPAL_USER,
	.account = ACCOUNT,
	.arn = "arn:aws:iam::" ACCOUNT ":user/bench",
	.id = "AIDABENCH" };

static void note(void *context, const struct meta_change *change)
{
	iam_policies_note(context, change);
}

static void need(int failed, const struct error *err)
{
	if (!failed)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(1);
}

/* Statements as people write them: some actions, a resource pattern, a condition on a tag. None matches but the last policy's last. */
static char *document(struct arena *arena, int number, bool matches)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	buffer_append_text(&text, "{\"Version\":\"2012-10-17\",\"Statement\":[");
	for (int i = 0; i < STATEMENTS; i++)
		buffer_printf(&text,
			"{\"Sid\":\"S%d\",\"Effect\":\"Allow\",\"Action\":[\"ec2:Describe*\",\"s3:Get*\",\"%s\"],"
			"\"Resource\":\"arn:aws:ec2:*:*:instance/*\",\"Condition\":{\"StringEquals\":"
			"{\"ec2:ResourceTag/team\":\"team-%d\"}}},",
			i, "ec2:StartInstances", number * STATEMENTS + i);
	buffer_printf(&text, "{\"Effect\":\"Allow\",\"Action\":\"%s\",\"Resource\":\"*\"}]}",
		matches ? "ec2:StartInstances" : "sns:Publish");
	return arena_strdup(arena, text.data);
}

static void put(struct meta *meta, struct arena *arena, const struct record_kind *kind, const void *record)
{
	struct error err;
	struct meta_batch *batch = meta_batch_create(meta, arena);
	meta_batch_put(batch, kind, record);
	need(meta_commit(meta, batch, &err), &err);
}

static struct record_inline_policy_list inline_policies(struct arena *arena, int from, bool matches)
{
	struct record_inline_policy_list list = { .set = true };
	for (int i = 0; i < OWN; i++)
		*ARENA_APPEND(arena, list.items, list.count) =
			(struct record_inline_policy){ .name = arena_printf(arena, "inline-%d", from + i),
				.document = document(arena, from + i, matches && i == OWN - 1) };
	return list;
}

static void make_records(struct meta *meta, struct arena *arena)
{
	struct iam_user_record record = { .record = { .account = ACCOUNT, .region = "", .id = user.id },
		.name = "bench",
		.key = "bench",
		.path = "/",
		.inline_policies = inline_policies(arena, ATTACHED, false) };
	struct iam_group_record group = { .record = { .account = ACCOUNT, .region = "", .id = "AGPABENCH" },
		.name = "bench",
		.key = "bench",
		.path = "/",
		.inline_policies = inline_policies(arena, ATTACHED + OWN, true) };
	for (int i = 0; i < ATTACHED; i++) {
		struct iam_policy_record policy = {
			.record = { .account = ACCOUNT,
				.region = "",
				.id = arena_printf(arena, "ANPA%d", i) },
			.name = arena_printf(arena, "bench-%d", i),
			.key = arena_printf(arena, "bench-%d", i),
			.path = "/",
			.arn = arena_printf(arena, "arn:aws:iam::" ACCOUNT ":policy/bench-%d", i),
			.default_version = "v1",
		};
		*ARENA_APPEND(arena, policy.versions.items, policy.versions.count) =
			(struct record_policy_version){ .id = "v1", .document = document(arena, i, false) };
		put(meta, arena, &record_iam_policy, &policy);
		*ARENA_APPEND(arena, record.attached_policies.items, record.attached_policies.count) =
			policy.arn;
	}
	*ARENA_APPEND(arena, record.groups.items, record.groups.count) = group.record.id;
	record.groups.set = record.attached_policies.set = true;
	put(meta, arena, &record_iam_group, &group);
	put(meta, arena, &record_iam_user, &record);
}

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static void evaluate(const struct policy_set *set)
{
	static const char *const team[] = { "team-none" };
	static const struct policy_context_key context[] = { { "ec2:ResourceTag/team", team, 1 } };
	const struct policy_request request = { .action = "ec2:StartInstances",
		.resource = "arn:aws:ec2:us-east-1:" ACCOUNT ":instance/i-0123456789abcdef0",
		.caller = { .type = POLICY_CALLER_USER, .account = ACCOUNT, .arn = user.arn, .id = user.id },
		.context = context,
		.context_count = 1 };
	struct policy_result result;
	policy_evaluate(set, &request, NULL, &result);
	if (result.decision != POLICY_ALLOWED) {
		fprintf(stderr, "the policies do not allow what they should\n");
		exit(1);
	}
}

/* The median time of a collection, and of one with an evaluation. */
static void measure(struct amid *amid, const char *name, bool with_evaluation)
{
	double *times = memory_alloc(ROUNDS * sizeof *times);
	struct error err;
	for (int i = 0; i < ROUNDS; i++) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct policy_set set = { 0 };
		double begun = now_ns();
		for (int j = 0; j < REPEATS; j++) {
			need(iam_policies_collect(amid, &user, arena, &set, &err), &err);
			if (with_evaluation)
				evaluate(&set);
		}
		times[i] = (now_ns() - begun) / REPEATS;
	}
	qsort(times, ROUNDS, sizeof *times, compare);
	printf("%s %.0f ns\n", name, times[ROUNDS / 2]);
	free(times);
}

/* Each time after the user has changed: records are read again, documents are known. */
static void measure_changed(struct amid *amid, struct meta *meta)
{
	double times[101];
	enum { COUNT = sizeof times / sizeof *times };
	struct error err;
	for (int i = 0; i < COUNT; i++) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct iam_user_record *record;
		struct policy_set set = { 0 };
		need(meta_get(meta, &record_iam_user, ACCOUNT, "", user.id, arena, &record, &err), &err);
		put(meta, arena, &record_iam_user, record);
		double begun = now_ns();
		need(iam_policies_collect(amid, &user, arena, &set, &err), &err);
		times[i] = now_ns() - begun;
	}
	qsort(times, COUNT, sizeof *times, compare);
	printf("changed %.0f ns\n", times[COUNT / 2]);
}

int main(int count, char **arguments)
{
	struct error err;
	struct meta *meta;
	if (count != 2) {
		fprintf(stderr, "usage: bench-iam FOLDER\n");
		return 2;
	}
	struct arena *arena = arena_create();
	mkdir(arguments[1], 0700);
	need(meta_open(arena_printf(arena, "%s/meta.db", arguments[1]), &meta, &err), &err);
	struct amid amid = { .meta = meta, .iam_policies = iam_policies_open() };
	meta_set_listener(meta, note, amid.iam_policies);
	make_records(meta, arena);
	double begun = now_ns();
	struct policy_set set = { 0 };
	need(iam_policies_collect(&amid, &user, arena, &set, &err), &err);
	printf("first %.0f ns\n", now_ns() - begun);
	measure(&amid, "collect", false);
	measure(&amid, "collect-evaluate", true);
	measure_changed(&amid, meta);
	arena_destroy(arena);
	meta_close(meta);
	iam_policies_close(amid.iam_policies);
	return 0;
}
