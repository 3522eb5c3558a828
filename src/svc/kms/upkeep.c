/*
 * The controller of keys: deletes those whose time has come, with aliases and grants, and rotates those that are due. A primary key that waits for its replicas gets its own time when the last of them goes. One commit each; runs on
 * the work queue's threads.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/keys.h"
#include "svc/kms/related.h"
#include "base/banned.h"

static const int64_t day_ms = 24 * 3600 * 1000;

static int delete_named(struct amid *amid, const struct kms_key_record *key, const struct record_kind *kind,
	struct arena *arena, struct meta_batch *batch, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = key->record.account,
		.region = key->record.region,
		.index = "key",
		.value = key->record.id };
	if (meta_list(amid->meta, kind, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		meta_batch_delete(batch, kind, rows.items[i]);
	return 0;
}

/* A region less among those of the related keys. */
static void forget_region(struct kms_key_record *key, const char *region)
{
	size_t kept = 0;
	for (size_t i = 0; i < key->replica_regions.count; i++)
		if (strcmp(key->replica_regions.items[i], region) != 0)
			key->replica_regions.items[kept++] = key->replica_regions.items[i];
	key->replica_regions.count = kept;
}

static int delete_key(
	struct amid *amid, const struct kms_key_record *key, struct arena *arena, struct error *err)
{
	struct kms_related related;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	if (kms_find_related(amid, key, arena, &related, err) ||
		delete_named(amid, key, &record_kms_alias, arena, batch, err) ||
		delete_named(amid, key, &record_kms_grant, arena, batch, err))
		return -1;
	for (size_t i = 0; i < related.count; i++) {
		struct kms_key_record *other = related.items[i];
		forget_region(other, key->record.region);
		if (strcmp(other->state, KMS_PENDING_REPLICA_DELETION) == 0 &&
			other->replica_regions.count == 0) {
			other->state = KMS_PENDING_DELETION;
			other->deletion_date =
				some_timestamp(clock_now_ms() + other->deletion_days.value * day_ms);
		}
		meta_batch_put(batch, &record_kms_key, other);
	}
	meta_batch_delete(batch, &record_kms_key, key);
	if (meta_commit(amid->meta, batch, err))
		return -1;
	log_info("key-deleted", "key=%s account=%s region=%s", key->record.id, key->record.account,
		key->record.region);
	return 0;
}

/* However long nobody looked, it is rotated once. */
static int rotate_key(struct amid *amid, struct kms_key_record *key, struct arena *arena, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	int64_t now = clock_now_ms();
	while (key->rotation_next.ms <= now)
		key->rotation_next.ms += key->rotation_days.value * day_ms;
	if (kms_rotate(amid, key, "AUTOMATIC", arena, batch, err) || meta_commit(amid->meta, batch, err))
		return -1;
	log_info("key-rotated", "key=%s account=%s region=%s", key->record.id, key->record.account,
		key->record.region);
	return 0;
}

static void look_again_at(int64_t time_ms, int64_t *again_ms)
{
	int64_t left = time_ms - clock_now_ms();
	left = left < 0 ? 0 : left;
	if (*again_ms < 0 || left < *again_ms)
		*again_ms = left;
}

/* Disabled keys are not rotated; they are when they are enabled again. */
static bool is_rotated_here(const struct kms_key_record *key)
{
	return key->rotation_next.set && key->rotation_days.value > 0 &&
		strcmp(key->state, KMS_ENABLED) == 0 &&
		(!key->primary_region || strcmp(key->primary_region, key->record.region) == 0);
}

static int look_at(struct amid *amid, struct kms_key_record *key, struct arena *arena, int64_t *again_ms,
	struct error *err)
{
	if (strcmp(key->state, KMS_PENDING_DELETION) == 0 && key->deletion_date.set) {
		if (key->deletion_date.ms <= clock_now_ms())
			return delete_key(amid, key, arena, err);
		look_again_at(key->deletion_date.ms, again_ms);
	}
	if (!is_rotated_here(key))
		return 0;
	if (key->rotation_next.ms <= clock_now_ms())
		return rotate_key(amid, key, arena, err); /* the change wakes this again */
	look_again_at(key->rotation_next.ms, again_ms);
	return 0;
}

int keys_control(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct amid *amid = context;
	for (unsigned i = 0; i < amid->region_count; i++) {
		struct kms_key_record *key;
		if (kms_find_by_id(amid, amid->regions[i].name, id, arena, &key, err) ||
			(key && look_at(amid, key, arena, again_ms, err)))
			return -1;
	}
	return 0;
}
