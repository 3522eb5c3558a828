/*
 * A hash table with chains, in an arena of its own, under one mutex. `generation` counts the changes; entries are of one generation, and all go when it is over, or when they are too many. The listener only counts:
 * it runs on the writer's thread and must not wait. A reader that kept old records under a new generation would be the one fault to fear: it takes the number before it reads, and keeps only under the same one.
 */
#include "svc/identity_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { BUCKETS = 1024, ENTRIES_MAX = 4096 };

struct entry {
	struct entry *next;
	const char *name;
	struct door_identity identity;
};

struct identity_cache {
	atomic_uint_fast64_t generation;
	pthread_mutex_t lock; /* of what follows */
	struct entry *buckets[BUCKETS];
	unsigned count;
	uint64_t held; /* the generation of the entries */
	struct arena *arena;
};

struct identity_cache *identity_cache_create(void)
{
	struct identity_cache *cache = memory_alloc(sizeof *cache);
	memset(cache, 0, sizeof *cache);
	pthread_mutex_init(&cache->lock, NULL);
	cache->arena = arena_create();
	return cache;
}

void identity_cache_destroy(struct identity_cache *cache)
{
	if (!cache)
		return;
	arena_destroy(cache->arena);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void identity_cache_note_change(struct identity_cache *cache, const struct meta_change *change)
{
	static const char *const kinds[] = { "account", "access_key", "iam_user", "iam_role" };
	for (size_t i = 0; cache && i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i], change->kind) == 0)
			atomic_fetch_add(&cache->generation, 1);
}

uint64_t identity_cache_generation(struct identity_cache *cache)
{
	return cache ? atomic_load(&cache->generation) : 0;
}

static struct entry **bucket_of(struct identity_cache *cache, const char *name)
{
	unsigned hash = 2166136261u;
	for (const char *p = name; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &cache->buckets[hash % BUCKETS];
}

static void empty(struct identity_cache *cache, uint64_t generation)
{
	arena_destroy(cache->arena);
	cache->arena = arena_create();
	memset(cache->buckets, 0, sizeof cache->buckets);
	cache->count = 0;
	cache->held = generation;
}

static const char *const *copy_texts(const char *const *texts, size_t count, struct arena *arena)
{
	const char **copies = count ? arena_alloc_array(arena, count, sizeof *copies) : NULL;
	for (size_t i = 0; i < count; i++)
		copies[i] = arena_strdup(arena, texts[i]);
	return copies;
}

static const struct principal_tag *copy_tags(
	const struct principal_tag *tags, size_t count, struct arena *arena)
{
	struct principal_tag *copies = count ? arena_alloc_array(arena, count, sizeof *copies) : NULL;
	for (size_t i = 0; i < count; i++)
		copies[i] = (struct principal_tag){ .key = arena_strdup(arena, tags[i].key),
			.value = arena_strdup(arena, tags[i].value),
			.transitive = tags[i].transitive };
	return copies;
}

static const struct principal_instance *copy_instance(
	const struct principal_instance *instance, struct arena *arena)
{
	if (!instance)
		return NULL;
	struct principal_instance *made = arena_alloc(arena, sizeof *made);
	*made = (struct principal_instance){ .arn = arena_strdup(arena, instance->arn),
		.vpc = arena_strdup(arena, instance->vpc),
		.private_address = arena_strdup(arena, instance->private_address),
		.delivery = arena_strdup(arena, instance->delivery) };
	return made;
}

/* Numbers, flags and counts are copied with the struct; each pointer in it is replaced by one to a copy. */
static struct door_identity copy(const struct door_identity *identity, struct arena *arena)
{
	struct door_identity made = *identity;
	arena_wipe(arena); /* the secret */
	struct principal *principal = &made.principal;
	const char **texts[] = { &made.secret, &principal->account, &principal->arn, &principal->id,
		&principal->access_key_id, &principal->user_name, &principal->issuer_arn,
		&principal->issuer_id, &principal->session_name, &principal->source_identity };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		*texts[i] = arena_strdup(arena, *texts[i]);
	principal->session_policies =
		copy_texts(principal->session_policies, principal->session_policy_count, arena);
	principal->session_policy_arns =
		copy_texts(principal->session_policy_arns, principal->session_policy_arn_count, arena);
	principal->session_tags = copy_tags(principal->session_tags, principal->session_tag_count, arena);
	principal->instance = copy_instance(principal->instance, arena);
	return made;
}

static const struct entry *find(struct identity_cache *cache, const char *name)
{
	for (const struct entry *entry = *bucket_of(cache, name); entry; entry = entry->next)
		if (strcmp(entry->name, name) == 0)
			return entry;
	return NULL;
}

bool identity_cache_find(
	struct identity_cache *cache, const char *name, struct arena *arena, struct door_identity *identity)
{
	if (!cache)
		return false;
	pthread_mutex_lock(&cache->lock);
	bool current = cache->held == atomic_load(&cache->generation);
	const struct entry *entry = current ? find(cache, name) : NULL;
	if (entry)
		*identity = copy(&entry->identity, arena);
	pthread_mutex_unlock(&cache->lock);
	return entry;
}

void identity_cache_keep(struct identity_cache *cache, uint64_t generation, const char *name,
	const struct door_identity *identity)
{
	if (!cache)
		return;
	pthread_mutex_lock(&cache->lock);
	if (generation == atomic_load(&cache->generation)) {
		if (cache->held != generation || cache->count == ENTRIES_MAX)
			empty(cache, generation);
		if (!find(cache, name)) {
			struct entry **bucket = bucket_of(cache, name);
			struct entry *entry = arena_alloc(cache->arena, sizeof *entry);
			*entry = (struct entry){ .next = *bucket,
				.name = arena_strdup(cache->arena, name),
				.identity = copy(identity, cache->arena) };
			*bucket = entry;
			cache->count++;
		}
	}
	pthread_mutex_unlock(&cache->lock);
}
