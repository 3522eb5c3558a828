/*
 * What can be read off a snapshot's record, as of the clock's now: for the handlers of every service and for the controllers. Functions look at nothing else.
 */
#pragma once

#include "api/records.h"
#include "base/error.h"

/* In the recycle bin: for everything but the bin's own operations it does not exist. */
bool snapshot_is_recycled(const struct snapshot_record *snapshot);
/* In the archive tier, and not restored, not even for some days: nothing can be made of it or read from it. */
bool snapshot_is_archived(const struct snapshot_record *snapshot);
/* Whether an archival or a restore is under way. */
bool snapshot_is_tiering(const struct snapshot_record *snapshot);
/* Whether blocks of it may be used: completed and not archived. IncorrectState otherwise, with its id. */
int snapshot_check_usable(const struct snapshot_record *snapshot, struct error *err);

/* "governance", "compliance-cooloff", "compliance", "expired"; NULL: not locked. */
const char *snapshot_lock_state(const struct snapshot_record *snapshot);
/* Whether it can be neither deleted nor put into the bin. */
bool snapshot_is_locked(const struct snapshot_record *snapshot);
/* When the lock's duration begins and ends; not set where that is not known yet (a pending snapshot). */
struct shape_timestamp snapshot_lock_start(const struct snapshot_record *snapshot);
struct shape_timestamp snapshot_lock_end(const struct snapshot_record *snapshot);

/* Whether a fast restore is enabled, or on its way to being enabled or disabled. */
bool snapshot_has_restore(const struct snapshot_record *snapshot);
/* Whether one is on its way. */
bool snapshot_has_unsettled_restore(const struct snapshot_record *snapshot);

/* To be called before a record is put whose copy, tier, fast restores or stay in the bin has changed: sets `attended` if its controller has something to do, now or at some time. */
void snapshot_set_attended(struct snapshot_record *snapshot);
