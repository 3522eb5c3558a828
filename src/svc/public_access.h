/* Block public access, as an account has set it for a region: one setting for its images, one for its snapshots. */
#pragma once

#include "svc/ec2/common.h"

#define PUBLIC_ACCESS_UNBLOCKED "unblocked"
#define PUBLIC_ACCESS_BLOCK_NEW "block-new-sharing"
#define PUBLIC_ACCESS_BLOCK_ALL "block-all-sharing" /* of snapshots only: what is public is not seen */

/* *state: one of the above; the text is the arena's. Snapshots are unblocked unless something else was set. */
int snapshot_public_access(struct meta *meta, const char *account, const char *region, struct arena *arena,
	const char **state, struct error *err);
/* The same of images. Unless something was set, they are blocked, but for the platform and for accounts that have had public images all along. */
int image_public_access(struct meta *meta, const char *account, const char *region, struct arena *arena,
	const char **state, struct error *err);

/* For a batch that makes a snapshot or an image of the caller public: fails it if the setting is changed meanwhile. OperationNotPermitted if public sharing is blocked. */
int snapshot_public_access_check(struct call *call, struct meta_batch *batch, struct error *err);
int image_public_access_check(struct call *call, struct meta_batch *batch, struct error *err);

int snapshot_public_access_set(struct call *call, const char *state, struct error *err);
int image_public_access_set(struct call *call, const char *state, struct error *err);
