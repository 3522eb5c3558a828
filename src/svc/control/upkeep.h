/*
 * The upkeep of a region's store, in the background and at a limited rate: packs that are mostly dead are compacted, what has gone cold is compressed, and what is booted from again is brought
 * back. One key per region, one per tree that is brought back. Nothing of it is durable: it looks at what is.
 */
#pragma once

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct amid;
struct upkeep;

struct upkeep *upkeep_create(struct amid *amid);
void upkeep_destroy(struct upkeep *upkeep); /* when no controller runs any more; NULL is legal */

/* A collection has freed something: perhaps there is something to compact. From any thread. */
void upkeep_after_collection(struct amid *amid, const char *region);
/* A snapshot was archived: its blocks are cold from now on. From any thread. */
void upkeep_after_archival(struct amid *amid, const char *region);
/* Something is going to be read from this tree, as from a plain disk: a volume has it as its base. From any thread; `root` in hexadecimal digits. */
void upkeep_warm(struct amid *amid, const char *region, const char *root);

/* Since amid was started. */
struct upkeep_figures {
	uint64_t compacted_bytes; /* moved */
	uint64_t packs_removed;
	uint64_t compressed_blocks;
	uint64_t compression_saved_bytes;
	uint64_t warmed_blocks;
};
void upkeep_get_figures(struct amid *amid, const char *region, struct upkeep_figures *figures);
