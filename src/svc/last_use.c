/*
 * Two lists of uses: `noted` takes new ones, `writing` is what the last write took away from it and has not committed yet; both are looked through. Each has an entry for each key, in chains by hash. The thread sleeps until
 * something is noted, then for a minute, then writes. A record that was changed meanwhile is read again; one that is gone is left out.
 */
#include "svc/last_use.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/banned.h"

enum { BUCKETS = 256, PERIOD_SECONDS = 60, TRIES = 8 };

struct entry {
	struct entry *next;
	const struct record_kind *kind;
	const char *id;
	struct last_use use;
};

struct uses {
	struct arena *arena; /* of the entries */
	size_t count;
	struct entry *buckets[BUCKETS];
};

struct last_uses {
	struct meta *meta;
	pthread_t thread;
	pthread_mutex_t write_lock; /* held through a write; taken before `lock` */
	pthread_mutex_t lock;       /* of what follows */
	pthread_cond_t changed;     /* something was noted, or it ends */
	bool ending;
	struct uses *noted, *writing; /* writing NULL: nothing is */
};

static struct uses *uses_create(void)
{
	struct arena *arena = arena_create();
	struct uses *uses = arena_alloc(arena, sizeof *uses);
	uses->arena = arena;
	return uses;
}

static unsigned bucket_of(const char *id)
{
	unsigned hash = 2166136261u;
	for (const char *p = id; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return hash % BUCKETS;
}

static struct entry *find(struct uses *uses, const struct record_kind *kind, const char *id)
{
	for (struct entry *entry = uses ? uses->buckets[bucket_of(id)] : NULL; entry; entry = entry->next)
		if (entry->kind == kind && strcmp(entry->id, id) == 0)
			return entry;
	return NULL;
}

void last_use_note(struct last_uses *uses, const struct record_kind *kind, const char *id,
	const char *service, const char *region)
{
	if (!uses)
		return;
	pthread_mutex_lock(&uses->lock);
	struct uses *noted = uses->noted;
	struct entry *entry = find(noted, kind, id);
	if (!entry) {
		struct entry **bucket = &noted->buckets[bucket_of(id)];
		entry = arena_alloc(noted->arena, sizeof *entry);
		entry->kind = kind;
		entry->id = arena_strdup(noted->arena, id);
		entry->next = *bucket;
		*bucket = entry;
		if (!noted->count++)
			pthread_cond_signal(&uses->changed);
	}
	entry->use.time_ms = clock_now_ms();
	snprintf(entry->use.service, sizeof entry->use.service, "%s", service);
	snprintf(entry->use.region, sizeof entry->use.region, "%s", region);
	pthread_mutex_unlock(&uses->lock);
}

bool last_use_find(
	struct last_uses *uses, const struct record_kind *kind, const char *id, struct last_use *use)
{
	if (!uses)
		return false;
	pthread_mutex_lock(&uses->lock);
	const struct entry *entry = find(uses->noted, kind, id);
	if (!entry)
		entry = find(uses->writing, kind, id);
	if (entry)
		*use = entry->use;
	pthread_mutex_unlock(&uses->lock);
	return entry;
}

static int put_key(struct meta *meta, struct meta_batch *batch, const struct entry *entry,
	struct arena *arena, struct error *err)
{
	struct access_key_record *key;
	if (meta_get_any(meta, &record_access_key, NULL, entry->id, arena, &key, err))
		return -1;
	if (!key)
		return 0;
	key->last_used = some_timestamp(entry->use.time_ms);
	key->last_used_service = entry->use.service;
	key->last_used_region = entry->use.region;
	meta_batch_put(batch, &record_access_key, key);
	return 0;
}

static int put_role(struct meta *meta, struct meta_batch *batch, const struct entry *entry,
	struct arena *arena, struct error *err)
{
	struct iam_role_record *role;
	if (meta_get_any(meta, &record_iam_role, NULL, entry->id, arena, &role, err))
		return -1;
	if (!role)
		return 0;
	role->last_used = some_timestamp(entry->use.time_ms);
	role->last_used_region = entry->use.region;
	meta_batch_put(batch, &record_iam_role, role);
	return 0;
}

static int put_image(struct meta *meta, struct meta_batch *batch, const struct entry *entry,
	struct arena *arena, struct error *err)
{
	struct image_record *image;
	if (meta_get_any(meta, &record_image, NULL, entry->id, arena, &image, err))
		return -1;
	if (!image)
		return 0;
	image->last_launched = some_timestamp(entry->use.time_ms);
	meta_batch_put(batch, &record_image, image);
	return 0;
}

static int put(struct meta *meta, struct meta_batch *batch, const struct entry *entry, struct arena *arena,
	struct error *err)
{
	if (entry->kind == &record_access_key)
		return put_key(meta, batch, entry, arena, err);
	return (entry->kind == &record_iam_role ? put_role : put_image)(meta, batch, entry, arena, err);
}

static int commit(struct meta *meta, const struct uses *uses, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_batch *batch = meta_batch_create(meta, arena);
	for (int i = 0; i < BUCKETS; i++)
		for (const struct entry *entry = uses->buckets[i]; entry; entry = entry->next)
			if (put(meta, batch, entry, arena, err))
				return -1;
	return meta_commit(meta, batch, err);
}

int last_use_write(struct last_uses *uses, struct error *err)
{
	int result = 0;
	pthread_mutex_lock(&uses->write_lock);
	pthread_mutex_lock(&uses->lock);
	struct uses *taken = uses->noted;
	uses->writing = taken;
	uses->noted = uses_create();
	pthread_mutex_unlock(&uses->lock);
	if (taken->count)
		for (int i = 0; i < TRIES; i++) {
			result = commit(uses->meta, taken, err);
			if (result == 0 || err->code != ERROR_CONFLICT)
				break;
		}
	pthread_mutex_lock(&uses->lock);
	uses->writing = NULL;
	pthread_mutex_unlock(&uses->lock);
	arena_destroy(taken->arena);
	pthread_mutex_unlock(&uses->write_lock);
	return result;
}

/* Sleeps until there is something to write and its minute is over, or until it ends. Returns whether it goes on. */
static bool wait_for_uses(struct last_uses *uses)
{
	struct timespec until;
	pthread_mutex_lock(&uses->lock);
	while (!uses->ending && !uses->noted->count)
		pthread_cond_wait(&uses->changed, &uses->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PERIOD_SECONDS;
	while (!uses->ending && pthread_cond_timedwait(&uses->changed, &uses->lock, &until) == 0)
		;
	bool on = !uses->ending;
	pthread_mutex_unlock(&uses->lock);
	return on;
}

static void *run(void *context)
{
	struct last_uses *uses = context;
	struct error err = { 0 };
	bool on;
	do {
		on = wait_for_uses(uses);
		if (last_use_write(uses, &err))
			log_warning("last-use-lost", "message=\"%s\"", err.message);
	} while (on);
	return NULL;
}

int last_use_open(struct meta *meta, struct last_uses **result, struct error *err)
{
	struct last_uses *uses = memory_alloc(sizeof *uses);
	pthread_condattr_t attributes;
	*uses = (struct last_uses){ .meta = meta, .noted = uses_create() };
	pthread_mutex_init(&uses->write_lock, NULL);
	pthread_mutex_init(&uses->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&uses->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	int failed = pthread_create(&uses->thread, NULL, run, uses);
	if (failed) {
		arena_destroy(uses->noted->arena);
		free(uses);
		return error_set_errno(err, failed, "cannot start the thread that notes uses");
	}
	*result = uses;
	return 0;
}

void last_use_close(struct last_uses *uses)
{
	if (!uses)
		return;
	pthread_mutex_lock(&uses->lock);
	uses->ending = true;
	pthread_cond_signal(&uses->changed);
	pthread_mutex_unlock(&uses->lock);
	pthread_join(uses->thread, NULL);
	arena_destroy(uses->noted->arena);
	pthread_cond_destroy(&uses->changed);
	pthread_mutex_destroy(&uses->lock);
	pthread_mutex_destroy(&uses->write_lock);
	free(uses);
}
