/* What roles have in common with service-linked ones. */
#pragma once

#include "svc/iam/common.h"

/* A service's own roles lie below this path; nobody but the service changes them. */
#define IAM_SERVICE_ROLE_PATH "/aws-service-role/"

int iam_check_description(const char *description, struct error *err);
/* ERROR_DELETE_CONFLICT while an instance profile has the role. */
int iam_check_role_unused(struct call *call, const struct iam_entity *role, struct error *err);
