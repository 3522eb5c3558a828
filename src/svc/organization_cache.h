/*
 * Where accounts stand in their organizations, remembered between calls, as svc/identity_cache.h remembers whom keys stand for: the listener of the metadata says when an account, organization, unit or policy of one has changed, and
 * everything is forgotten before the call that made the change is answered.
 *
 * Safe from every thread. All functions take NULL for a cache that is not there: it finds nothing.
 */
#pragma once

#include <stdint.h>

#include "meta/meta.h"
#include "svc/organization.h"

struct organization_cache;

struct organization_cache *organization_cache_create(void);
void organization_cache_destroy(struct organization_cache *cache);
/* Called by the listener of the metadata. */
void organization_cache_note_change(struct organization_cache *cache, const struct meta_change *change);
/* What was kept of an account. It is not copied: it stays as it is until `arena`, the finder's, goes. */
bool organization_cache_find(struct organization_cache *cache, const char *account, struct arena *arena,
	struct organization_path *path);
/* Taken before the records are read. */
uint64_t organization_cache_generation(struct organization_cache *cache);
/* Takes `own`, in which everything of *path lies; *path stays valid until `arena` goes. Keeps it, unless there was a change since `generation`. */
void organization_cache_keep(struct organization_cache *cache, uint64_t generation, const char *account,
	struct arena *own, struct arena *arena, const struct organization_path *path);
