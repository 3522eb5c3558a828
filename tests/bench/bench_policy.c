/*
 * Figures of the policy engine: what one decision about a caller with 20 policies costs, and what compiling one costs.
 *
 *	bench-policy
 *
 * Prints lines "name value unit", medians of 40 rounds, processor time. The policies are like those that people write: five statements each, lists of actions and ARNs, conditions on tags, addresses and dates, variables.
 * The request has 30 context keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/policy.h"
#include "base/banned.h"

enum { POLICIES = 20, KEYS = 30, ROUNDS = 40, EVALUATIONS = 2000, COMPILATIONS = 200 };

static const char document_format[] =
	"{\"Version\": \"2012-10-17\", \"Statement\": ["
	"{\"Sid\": \"Describe\", \"Effect\": \"Allow\", \"Action\": [\"service%u:Describe*\", \"service%u:List*\"], \"Resource\": \"*\"},"
	"{\"Effect\": \"Allow\", \"Action\": [\"ec2:StartInstances\", \"ec2:StopInstances\", \"ec2:Reboot*\"],"
	" \"Resource\": \"arn:aws:ec2:*:*:instance/*\", \"Condition\": {\"StringEquals\": {\"aws:ResourceTag/Owner\": \"${aws:username}\"}}},"
	"{\"Effect\": \"Allow\", \"Action\": \"ec2:RunInstances\", \"Resource\": [\"arn:aws:ec2:us-east-1::image/ami-%u*\", \"arn:aws:ec2:us-east-1:*:subnet/subnet-%u\"],"
	" \"Condition\": {\"StringLike\": {\"ec2:InstanceType\": [\"t3.*\", \"m5.*\"]}, \"Bool\": {\"ec2:Public\": \"false\"}}},"
	"{\"Effect\": \"Deny\", \"Action\": \"ec2:*\", \"Resource\": \"*\", \"Condition\": {\"NotIpAddress\": {\"aws:SourceIp\": [\"192.0.2.0/24\", \"10.0.0.0/8\"]}, \"DateGreaterThan\": {\"aws:CurrentTime\": \"2026-01-01T00:00:00Z\"}}},"
	"{\"Effect\": \"Deny\", \"NotAction\": [\"iam:*\", \"sts:*\", \"ec2:*\"], \"Resource\": \"*\", \"Condition\": {\"BoolIfExists\": {\"aws:MultiFactorAuthPresent\": \"false\"}}}"
	"%s]}";
static const char last_statement[] =
	",{\"Effect\": \"Allow\", \"Action\": \"ec2:TerminateInstances\", \"Resource\": \"arn:aws:ec2:*:*:instance/*\"}";

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* others' load is not what is measured */
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_median(const char *name, double *times)
{
	qsort(times, ROUNDS, sizeof *times, compare);
	printf("%s %.3f us\n", name, times[ROUNDS / 2]);
}

static size_t write_document(char *text, size_t size, unsigned number)
{
	return (size_t)snprintf(text, size, document_format, number, number, number, number,
		number == POLICIES - 1 ? last_statement : "");
}

static struct policy *compile(unsigned number)
{
	char text[4096];
	struct policy *policy;
	struct error err;
	size_t size = write_document(text, sizeof text, number);
	if (policy_compile(POLICY_IDENTITY, text, size, &policy, &err) < 0) {
		fprintf(stderr, "bench-policy: %s\n", err.message);
		exit(1);
	}
	return policy;
}

static size_t make_context(struct policy_context_key *context, char names[KEYS][48])
{
	static const char *const known[][2] = { { "aws:username", "bob" }, { "aws:SourceIp", "192.0.2.10" },
		{ "aws:CurrentTime", "2026-11-21T12:00:00Z" }, { "aws:MultiFactorAuthPresent", "true" },
		{ "ec2:InstanceType", "t3.micro" }, { "ec2:Public", "false" },
		{ "aws:ResourceTag/Owner", "ann" } };
	enum { KNOWN = sizeof known / sizeof *known };
	static const char *const other = "value";
	for (size_t i = 0; i < KEYS - KNOWN; i++) {
		snprintf(names[i], sizeof names[i], "aws:PrincipalTag/tag-%zu", i);
		context[i] = (struct policy_context_key){ names[i], &other, 1 };
	}
	for (size_t i = 0; i < KNOWN; i++)
		context[KEYS - KNOWN + i] = (struct policy_context_key){ known[i][0], &known[i][1], 1 };
	return KEYS;
}

static void bench_evaluate(const char *name, const struct policy_set *set, struct policy_request *request,
	const char *action, enum policy_decision expected)
{
	double times[ROUNDS];
	struct policy_result result;
	request->action = action;
	for (unsigned round = 0; round < ROUNDS; round++) {
		double begun = now_us();
		for (unsigned i = 0; i < EVALUATIONS; i++)
			policy_evaluate(set, request, NULL, &result);
		times[round] = (now_us() - begun) / EVALUATIONS;
		if (result.decision != expected) {
			fprintf(stderr, "bench-policy: %s is decided otherwise\n", action);
			exit(1);
		}
	}
	print_median(name, times);
}

static void bench_compile(void)
{
	double times[ROUNDS];
	for (unsigned round = 0; round < ROUNDS; round++) {
		double begun = now_us();
		for (unsigned i = 0; i < COMPILATIONS; i++)
			policy_release(compile(i % POLICIES));
		times[round] = (now_us() - begun) / COMPILATIONS;
	}
	print_median("compile", times);
}

int main(void)
{
	struct policy_named items[POLICIES];
	struct policy_context_key context[KEYS];
	char names[KEYS][48];
	for (unsigned i = 0; i < POLICIES; i++)
		items[i] = (struct policy_named){ compile(i), "policy" };
	struct policy_set set = { .identity = { items, POLICIES } };
	struct policy_request request = {
		.resource = "arn:aws:ec2:us-east-1:111111111111:instance/i-0123456789abcdef0",
		.caller = { POLICY_CALLER_USER, "111111111111", "arn:aws:iam::111111111111:user/bob",
			"AIDABOBBOBBOBBOBBOB11", NULL, NULL },
		.context = context,
		.context_count = make_context(context, names)
	};
	bench_evaluate("allowed-by-last", &set, &request, "ec2:TerminateInstances", POLICY_ALLOWED);
	bench_evaluate("conditions-of-all", &set, &request, "ec2:StopInstances", POLICY_IMPLICIT_DENY);
	bench_evaluate("nothing-matches", &set, &request, "s3:GetObject", POLICY_IMPLICIT_DENY);
	bench_compile();
	for (unsigned i = 0; i < POLICIES; i++)
		policy_release(items[i].policy);
	return 0;
}
