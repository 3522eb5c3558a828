/* A table of tags, one slot for each beginning of a digest. A tag is made of another part of the digest and of the place: that two are equal by chance does not happen. The later one stays. */
#include "store/verified.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum { SLOTS = 1 << 16 };

struct verified {
	pthread_mutex_t lock; /* making the table */
	_Atomic uint64_t *_Atomic tags;
};

struct verified *verified_create(void)
{
	struct verified *verified = memory_alloc(sizeof *verified);
	*verified = (struct verified){ 0 };
	pthread_mutex_init(&verified->lock, NULL);
	return verified;
}

void verified_destroy(struct verified *verified)
{
	if (!verified)
		return;
	free((void *)atomic_load(&verified->tags));
	pthread_mutex_destroy(&verified->lock);
	free(verified);
}

static unsigned slot_of(const struct index_entry *entry)
{
	return (unsigned)(entry->digest.bytes[0] << 8 | entry->digest.bytes[1]);
}

/* Never 0, which is an empty slot. */
static uint64_t tag_of(const struct index_entry *entry)
{
	uint64_t part, place = (uint64_t)entry->pack << 32 | entry->offset / OBJECT_HEADER_SIZE;
	memcpy(&part, entry->digest.bytes + 8, sizeof part);
	return (part ^ (place + 1) * 0x9e3779b97f4a7c15ULL) | 1;
}

void verified_note(struct verified *verified, const struct index_entry *entry)
{
	if (!atomic_load(&verified->tags)) {
		pthread_mutex_lock(&verified->lock);
		if (!atomic_load(&verified->tags))
			atomic_store(&verified->tags, memory_alloc(SLOTS * sizeof(uint64_t)));
		pthread_mutex_unlock(&verified->lock);
	}
	atomic_store_explicit(&verified->tags[slot_of(entry)], tag_of(entry), memory_order_relaxed);
}

bool verified_has(struct verified *verified, const struct index_entry *entry)
{
	_Atomic uint64_t *tags = atomic_load(&verified->tags);
	return tags && atomic_load_explicit(&tags[slot_of(entry)], memory_order_relaxed) == tag_of(entry);
}
