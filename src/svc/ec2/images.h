/* Images as other rooms see them: who may see and launch one. */
#pragma once

#include "svc/ec2/common.h"

/* Whether the caller may see, and launch, the image: its owner, everybody if it is public, or an account named in its launch permissions. */
bool image_is_visible(const struct call *call, const struct image_record *image);
/* An image that the caller may see, of the call's region. InvalidAMIID.Malformed, InvalidAMIID.NotFound. */
int image_find(struct call *call, const char *id, struct image_record **image, struct error *err);
/* The caller's own image; one that is only shared gives AuthFailure. */
int image_find_own(struct call *call, const char *id, struct image_record **image, struct error *err);
/* "amazon" and the like; NULL: the owner has no alias. */
const char *image_owner_alias(const struct image_record *image);
