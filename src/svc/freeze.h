/* Freezing volumes for snapshots, whether a server has them open or nobody. */
#pragma once

#include "api/records.h"
#include "svc/amid.h"

/*
 * Freezes volumes of one instance (or one volume) at one instant and makes the frozen layers durable: layers[i] is the number of volumes[i]'s. Milliseconds, whatever the size. ERROR_CONFLICT if a volume is just being
 * opened or closed: try again.
 */
int freeze_volumes(struct amid *amid, struct amid_region *region, const char *const *volume_ids,
	unsigned count, struct arena *arena, uint64_t *layers, struct error *err);
