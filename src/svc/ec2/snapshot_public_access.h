/* Block public access of snapshots, as an account has set it for a region. */
#pragma once

#include "svc/ec2/common.h"

/* "unblocked" (unless something else was set), "block-new-sharing" or "block-all-sharing"; the text is the call's arena's. */
int snapshot_public_access(
	struct call *call, const char *account, const char *region, const char **state, struct error *err);
/* For a batch that makes a snapshot public: fails it if the setting is changed meanwhile. OperationNotPermitted if public sharing is blocked. */
int snapshot_public_access_check(struct call *call, struct meta_batch *batch, struct error *err);
