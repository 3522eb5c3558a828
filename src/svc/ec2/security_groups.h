/* Security groups: what the handlers of groups and of their rules share. */
#pragma once

#include "svc/ec2/common.h"

/*
 * The caller's group of that id, or, if the id is NULL, of that name in the default VPC. Errors: ERROR_MISSING_PARAMETER (neither), ERROR_GROUP_ID_MALFORMED,
 * ERROR_GROUP_NOT_FOUND.
 */
int security_groups_find(struct call *call, const char *id, const char *name,
	struct security_group_record **group, struct error *err);
/* All groups of the caller in the call's region. */
int security_groups_list(struct call *call, struct meta_rows *rows, struct error *err);
char *security_groups_arn(struct call *call, const struct security_group_record *group);
