/*
 * The secret gate: what is shared is looked through for secrets first, and what is found stops it, or is written down, as the account wants it. docs/design/secret-gate.md.
 *
 * On the thread of the call; the scans are secret_scans.h's. Images and snapshots of the platform are let through.
 */
#pragma once

#include "api/records.h"
#include "aws/call.h"
#include "meta/meta.h"

#define SECRET_POLICY_BLOCK "block"
#define SECRET_POLICY_WARN "warn"
#define SECRET_POLICY_OFF "off"

/* The account's settings, for all regions. */
struct secret_policy {
	struct account_setting_record *policy;     /* block, warn (unless it was set), off */
	struct account_setting_record *unreadable; /* block, warn: of disks that could not be looked into */
};
int secret_policy_load(struct call *call, struct secret_policy *policy, struct error *err);
/* Either may be NULL: it stays. Both are checked. */
int secret_policy_change(struct call *call, const char *policy, const char *unreadable, struct error *err);

/*
 * For a batch by which the caller shares an image or a snapshot of its own: ERROR_OPERATION_NOT_PERMITTED if it is to be blocked, ERROR_UNAVAILABLE if it is not known in time (the scan goes on, so the call can be repeated).
 * The batch fails if the policy is changed meanwhile.
 */
int secret_gate_check_image(
	struct call *call, const struct image_record *image, struct meta_batch *batch, struct error *err);
int secret_gate_check_snapshot(struct call *call, const struct snapshot_record *snapshot,
	struct meta_batch *batch, struct error *err);

/* How long a call waits for scans, in milliseconds; below what clients wait for an answer. */
enum { SECRET_GATE_WAIT_MS = 25 * 1000 };
