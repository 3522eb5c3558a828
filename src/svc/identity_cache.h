/*
 * Whom access keys stand for, remembered between calls, so that a look-up reads no records. The listener of the metadata says when an account, key, user or role has changed: then everything is forgotten, before the call
 * that made the change is answered. So what is revoked is refused from the next call on.
 *
 * Safe from every thread. All functions take NULL for a cache that is not there: it finds nothing.
 */
#pragma once

#include <stdint.h>

#include "aws/door.h"
#include "meta/meta.h"

struct identity_cache;

struct identity_cache *identity_cache_create(void);
void identity_cache_destroy(struct identity_cache *cache);
/* Called by the listener of the metadata. */
void identity_cache_note_change(struct identity_cache *cache, const struct meta_change *change);
/* What was kept under this name, in the arena. */
bool identity_cache_find(
	struct identity_cache *cache, const char *name, struct arena *arena, struct door_identity *identity);
/* Taken before the records are read; identity_cache_keep does nothing if there was a change since. */
uint64_t identity_cache_generation(struct identity_cache *cache);
void identity_cache_keep(struct identity_cache *cache, uint64_t generation, const char *name,
	const struct door_identity *identity);
