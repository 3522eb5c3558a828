/* What changes a key but not its material: enabled or not, to be deleted, description, tags. Runs on the thread of the call. */
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

enum { WINDOW_DEFAULT = 30, WINDOW_MIN = 7, WINDOW_MAX = 30 };

static const int64_t day_ms = 24 * 3600 * 1000;

/* The key, if the caller may do that with it and it is the customer's and not about to go. */
static int find_changeable(
	struct call *call, const char *name, const char *action, struct kms_key *key, struct error *err)
{
	return kms_find_key(call, name, KMS_BY_ID, key, err) || kms_permit_action(call, key, action, err) ||
			kms_check_customer(key, err) || kms_check_not_pending(key, err)
		? -1
		: 0;
}

int kms_enable_key(struct call *call, const struct kms_EnableKeyRequest *request,
	struct kms_EnableKeyResult *result, struct error *err)
{
	struct kms_key key;
	(void)result;
	if (find_changeable(call, request->key_id, "EnableKey", &key, err))
		return -1;
	key.record->state = KMS_ENABLED;
	return kms_put_key(call, key.record, err);
}

int kms_disable_key(struct call *call, const struct kms_DisableKeyRequest *request,
	struct kms_DisableKeyResult *result, struct error *err)
{
	struct kms_key key;
	(void)result;
	if (find_changeable(call, request->key_id, "DisableKey", &key, err))
		return -1;
	key.record->state = KMS_DISABLED;
	return kms_put_key(call, key.record, err);
}

int kms_update_key_description(struct call *call, const struct kms_UpdateKeyDescriptionRequest *request,
	struct kms_UpdateKeyDescriptionResult *result, struct error *err)
{
	struct kms_key key;
	(void)result;
	if (find_changeable(call, request->key_id, "UpdateKeyDescription", &key, err))
		return -1;
	key.record->description = request->description;
	return kms_put_key(call, key.record, err);
}

/* A primary key outlives its replicas: its own time begins when the last of them is gone (upkeep.c). */
static bool waits_for_replicas(const struct kms_key_record *record)
{
	return boolean_or(record->multi_region, false) && record->replica_regions.count > 0 &&
		strcmp(record->primary_region, record->record.region) == 0;
}

int kms_schedule_key_deletion(struct call *call, const struct kms_ScheduleKeyDeletionRequest *request,
	struct kms_ScheduleKeyDeletionResponse *result, struct error *err)
{
	struct kms_key key;
	int64_t days = integer_or(request->pending_window_in_days, WINDOW_DEFAULT);
	struct kms_use use = { .action = "ScheduleKeyDeletion" };
	kms_condition(call->arena, &use.conditions, "kms:ScheduleKeyDeletionPendingWindowInDays",
		arena_printf(call->arena, "%lld", (long long)days));
	if (days < WINDOW_MIN || days > WINDOW_MAX)
		return error_set(err, ERROR_VALIDATION, "PendingWindowInDays must be between %d and %d",
			WINDOW_MIN, WINDOW_MAX);
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) || kms_permit(call, &key, &use, err) ||
		kms_check_customer(&key, err) || kms_check_not_pending(&key, err))
		return -1;
	struct kms_key_record *record = key.record;
	bool waiting = waits_for_replicas(record);
	record->state = waiting ? KMS_PENDING_REPLICA_DELETION : KMS_PENDING_DELETION;
	record->deletion_days = some_integer(days);
	if (!waiting)
		record->deletion_date = some_timestamp(clock_now_ms() + days * day_ms);
	if (kms_put_key(call, record, err))
		return -1;
	*result = (struct kms_ScheduleKeyDeletionResponse){ .key_id = key.arn,
		.deletion_date = record->deletion_date,
		.key_state = record->state,
		.pending_window_in_days = record->deletion_days };
	return 0;
}

int kms_cancel_key_deletion(struct call *call, const struct kms_CancelKeyDeletionRequest *request,
	struct kms_CancelKeyDeletionResponse *result, struct error *err)
{
	struct kms_key key;
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) ||
		kms_permit_action(call, &key, "CancelKeyDeletion", err))
		return -1;
	if (kms_check_not_pending(&key, NULL) == 0)
		return error_set(err, ERROR_KMS_INVALID_STATE, "%s is not pending deletion.", key.arn);
	key.record->state = KMS_DISABLED;
	key.record->deletion_date = (struct shape_timestamp){ 0 };
	key.record->deletion_days = (struct shape_integer){ 0 };
	result->key_id = key.arn;
	return kms_put_key(call, key.record, err);
}

int kms_tag_resource(struct call *call, const struct kms_TagResourceRequest *request,
	struct kms_TagResourceResult *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "TagResource" };
	const char **keys = arena_alloc_array(call->arena, request->tags.count + 1, sizeof *keys);
	(void)result;
	for (size_t i = 0; i < request->tags.count; i++) {
		keys[i] = request->tags.items[i].tag_key;
		kms_condition(call->arena, &use.conditions,
			arena_printf(call->arena, "aws:RequestTag/%s", keys[i]),
			request->tags.items[i].tag_value);
	}
	kms_condition_list(call->arena, &use.conditions, "aws:TagKeys", keys, request->tags.count);
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) || kms_permit(call, &key, &use, err) ||
		kms_check_customer(&key, err) || kms_check_not_pending(&key, err) ||
		kms_take_tags(call, &request->tags, &key.record->tags, err))
		return -1;
	return kms_put_key(call, key.record, err);
}

int kms_untag_resource(struct call *call, const struct kms_UntagResourceRequest *request,
	struct kms_UntagResourceResult *result, struct error *err)
{
	struct kms_key key;
	struct kms_use use = { .action = "UntagResource" };
	(void)result;
	kms_condition_list(call->arena, &use.conditions, "aws:TagKeys", request->tag_keys.items,
		request->tag_keys.count);
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) || kms_permit(call, &key, &use, err) ||
		kms_check_customer(&key, err) || kms_check_not_pending(&key, err))
		return -1;
	struct record_tag_list *tags = &key.record->tags;
	for (size_t i = 0; i < request->tag_keys.count; i++) {
		size_t kept = 0;
		for (size_t j = 0; j < tags->count; j++)
			if (strcmp(tags->items[j].key, request->tag_keys.items[i]) != 0)
				tags->items[kept++] = tags->items[j];
		tags->count = kept;
	}
	return kms_put_key(call, key.record, err);
}

int kms_list_resource_tags(struct call *call, const struct kms_ListResourceTagsRequest *request,
	struct kms_ListResourceTagsResponse *result, struct error *err)
{
	struct kms_key key;
	struct page page;
	if (kms_find_key(call, request->key_id, KMS_BY_ID, &key, err) ||
		kms_permit_action(call, &key, "ListResourceTags", err) ||
		kms_page_open(call, request->limit, request->marker, &page, err))
		return -1;
	const struct record_tag_list *tags = &key.record->tags;
	result->tags.set = true;
	/* in the order in which they were set: a page begins behind the tag that ended the last one */
	size_t at = 0;
	while (page.after && at < tags->count && strcmp(tags->items[at++].key, page.after) != 0)
		;
	for (; at < tags->count && page_take(&page, tags->items[at].key); at++)
		*ARENA_APPEND(call->arena, result->tags.items, result->tags.count) =
			(struct kms_Tag){ .tag_key = tags->items[at].key,
				.tag_value = tags->items[at].value };
	result->next_marker = page_close(&page);
	result->truncated = some_boolean(result->next_marker != NULL);
	return 0;
}
