/* The instance profile of an instance, as launches and answers have it. */
#pragma once

#include "svc/ec2/common.h"

/* The caller's profile that a request names, by its ARN or its name; `asked` NULL: *profile is NULL. InvalidParameterValue if there is none, or it has no role. */
int instance_profile_choose(struct call *call, const struct ec2_IamInstanceProfileSpecification *asked,
	struct instance_profile_record **profile, struct error *err);
/*
 * A new association with that profile, for an instance's record. The batch expects the profile to be as it was when it was chosen.
 */
struct record_profile_use *instance_profile_associate(
	struct call *call, struct meta_batch *batch, const struct instance_profile_record *profile);
/* NULL: the instance has none. */
struct ec2_IamInstanceProfile *instance_profile_result(
	struct call *call, const struct record_profile_use *use);
