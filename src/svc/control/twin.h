/* Twins: trees encrypted for the volumes that are to be made of them (docs/design/encryption.md). For the controllers. */
#pragma once

#include "api/records.h"
#include "svc/amid.h"

enum twin_state { TWIN_READY, TWIN_PENDING, TWIN_FAILED };

/*
 * A volume that waits for its twin: with TWIN_READY, its record (not committed) has the twin's tree as its base, and waits no more; with TWIN_FAILED, it has the reason as its key_error. A volume that waits for none is
 * ready, or failed, as it is.
 */
int twin_adopt(struct amid *amid, struct volume_record *volume, struct arena *arena, enum twin_state *state,
	struct error *err);
/* Deletes the records of a region's twins that no launch can find any more: their sources are gone. */
int twins_forget(struct amid *amid, struct amid_region *region, struct error *err);
