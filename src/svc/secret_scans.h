/*
 * Scans of snapshots for secrets: who runs them, and what they have found. A tree is scanned once for each version of the rules; what was found is the record secret_scan of its root.
 *
 * Every function is safe from every thread.
 */
#pragma once

#include "api/records.h"
#include "aws/call.h"
#include "svc/amid.h"

struct secret_scans;

int secret_scans_open(struct amid *amid, struct secret_scans **scans, struct error *err);
/* Ends what runs, so that nobody waits any more; later scans fail with ERROR_UNAVAILABLE. */
void secret_scans_stop(struct secret_scans *scans);
/* Waits for the ends of all threads. After secret_scans_stop; NULL is legal. */
void secret_scans_close(struct secret_scans *scans);

/* What is known of a completed snapshot, by the rules of today; *scan is NULL if it has not been scanned by them. */
int secret_scans_find(struct amid *amid, const struct snapshot_record *snapshot, struct arena *arena,
	struct secret_scan_record **scan, struct error *err);
/*
 * The same of a snapshot of the caller's; if it is not known yet it is found out, and waited for until `deadline_ms` of the monotonic clock: ERROR_UNAVAILABLE then, and the scan goes on. The key of an encrypted one is opened by the
 * caller's rights; if it cannot be used, *scan is not stored and says so.
 */
int secret_scans_wait(struct call *call, const struct snapshot_record *snapshot, int64_t deadline_ms,
	struct secret_scan_record **scan, struct error *err);
