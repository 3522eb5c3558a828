/*
 * What the audit trail costs: putting together and appending the record of a call that reads; then a trail of a million records, and how long the newest page takes of an attribute that is common, one that is rare, and one that
 * is nowhere. Prints a line for each: name, figure, unit. RECORDS as the argument.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/cloudtrail.h"
#include "api/ec2.h"
#include "audit/log.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "svc/audit.h"

enum { CALLS = 20000 };

#define ACCOUNT "111111111111"
#define REGION "us-east-1"

int cloudtrail_lookup_events(struct call *call, const struct cloudtrail_LookupEventsRequest *request,
	struct cloudtrail_LookupEventsResponse *result, struct error *err);

static const struct principal user = { .type = PRINCIPAL_USER,
	.account = ACCOUNT,
	.arn = "arn:aws:iam::" ACCOUNT ":user/bench",
	.id = "AIDABENCH",
	.access_key_id = "AKIABENCH",
	.user_name = "bench" };
static const struct service service = { .name = "ec2", .protocol = PROTOCOL_EC2 };

static double read_clock(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void check(int result, const struct error *err)
{
	if (!result)
		return;
	fprintf(stderr, "bench-audit: %s\n", err->message);
	exit(1);
}

/* A call of an instance's id, which is a new one every time; one in 100,000 is DescribeRegions. */
static void record(struct amid *amid, unsigned long i)
{
	static const struct shape_operation describe_shape = { .name = "DescribeInstances",
		.input = &ec2_shape_DescribeInstancesRequest,
		.output = &ec2_shape_DescribeInstancesResult };
	static const struct shape_operation rare_shape = { .name = "DescribeRegions",
		.input = &ec2_shape_DescribeRegionsRequest,
		.output = &ec2_shape_DescribeRegionsResult };
	static const struct operation describe = { .shape = &describe_shape, .access = ACCESS_LIST },
				      rare = { .shape = &rare_shape, .access = ACCESS_LIST };
	struct arena *arena = arena_create();
	char id[24];
	const char *ids[] = { id };
	struct error err;
	const struct ec2_DescribeInstancesRequest request = { .instance_ids = { ids, 1, true } };
	const struct ec2_DescribeRegionsRequest rare_request = { 0 };
	const struct call_decision decision = { .action = "ec2:DescribeInstances",
		.resource = "*",
		.decision = "allowed",
		.source = "identity",
		.policy = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess" };
	struct call call = { .amid = amid,
		.arena = arena,
		.service = &service,
		.operation = i % 100000 == 7 ? &rare : &describe,
		.account = ACCOUNT,
		.region = REGION,
		.principal = &user,
		.source_ip = "127.0.0.1",
		.user_agent = "Boto3/1.26.27 Python/3.11.2 Linux/6.1.0 Botocore/1.29.27",
		.decisions = &decision,
		.decision_count = 1 };
	snprintf(id, sizeof id, "i-%017lx", i);
	text_uuid(call.request_id);
	const struct door_outcome outcome = { .call = &call,
		.input = call.operation == &rare ? (const void *)&rare_request : &request,
		.output = "",
		.begun_ms = clock_now_ms() };
	check(audit_record(amid, &outcome, &err), &err);
	arena_destroy(arena);
}

static void measure_lookup(struct amid *amid, const char *name, char *key, char *value)
{
	static const struct shape_operation shape = { .name = "LookupEvents" };
	static const struct operation operation = { .shape = &shape };
	struct arena *arena = arena_create();
	struct cloudtrail_LookupAttribute attribute = { .attribute_key = key, .attribute_value = value };
	struct cloudtrail_LookupEventsRequest request = { .lookup_attributes = { &attribute, 1, true } };
	struct cloudtrail_LookupEventsResponse result = { 0 };
	struct error err;
	struct call call = {
		.amid = amid, .arena = arena, .operation = &operation, .account = ACCOUNT, .region = REGION
	};
	double begun = now();
	check(cloudtrail_lookup_events(&call, &request, &result, &err), &err);
	printf("LookupEvents %s, %zu found\t%.1f\tms\n", name, result.events.count, (now() - begun) * 1000);
	arena_destroy(arena);
}

int main(int argc, char **argv)
{
	char folder[] = "/var/tmp/amid-bench-XXXXXX";
	struct error err;
	const struct amid_config config = { .data = folder };
	struct amid amid = { .config = &config };
	unsigned long records = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	if (!mkdtemp(folder))
		return 1;
	check(audit_open(&amid, &err), &err);
	double begun = read_clock(CLOCK_PROCESS_CPUTIME_ID); /* of both threads */
	for (unsigned long i = 0; i < CALLS; i++)
		record(&amid, i);
	check(audit_log_sync(amid.audit, 0, &err), &err);
	printf("record of a call, processor\t%.2f\tus\n",
		(read_clock(CLOCK_PROCESS_CPUTIME_ID) - begun) * 1e6 / CALLS);
	begun = now();
	for (unsigned long i = CALLS; i < records; i++) {
		record(&amid, i);
		if (i % CALLS == 0) /* as fast as they are written, not as memory lasts */
			check(audit_log_sync(amid.audit, 0, &err), &err);
	}
	check(audit_log_sync(amid.audit, 0, &err), &err);
	printf("records chained, written and synced\t%.0f\t/s\n",
		(double)(records - CALLS) / (now() - begun));
	measure_lookup(&amid, "common", (char[]){ "EventName" }, (char[]){ "DescribeInstances" });
	measure_lookup(&amid, "one in 100,000", (char[]){ "EventName" }, (char[]){ "DescribeRegions" });
	measure_lookup(&amid, "oldest", (char[]){ "ResourceName" }, (char[]){ "i-00000000000000001" });
	measure_lookup(&amid, "nowhere", (char[]){ "EventName" }, (char[]){ "NoSuchEvent" });
	audit_log_close(amid.audit);
	begun = now();
	check(audit_open(&amid, &err), &err);
	printf("opening again\t%.1f\tms\n", (now() - begun) * 1000);
	audit_log_close(amid.audit);
	file_remove_tree(folder, NULL);
	return 0;
}
