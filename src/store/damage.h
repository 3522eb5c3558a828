/* The objects of a store that are known to be damaged, by digest. For the store folder only. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

enum { DAMAGE_LIMIT = 16384 }; /* more are not remembered one by one */

struct damage;

struct damage *damage_create(void);
void damage_destroy(struct damage *damage); /* NULL is legal */
/* Whether it was not known; false too when there are too many. */
bool damage_add(struct damage *damage, const struct digest *digest);
bool damage_remove(struct damage *damage, const struct digest *digest);
/* Costs one load while there is none at all. */
bool damage_has(struct damage *damage, const struct digest *digest);
size_t damage_count(struct damage *damage);
/* A copy, ascending; the caller frees it. */
struct digest *damage_copy(struct damage *damage, size_t *count);
