/* Multi-Region keys: ReplicateKey, UpdatePrimaryRegion, and finding the others. All have the same id and material; what else belongs to them is each one's own. Any thread. */
#include <string.h>

#include "base/clock.h"
#include "svc/kms/material.h"
#include "svc/kms/new_key.h"
#include "svc/kms/permit.h"
#include "svc/kms/related.h"
#include "base/banned.h"

static int add_related(struct amid *amid, const struct kms_key_record *key, const char *region,
	struct arena *arena, struct kms_related *related, struct error *err)
{
	struct kms_key_record *found;
	if (strcmp(region, key->record.region) == 0)
		return 0;
	if (meta_get(amid->meta, &record_kms_key, key->record.account, region, key->record.id, arena, &found,
		    err))
		return -1;
	if (found)
		*ARENA_APPEND(arena, related->items, related->count) = found;
	return 0;
}

int kms_find_related(struct amid *amid, const struct kms_key_record *key, struct arena *arena,
	struct kms_related *related, struct error *err)
{
	*related = (struct kms_related){ 0 };
	if (!boolean_or(key->multi_region, false))
		return 0;
	if (add_related(amid, key, key->primary_region, arena, related, err))
		return -1;
	for (size_t i = 0; i < key->replica_regions.count; i++)
		if (strcmp(key->replica_regions.items[i], key->primary_region) != 0 &&
			add_related(amid, key, key->replica_regions.items[i], arena, related, err))
			return -1;
	return 0;
}

int kms_rotate(struct amid *amid, struct kms_key_record *key, const char *rotation, struct arena *arena,
	struct meta_batch *batch, struct error *err)
{
	struct kms_related related;
	if (kms_find_related(amid, key, arena, &related, err) ||
		kms_material_make(amid, key, rotation, arena, err))
		return -1;
	meta_batch_put(batch, &record_kms_key, key);
	for (size_t i = 0; i < related.count; i++) {
		related.items[i]->rotation_next = key->rotation_next;
		if (kms_material_copy(amid, key, related.items[i], arena, err))
			return -1;
		meta_batch_put(batch, &record_kms_key, related.items[i]);
	}
	return 0;
}

static bool has_replica(const struct kms_key_record *key, const char *region)
{
	for (size_t i = 0; i < key->replica_regions.count; i++)
		if (strcmp(key->replica_regions.items[i], region) == 0)
			return true;
	return false;
}

static int check_primary(const struct kms_key *key, struct error *err)
{
	if (!boolean_or(key->record->multi_region, false) ||
		strcmp(key->record->primary_region, key->record->record.region) != 0)
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION,
			"%s is not a multi-Region primary key.", key->arn);
	return 0;
}

static int check_region(struct call *call, const struct kms_key *key, const char *region, struct error *err)
{
	if (!amid_find_region(call->amid, region) || strcmp(region, call->region) == 0)
		return error_set(
			err, ERROR_VALIDATION, "%.32s is not another region of this server.", region);
	if (has_replica(key->record, region))
		return error_set(err, ERROR_KMS_ALREADY_EXISTS, "%s has a replica in %.32s already.",
			key->arn, region);
	return 0;
}

static int commit_replica(
	struct call *call, struct kms_key_record *primary, struct kms_key_record *replica, struct error *err)
{
	struct kms_related related;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (kms_find_related(call->amid, primary, call->arena, &related, err))
		return -1;
	*ARENA_APPEND(call->arena, primary->replica_regions.items, primary->replica_regions.count) =
		replica->record.region;
	primary->replica_regions.set = true;
	replica->replica_regions = primary->replica_regions;
	meta_batch_put(batch, &record_kms_key, primary);
	meta_batch_put(batch, &record_kms_key, replica);
	for (size_t i = 0; i < related.count; i++) {
		related.items[i]->replica_regions = primary->replica_regions;
		meta_batch_put(batch, &record_kms_key, related.items[i]);
	}
	return meta_commit(call->amid->meta, batch, err);
}

