/*
 * Counting a key's grants takes long when there are many (8 ms for 50,000), so they are counted when it may matter only: a key that had n grants cannot have too many before GRANTS_MAX - n more were made, whatever was deleted
 * meanwhile. What is left of that is kept in a table with one place for each hash of a key; whoever comes to a place that is another's counts, and takes it.
 *
 * One lock, not held while counting. All grants are made by this process.
 */
#include "svc/kms/grant_count.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum { GRANTS_MAX = 50000, PLACES = 256, NAME_SIZE = 160 };

struct place {
	char key[NAME_SIZE]; /* account/region/id */
	size_t left;         /* grants that may be made before they are counted again */
};

struct grant_counts {
	pthread_mutex_t lock;
	struct place places[PLACES];
};

struct grant_counts *grant_counts_create(void)
{
	struct grant_counts *counts = memory_alloc(sizeof *counts);
	*counts = (struct grant_counts){ 0 };
	pthread_mutex_init(&counts->lock, NULL);
	return counts;
}

void grant_counts_destroy(struct grant_counts *counts)
{
	if (!counts)
		return;
	pthread_mutex_destroy(&counts->lock);
	free(counts);
}

static struct place *place_of(struct grant_counts *counts, const char *key)
{
	unsigned hash = 2166136261u;
	for (const char *p = key; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &counts->places[hash % PLACES];
}

/* Whether one more is known to be possible; then it is taken. */
static bool take_known(struct grant_counts *counts, const char *key)
{
	pthread_mutex_lock(&counts->lock);
	struct place *place = place_of(counts, key);
	bool known = strcmp(place->key, key) == 0 && place->left > 0;
	if (known)
		place->left--;
	pthread_mutex_unlock(&counts->lock);
	return known;
}

static void remember(struct grant_counts *counts, const char *key, size_t left)
{
	pthread_mutex_lock(&counts->lock);
	struct place *place = place_of(counts, key);
	snprintf(place->key, sizeof place->key, "%s", key);
	place->left = left;
	pthread_mutex_unlock(&counts->lock);
}

int grant_counts_take(
	struct grant_counts *counts, struct meta *meta, const struct kms_key_record *key, struct error *err)
{
	struct meta_query query = { .account = key->record.account,
		.region = key->record.region,
		.index = "key",
		.value = key->record.id };
	char name[NAME_SIZE];
	size_t count;
	int size = snprintf(
		name, sizeof name, "%s/%s/%s", key->record.account, key->record.region, key->record.id);
	bool kept = counts && size < NAME_SIZE;
	if (key->service || (kept && take_known(counts, name)))
		return 0;
	if (meta_count(meta, &record_kms_grant, &query, &count, err))
		return -1;
	if (count >= GRANTS_MAX)
		return error_set(err, ERROR_KMS_LIMIT_EXCEEDED, "The key %s has %zu grants; it can have %d.",
			key->record.id, count, GRANTS_MAX);
	if (kept)
		remember(counts, name, GRANTS_MAX - count - 1);
	return 0;
}
