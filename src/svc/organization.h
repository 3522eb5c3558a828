/*
 * Where an account stands in its organization, and which service control policies hold there: for whoever decides calls (authorize) and shares things with organizations and units. Safe from every thread.
 */
#pragma once

#include "svc/amid.h"

/* The policy of AWS that allows everything; attached wherever there is no other. */
#define ORGANIZATION_FULL_ACCESS "p-FullAWSAccess"
#define ORGANIZATION_FULL_ACCESS_ARN \
	"arn:aws:organizations::aws:policy/service_control_policy/" ORGANIZATION_FULL_ACCESS
#define ORGANIZATION_FULL_ACCESS_DOCUMENT \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}"

struct organization_path_policy {
	const char *id; /* "p-..." */
	const char *arn;
	const char *document;
	int64_t version; /* of the record: the document changes with it; 0: AWS's own, which never does */
};

/* The root, a unit, or the account itself. */
struct organization_level {
	const char *id, *arn;
	const struct organization_path_policy *policies;
	size_t policy_count;
};

/* Immutable; it stays as it is until the arena goes that it was asked for with. */
struct organization_path {
	const char *organization; /* "o-..."; NULL: the account is in none, and nothing else is set */
	const char *organization_arn;
	const char *management_account;
	const char *path; /* as aws:PrincipalOrgPaths has it: "o-a/r-b/ou-c/" */
	/* Policies hold for the account: they are enabled, and it is not the management account, for which none do. Else the levels name none. */
	bool governed;
	const struct organization_level *levels; /* the root, units from there down, the account */
	size_t level_count;
	const char *const *unit_arns; /* of the units among them */
	size_t unit_count;
};

/* An account that is not there is in no organization. */
int organizations_path(struct amid *amid, const char *account, struct arena *arena,
	struct organization_path *path, struct error *err);
