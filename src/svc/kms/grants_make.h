/* Making a grant, for CreateGrant and for disks. */
#pragma once

#include "svc/kms/common.h"

/* Commits a grant whose grantee, operations, name and constraints are set; permissions were checked. A grant with a name and these parameters that exists already is taken: *is_new is false. LimitExceededException. */
int kms_grant_make(struct call *call, const struct kms_key *key, struct kms_grant_record *grant, bool *is_new,
	struct error *err);
