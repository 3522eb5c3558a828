/*
 * The disk is asked, and then not again until a small part of what it has left is taken: so many volumes that write at once cannot, each with its own budget, get far into the reserve, and near
 * it every write asks. What was written before is never looked at: overwriting takes nothing.
 */
#include "volume/space.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/banned.h"

enum { BUDGET_LIMIT = 4 << 20, BUDGET_PART = 64 };

static int refuse(struct volume_space *space, const char *folder, const char *volume, struct error *err)
{
	if (!atomic_exchange(&space->refusing, true))
		log_error("write-refused",
			"volume=%s folder=%s reason=\"the disk has nothing left but its reserve\"", volume,
			folder);
	return error_set(
		err, ERROR_NO_SPACE, "the disk of volume %s has no space left beyond its reserve", volume);
}

int volume_space_take(
	struct volume_space *space, const char *folder, const char *volume, uint64_t bytes, struct error *err)
{
	if (atomic_fetch_sub(&space->budget, (int64_t)bytes) >= (int64_t)bytes)
		return 0;
	uint64_t available = space_available(folder, &space->reserve);
	uint64_t budget = available / BUDGET_PART;
	if (available < bytes) {
		atomic_store(&space->budget, 0);
		return refuse(space, folder, volume, err);
	}
	atomic_store(&space->budget, (int64_t)(budget < BUDGET_LIMIT ? budget : BUDGET_LIMIT));
	if (atomic_exchange(&space->refusing, false))
		log_info("writes-accepted-again", "volume=%s available=%" PRIu64, volume, available);
	return 0;
}
