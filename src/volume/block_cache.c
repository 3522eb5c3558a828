/* A handful of slots, the one that was not used for the longest time given up first. One lock, held for the copying of a piece: what reads from here is slow anyway. */
#include "volume/block_cache.h"

#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum { SLOTS = 8 };

struct slot {
	uint64_t block;
	uint64_t used; /* when, on the cache's own clock */
	uint8_t *data; /* NULL: free */
};

struct block_cache {
	pthread_mutex_t lock;
	uint64_t clock;
	struct slot slots[SLOTS];
};

struct block_cache *block_cache_create(void)
{
	struct block_cache *cache = memory_alloc(sizeof *cache);
	*cache = (struct block_cache){ 0 };
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

void block_cache_destroy(struct block_cache *cache)
{
	if (!cache)
		return;
	for (int i = 0; i < SLOTS; i++)
		free(cache->slots[i].data);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static struct slot *find(struct block_cache *cache, uint64_t block)
{
	for (int i = 0; i < SLOTS; i++)
		if (cache->slots[i].data && cache->slots[i].block == block)
			return &cache->slots[i];
	return NULL;
}

bool block_cache_read(struct block_cache *cache, uint64_t block, void *data, size_t within, size_t size)
{
	pthread_mutex_lock(&cache->lock);
	struct slot *slot = find(cache, block);
	if (slot) {
		memcpy(data, slot->data + within, size);
		slot->used = ++cache->clock;
	}
	pthread_mutex_unlock(&cache->lock);
	return slot;
}

void block_cache_enter(struct block_cache *cache, uint64_t block, uint8_t *data)
{
	pthread_mutex_lock(&cache->lock);
	struct slot *slot = find(cache, block);
	for (int i = 0; !slot && i < SLOTS; i++)
		if (!cache->slots[i].data)
			slot = &cache->slots[i];
	if (!slot) {
		slot = &cache->slots[0];
		for (int i = 1; i < SLOTS; i++)
			if (cache->slots[i].used < slot->used)
				slot = &cache->slots[i];
	}
	uint8_t *old = slot->data;
	*slot = (struct slot){ .block = block, .used = ++cache->clock, .data = data };
	pthread_mutex_unlock(&cache->lock);
	free(old);
}
