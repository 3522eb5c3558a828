/* Which packs have to be synced, and syncing them, together for all who wait. For packs.c. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/pack_files.h"

struct pack_sync;

/* `files` and `folder` (for messages) stay the caller's, and must live as long. */
struct pack_sync *pack_sync_create(struct pack_files *files, const char *folder);
void pack_sync_destroy(struct pack_sync *sync); /* NULL is legal */
/* A pack was written to. */
void pack_sync_note(struct pack_sync *sync, uint32_t number);
/* A pack is about to go: nothing looks for it when this returns. Nobody notes it again. */
void pack_sync_forget(struct pack_sync *sync, uint32_t number);
/* Makes durable what was written before the call. After a failure every later call fails. */
int pack_sync_run(struct pack_sync *sync, struct error *err);
/* As if a sync had failed: what is on the disk is not known any more. */
void pack_sync_fail(struct pack_sync *sync);
bool pack_sync_has_failed(struct pack_sync *sync);
