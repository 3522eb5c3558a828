/*
 * A hash table with chains under one mutex. Entries are immutable and counted, each in an arena of its own: the table has a reference while it keeps one, and so has every arena of a call that was given it (arena_defer), so that
 * policies of 5 KiB a level are not copied for each call. `generation` counts the changes; all entries are of one generation, and all go when it is over, or when they are too many. The listener only counts: it runs on the writer's
 * thread and must not wait. A reader takes the number before it reads, and keeps what it read only under the same one: nothing old is kept under a new generation.
 */
#include "svc/organization_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { BUCKETS = 1024, ENTRIES_MAX = 4096 };

struct entry {
	struct entry *next;
	struct arena *arena; /* this entry lies in it, too */
	atomic_uint references;
	const char *account;
	struct organization_path path;
};

struct organization_cache {
	atomic_uint_fast64_t generation;
	pthread_mutex_t lock; /* of what follows */
	struct entry *buckets[BUCKETS];
	unsigned count;
	uint64_t held; /* the generation of the entries */
};

struct organization_cache *organization_cache_create(void)
{
	struct organization_cache *cache = memory_alloc(sizeof *cache);
	memset(cache, 0, sizeof *cache);
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

static void release(void *object)
{
	struct entry *entry = object;
	if (atomic_fetch_sub(&entry->references, 1) == 1)
		arena_destroy(entry->arena);
}

static void empty(struct organization_cache *cache, uint64_t generation)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct entry *entry = cache->buckets[i], *next; entry; entry = next) {
			next = entry->next;
			release(entry);
		}
	memset(cache->buckets, 0, sizeof cache->buckets);
	cache->count = 0;
	cache->held = generation;
}

void organization_cache_destroy(struct organization_cache *cache)
{
	if (!cache)
		return;
	empty(cache, 0);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void organization_cache_note_change(struct organization_cache *cache, const struct meta_change *change)
{
	static const char *const kinds[] = { "account", "organization", "organization_unit",
		"organization_policy" };
	for (size_t i = 0; cache && i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i], change->kind) == 0)
			atomic_fetch_add(&cache->generation, 1);
}

uint64_t organization_cache_generation(struct organization_cache *cache)
{
	return cache ? atomic_load(&cache->generation) : 0;
}

static struct entry **bucket_of(struct organization_cache *cache, const char *account)
{
	unsigned hash = 2166136261u;
	for (const char *p = account; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &cache->buckets[hash % BUCKETS];
}

static struct entry *find(struct organization_cache *cache, const char *account)
{
	for (struct entry *entry = *bucket_of(cache, account); entry; entry = entry->next)
		if (strcmp(entry->account, account) == 0)
			return entry;
	return NULL;
}

bool organization_cache_find(struct organization_cache *cache, const char *account, struct arena *arena,
	struct organization_path *path)
{
	if (!cache)
		return false;
	pthread_mutex_lock(&cache->lock);
	bool current = cache->held == atomic_load(&cache->generation);
	struct entry *entry = current ? find(cache, account) : NULL;
	if (entry)
		atomic_fetch_add(&entry->references, 1);
	pthread_mutex_unlock(&cache->lock);
	if (!entry)
		return false;
	arena_defer(arena, release, entry);
	*path = entry->path;
	return true;
}

void organization_cache_keep(struct organization_cache *cache, uint64_t generation, const char *account,
	struct arena *own, struct arena *arena, const struct organization_path *path)
{
	struct entry *entry = arena_alloc(own, sizeof *entry);
	*entry = (struct entry){ .arena = own, .account = arena_strdup(own, account), .path = *path };
	atomic_init(&entry->references, 1);
	arena_defer(arena, release, entry);
	if (!cache)
		return;
	pthread_mutex_lock(&cache->lock);
	if (generation == atomic_load(&cache->generation)) {
		if (cache->held != generation || cache->count == ENTRIES_MAX)
			empty(cache, generation);
		if (!find(cache, account)) {
			struct entry **bucket = bucket_of(cache, account);
			atomic_fetch_add(&entry->references, 1);
			entry->next = *bucket;
			*bucket = entry;
			cache->count++;
		}
	}
	pthread_mutex_unlock(&cache->lock);
}
