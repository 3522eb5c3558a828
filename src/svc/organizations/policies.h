/* Service control policies, for those who attach them. */
#pragma once

#include "svc/organizations/common.h"

/* A policy of the organization, or AWS's own, which has no record (its version is 0). ERROR_ORG_POLICY_NOT_FOUND. */
int org_policy_find(struct call *call, const struct organization_record *organization, const char *id,
	struct organization_policy_record **policy, struct error *err);
struct organizations_PolicySummary org_show_policy(struct call *call,
	const struct organization_record *organization, const struct organization_policy_record *policy);
/* Whether Filter or Type names the one type of policy that amid has. */
bool org_is_service_control(const char *type);
