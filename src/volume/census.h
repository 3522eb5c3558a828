/*
 * How many blocks of a tree are not all zeros, remembered in the folder of the volume that stands on it, so that a seal need not walk a tree as large as its disk. For the volume folder only.
 */
#pragma once

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct store;

/* The count of a tree, as it was noted; else by a walk through all of it, which is noted. */
int census_take(const char *folder, struct store *store, const struct digest *root, uint64_t *blocks,
	struct error *err);
/* Notes the count of a tree in the place of the one that was noted before. Not durable, and a failure is of no harm: then somebody will walk. */
void census_note(const char *folder, const struct digest *root, uint64_t blocks);
