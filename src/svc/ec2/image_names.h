/* Names of images: 3 to 128 characters of a small set, unique per account and region. */
#pragma once

#include "svc/ec2/common.h"

/* InvalidAMIName.Malformed. */
int image_check_name(const char *name, struct error *err);
/* After a commit that failed: a duplicate becomes InvalidAMIName.Duplicate, which names the image that has the name. Returns -1. */
int image_explain_duplicate(struct call *call, const char *name, struct error *err);
