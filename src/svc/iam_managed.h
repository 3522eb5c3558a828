/* The managed policies of AWS (account `aws`) that amid knows: read-only, the same in every account, built into the program from src/svc/iam/managed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct iam_managed_policy {
	const char *name; /* "AmazonEC2FullAccess" */
	const char *path; /* "/", "/service-role/", "/job-function/", "/aws-service-role/" */
	const char *arn;  /* "arn:aws:iam::aws:policy/AmazonEC2FullAccess" */
	const char *id;   /* "ANPA..." */
	const char *description;
	const char *version; /* of the one version there is */
	const char *document;
	int64_t created_ms;
};

/* Sorted by name. */
extern const struct iam_managed_policy iam_managed_policies[];
extern const size_t iam_managed_policy_count;

/* NULL: there is none of that ARN. Static storage; safe from every thread. */
const struct iam_managed_policy *iam_managed_policy_find(const char *arn);
