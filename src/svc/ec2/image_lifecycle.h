/* What follows from an image's record and the clock: protection, deprecation. */
#pragma once

#include "svc/ec2/common.h"

/* As DescribeImages says it: "disabled", "enabled-with-cooldown" (also while that lasts), "enabled-without-cooldown". */
const char *image_protection(const struct image_record *image);
/* OperationNotPermitted for a protected image. */
int image_check_unprotected(struct call *call, const struct image_record *image, struct error *err);
/* A public image is deprecated two years after it was made, or earlier. */
void image_limit_deprecation(struct image_record *image);
struct ec2_ProductCodeList image_product_codes(struct call *call, const struct image_record *image);
