/* A sorted array under a lock. There is hardly ever anything in it, so the number alone is looked at first, without the lock. */
#include "store/damage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

struct damage {
	pthread_mutex_t lock;
	_Atomic size_t count;
	struct digest *digests; /* ascending */
};

struct damage *damage_create(void)
{
	struct damage *damage = memory_alloc(sizeof *damage);
	pthread_mutex_init(&damage->lock, NULL);
	return damage;
}

void damage_destroy(struct damage *damage)
{
	if (!damage)
		return;
	pthread_mutex_destroy(&damage->lock);
	free(damage->digests);
	free(damage);
}

/* Where it is, or belongs. The caller holds the lock. */
static size_t find(const struct damage *damage, const struct digest *digest, bool *found)
{
	size_t low = 0, high = damage->count;
	*found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(&damage->digests[middle], digest, sizeof *digest);
		if (!order) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool damage_add(struct damage *damage, const struct digest *digest)
{
	bool found;
	pthread_mutex_lock(&damage->lock);
	size_t count = damage->count, at = find(damage, digest, &found);
	bool added = !found && count < DAMAGE_LIMIT;
	if (added) {
		damage->digests = memory_realloc(damage->digests, (count + 1) * sizeof *digest);
		memmove(&damage->digests[at + 1], &damage->digests[at], (count - at) * sizeof *digest);
		damage->digests[at] = *digest;
		damage->count = count + 1;
	}
	pthread_mutex_unlock(&damage->lock);
	return added;
}

bool damage_remove(struct damage *damage, const struct digest *digest)
{
	bool found;
	pthread_mutex_lock(&damage->lock);
	size_t at = find(damage, digest, &found);
	if (found) {
		damage->count--;
		memmove(&damage->digests[at], &damage->digests[at + 1],
			(damage->count - at) * sizeof *digest);
	}
	pthread_mutex_unlock(&damage->lock);
	return found;
}

bool damage_has(struct damage *damage, const struct digest *digest)
{
	bool found = false;
	if (!atomic_load_explicit(&damage->count, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&damage->lock);
	find(damage, digest, &found);
	pthread_mutex_unlock(&damage->lock);
	return found;
}

size_t damage_count(struct damage *damage)
{
	return atomic_load(&damage->count);
}

struct digest *damage_copy(struct damage *damage, size_t *count)
{
	pthread_mutex_lock(&damage->lock);
	*count = damage->count;
	struct digest *copy = memory_alloc((*count + 1) * sizeof *copy);
	if (*count)
		memcpy(copy, damage->digests, *count * sizeof *copy);
	pthread_mutex_unlock(&damage->lock);
	return copy;
}
