/* Which images of others an account may use in a region: its settings, and whether an image meets them. The operations on them: ec2/allowed_images.c. */
#pragma once

#include "api/records.h"
#include "meta/meta.h"

#define ALLOWED_IMAGES_DISABLED "disabled"
#define ALLOWED_IMAGES_AUDIT "audit-mode"
#define ALLOWED_IMAGES_ENABLED "enabled"

/* The settings of an account; where nothing was set, a record with version 0 that says "disabled". */
int allowed_images_load(struct meta *meta, const char *account, const char *region, struct arena *arena,
	struct allowed_images_record **settings, struct error *err);
/* Whether an image of another account meets all conditions of at least one criterion, now. The state of the settings does not matter. */
bool allowed_images_match(
	const struct allowed_images_record *settings, const struct image_record *image, int64_t now_ms);