/* Tags may be what lets somebody use the replica, so to set them is a permission of its own. */
static int permit_tags(struct call *call, const struct kms_ReplicateKeyRequest *request, struct error *err)
{
	struct kms_conditions conditions = { 0 };
	const char **keys = arena_alloc_array(call->arena, request->tags.count + 1, sizeof *keys);
	for (size_t i = 0; i < request->tags.count; i++) {
		keys[i] = request->tags.items[i].tag_key;
		kms_condition(call->arena, &conditions,
			arena_printf(call->arena, "aws:RequestTag/%s", keys[i]),
			request->tags.items[i].tag_value);
	}
	kms_condition_list(call->arena, &conditions, "aws:TagKeys", keys, request->tags.count);
	return kms_permit_plain(call, "TagResource", "*", &conditions, err);
}

int kms_replicate_key(struct call *call, const struct kms_ReplicateKeyRequest *request,
	struct kms_ReplicateKeyResponse *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "ReplicateKey" };
	kms_condition(call->arena, &use.conditions, "kms:ReplicaRegion", request->replica_region);
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) || kms_permit(call, &key, &use, err) ||
		kms_permit_plain(call, "CreateKey", "*", &use.conditions, err) ||
		(request->tags.count && permit_tags(call, request, err)) || check_primary(&key, err) ||
		kms_check_enabled(&key, err) || check_region(call, &key, request->replica_region, err))
		return -1;
	struct kms_key_record replica = *key.record;
	replica.record = (struct record){
		.account = call->account, .region = request->replica_region, .id = key.record->record.id
	};
	replica.description = request->description;
	replica.created = some_timestamp(clock_now_ms());
	replica.tags = (struct record_tag_list){ 0 };
	replica.policy = request->policy ? request->policy : kms_default_policy(call->arena, call->account);
	struct kms_key made = { .record = &replica, .arn = kms_key_arn(call->arena, &replica) };
	if (kms_take_tags(call, &request->tags, &replica.tags, err) ||
		(request->policy &&
			kms_check_policy(call, &made, request->policy,
				!boolean_or(request->bypass_policy_lockout_safety_check, false),
				&replica.policy, err)) ||
		kms_material_copy(call->amid, key.record, &replica, call->arena, err) ||
		commit_replica(call, key.record, &replica, err))
		return -1;
	result->replica_key_metadata = kms_metadata(call, &replica);
	result->replica_policy = request->policy ? request->policy : replica.policy;
	result->replica_tags = (struct kms_TagList){ request->tags.items, request->tags.count, true };
	return 0;
}

int kms_update_primary_region(struct call *call, const struct kms_UpdatePrimaryRegionRequest *request,
	struct kms_UpdatePrimaryRegionResult *result, struct error *err)
{
	struct kms_key key;
	struct kms_related related;
	struct kms_use use = { .action = "UpdatePrimaryRegion" };
	(void)result;
	kms_condition(call->arena, &use.conditions, "kms:PrimaryRegion", request->primary_region);
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) || kms_permit(call, &key, &use, err) ||
		check_primary(&key, err) || kms_check_enabled(&key, err))
		return -1;
	struct kms_key_record *record = key.record;
	if (!has_replica(record, request->primary_region))
		return error_set(err, ERROR_KMS_NOT_FOUND, "%s has no replica in %.32s.", key.arn,
			request->primary_region);
	if (kms_find_related(call->amid, record, call->arena, &related, err))
		return -1;
	for (size_t i = 0; i < record->replica_regions.count; i++)
		if (strcmp(record->replica_regions.items[i], request->primary_region) == 0)
			record->replica_regions.items[i] = record->primary_region;
	record->primary_region = request->primary_region;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_kms_key, record);
	for (size_t i = 0; i < related.count; i++) {
		related.items[i]->primary_region = record->primary_region;
		related.items[i]->replica_regions = record->replica_regions;
		meta_batch_put(batch, &record_kms_key, related.items[i]);
	}
	return meta_commit(call->amid->meta, batch, err);
}
