/* What making keys needs in several places. */
#pragma once

#include "svc/kms/common.h"

/* A key's id: a UUID, or "mrk-...". */
char *kms_new_id(struct arena *arena, bool multi_region);
/* The policy of a key that is made without one: the account's IAM policies decide. */
const char *kms_default_policy(struct arena *arena, const char *account);
/* Makes alias/aws/ebs of the call's account and region, with its key, if it is missing (managed.c). */
int kms_ensure_managed_key(struct call *call, struct error *err);
