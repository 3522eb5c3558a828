/* Rotation: new material for what is encrypted from now on; what is there opens with what it was encrypted with. Runs on the thread of the call; when its time comes, upkeep.c does it. */
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "svc/kms/permit.h"
#include "svc/kms/related.h"
#include "base/banned.h"

enum { DAYS_DEFAULT = 365, ON_DEMAND_MAX = 25 };

static const int64_t day_ms = 24 * 3600 * 1000;

static int check_rotatable(const struct kms_key *key, struct error *err)
{
	if (!kms_is_symmetric(key->record))
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION,
			"%s cannot be rotated: it is not symmetric.", key->arn);
	return 0;
}

/* A multi-Region key is rotated where it is primary. */
static int check_primary(const struct kms_key *key, struct error *err)
{
	const struct kms_key_record *record = key->record;
	if (boolean_or(record->multi_region, false) &&
		strcmp(record->primary_region, record->record.region) != 0)
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION,
			"%s is a replica: rotate its primary key.", key->arn);
	return 0;
}

static int find_rotatable(struct call *call, const char *name, const struct kms_use *use, struct kms_key *key,
	struct error *err)
{
	return kms_find_key(call, name, KMS_BY_ID, key, err) || kms_permit(call, key, use, err) ||
			kms_check_customer(key, err) || check_rotatable(key, err) ||
			kms_check_enabled(key, err) || check_primary(key, err)
		? -1
		: 0;
}

/* The schedule of a key and its related ones; `days` 0: none. */
static int set_schedule(struct call *call, struct kms_key_record *key, int64_t days, struct error *err)
{
	struct kms_related related;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (kms_find_related(call->amid, key, call->arena, &related, err))
		return -1;
	*ARENA_APPEND(call->arena, related.items, related.count) = key;
	for (size_t i = 0; i < related.count; i++) {
		struct kms_key_record *record = related.items[i];
		record->rotation_days = days ? some_integer(days) : (struct shape_integer){ 0 };
		record->rotation_next =
			days ? some_timestamp(clock_now_ms() + days * day_ms) : (struct shape_timestamp){ 0 };
		meta_batch_put(batch, &record_kms_key, record);
	}
	return meta_commit(call->amid->meta, batch, err);
}

int kms_enable_key_rotation(struct call *call, const struct kms_EnableKeyRotationRequest *request,
	struct kms_EnableKeyRotationResult *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "EnableKeyRotation" };
	int64_t days = integer_or(request->rotation_period_in_days, DAYS_DEFAULT);
	(void)result;
	kms_condition(call->arena, &use.conditions, "kms:RotationPeriodInDays",
		arena_printf(call->arena, "%lld", (long long)days));
	return find_rotatable(call, request->key_id, &use, &key, err) ||
			set_schedule(call, key.record, days, err)
		? -1
		: 0;
}

int kms_disable_key_rotation(struct call *call, const struct kms_DisableKeyRotationRequest *request,
	struct kms_DisableKeyRotationResult *result, struct error *err)
{
	struct kms_key key;
	(void)result;
	return find_rotatable(call, request->key_id, &(struct kms_use){ .action = "DisableKeyRotation" },
		       &key, err) ||
			set_schedule(call, key.record, 0, err)
		? -1
		: 0;
}

int kms_get_key_rotation_status(struct call *call, const struct kms_GetKeyRotationStatusRequest *request,
	struct kms_GetKeyRotationStatusResponse *result, struct error *err)
{
	struct kms_key key;
	if (kms_find_key(call, request->key_id, KMS_FOREIGN, &key, err) ||
		kms_permit_action(call, &key, "GetKeyRotationStatus", err) || check_rotatable(&key, err))
		return -1;
	bool enabled = key.record->rotation_days.set;
	bool pending = kms_check_not_pending(&key, NULL) != 0;
	*result = (struct kms_GetKeyRotationStatusResponse){
		.key_id = key.arn,
		.key_rotation_enabled = some_boolean(enabled && !pending),
		.rotation_period_in_days = key.record->rotation_days,
	};
	if (!pending)
		result->next_rotation_date = key.record->rotation_next;
	return 0;
}

int kms_rotate_key_on_demand(struct call *call, const struct kms_RotateKeyOnDemandRequest *request,
	struct kms_RotateKeyOnDemandResponse *result, struct error *err)
{
	struct kms_key key;
	int done = 0;
	if (find_rotatable(
		    call, request->key_id, &(struct kms_use){ .action = "RotateKeyOnDemand" }, &key, err))
		return -1;
	for (size_t i = 0; i < key.record->materials.count; i++) {
		const char *rotation = key.record->materials.items[i].rotation;
		done += rotation && strcmp(rotation, "ON_DEMAND") == 0;
	}
	if (done >= ON_DEMAND_MAX)
		return error_set(err, ERROR_KMS_LIMIT_EXCEEDED, "%s has been rotated on demand %d times.",
			key.arn, done);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (kms_rotate(call->amid, key.record, "ON_DEMAND", call->arena, batch, err) ||
		meta_commit(call->amid->meta, batch, err))
		return -1;
	result->key_id = key.arn;
	return 0;
}

int kms_list_key_rotations(struct call *call, const struct kms_ListKeyRotationsRequest *request,
	struct kms_ListKeyRotationsResponse *result, struct error *err)
{
	struct kms_key key;
	struct page page;
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) ||
		kms_permit_action(call, &key, "ListKeyRotations", err) || check_rotatable(&key, err) ||
		kms_page_open(call, request->limit, request->marker, &page, err))
		return -1;
	bool all = request->include_key_material &&
		strcmp(request->include_key_material, "ALL_KEY_MATERIAL") == 0;
	const struct record_kms_material_list *materials = &key.record->materials;
	bool ahead =
		!page.after; /* in the order of time: a page begins behind the material that ended the last one */
	result->rotations.set = true;
	for (size_t i = 0; i < materials->count; i++) {
		const struct record_kms_material *material = &materials->items[i];
		bool wanted = ahead && (all || material->rotation);
		ahead = ahead || strcmp(material->id, page.after) == 0;
		if (!wanted)
			continue;
		if (!page_take(&page, material->id))
			break;
		*ARENA_APPEND(call->arena, result->rotations.items, result->rotations.count) =
			(struct kms_RotationsListEntry){ .key_id = key.arn,
				.key_material_id = material->id,
				.key_material_state = i + 1 == materials->count ? "CURRENT" : "NON_CURRENT",
				.rotation_date = { material->rotation && material->created.set,
					material->created.ms },
				.rotation_type = material->rotation };
	}
	result->next_marker = page_close(&page);
	result->truncated = some_boolean(result->next_marker != NULL);
	return 0;
}
