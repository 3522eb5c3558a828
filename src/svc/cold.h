/*
 * Which snapshots have gone cold: completed ones that no volume stands on, that are not kept for fast restores, and that were archived or not read for a while; images' too, but for the blocks that their boots have read. Remembers since
 * when. One thread looks at a time (control/upkeep.c), notes may come from any.
 */
#pragma once

#include "base/arena.h"
#include "svc/amid.h"

struct cold_list;

struct cold_list *cold_list_create(void);
void cold_list_destroy(struct cold_list *list); /* NULL is legal */

/* Roots that are to be compressed; roots whose blocks are to stay as they are, and single blocks. The arena's. */
struct cold_roots {
	struct digest *cold, *warm;
	size_t cold_count, warm_count;
	const char **cold_ids; /* the snapshots, in the order of `cold`; for cold_list_note_done */
};
/*
 * Reads the region's records and volumes as they are now. A snapshot counts as cold when it has been for `after_ms`, by amid's clock, as far as this process has seen; those that are done are left
 * out.
 */
int cold_list_look(struct cold_list *list, struct amid *amid, struct amid_region *region, int64_t after_ms,
	struct arena *arena, struct cold_roots *roots, struct error *err);
/* What could be compressed of this snapshot is. Forgotten when it becomes warm. */
void cold_list_note_done(struct cold_list *list, const char *snapshot);
/* Somebody reads it: its time begins anew. NULL is legal. */
void cold_list_note_read(struct cold_list *list, const char *snapshot);
