/* DescribeVolumes and DescribeSnapshots. */
#include <string.h>

#include "aws/filter.h"
#include "aws/page.h"
#include "svc/ec2/snapshots.h"
#include "svc/ec2/volumes.h"
#include "base/banned.h"

#define OFFER(kind, name, call_offer) \
	static void name(const void *resource, struct filter_match *match) \
	{ \
		const struct kind##_record *kind = resource; \
		call_offer; \
	}
#define OFFER_ATTACHMENT(name, call_offer) OFFER(volume, name, if (volume->attachment) call_offer)

OFFER_ATTACHMENT(offer_attach_time, filter_offer_time(match, volume->attachment->attached))
OFFER_ATTACHMENT(offer_attachment_delete, filter_offer_boolean(match, some_boolean(boolean_or(volume->attachment->delete_on_termination, false))))
OFFER_ATTACHMENT(offer_attachment_device, filter_offer(match, volume->attachment->device))
OFFER_ATTACHMENT(offer_attachment_instance, filter_offer(match, volume->attachment->instance))
OFFER_ATTACHMENT(offer_attachment_state, filter_offer(match, volume->attachment->state))
OFFER(volume, offer_zone, filter_offer(match, volume->zone))
OFFER(volume, offer_created, filter_offer_time(match, volume->created))
OFFER(volume, offer_volume_encrypted, filter_offer_boolean(match, some_boolean(boolean_or(volume->encrypted, false))))
OFFER(volume, offer_multi_attach, filter_offer_boolean(match, some_boolean(boolean_or(volume->multi_attach, false))))
OFFER(volume, offer_size, filter_offer_integer(match, volume->size_gib))
OFFER(volume, offer_volume_snapshot, filter_offer(match, volume->snapshot))
OFFER(volume, offer_volume_state, filter_offer(match, volume->state))
OFFER(volume, offer_volume_id, filter_offer(match, volume->record.id))
OFFER(volume, offer_volume_type, filter_offer(match, volume->volume_type))

static const struct filter_field volume_fields[] = {
	{ "attachment.attach-time", offer_attach_time },
	{ "attachment.delete-on-termination", offer_attachment_delete },
	{ "attachment.device", offer_attachment_device },
	{ "attachment.instance-id", offer_attachment_instance },
	{ "attachment.status", offer_attachment_state },
	{ "availability-zone", offer_zone },
	{ "create-time", offer_created },
	{ "encrypted", offer_volume_encrypted },
	{ "multi-attach-enabled", offer_multi_attach },
	{ "size", offer_size },
	{ "snapshot-id", offer_volume_snapshot },
	{ "status", offer_volume_state },
	{ "volume-id", offer_volume_id },
	{ "volume-type", offer_volume_type },
	{ 0 },
};

static const struct record_tag_list *volume_tags(const void *resource)
{
	return &((const struct volume_record *)resource)->tags;
}

static const struct filter_table volume_table = { volume_fields, volume_tags };

static int load_volumes(struct call *call, const struct ec2_VolumeIdStringList *ids, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };
	if (!ids->count)
		return meta_list(call->amid->meta, &record_volume, &query, call->arena, rows, err);
	rows->items = arena_alloc_array(call->arena, ids->count, sizeof *rows->items);
	for (rows->count = 0; rows->count < ids->count; rows->count++) {
		struct volume_record *volume;
		if (volume_find(call, ids->items[rows->count], &volume, err))
			return -1;
		rows->items[rows->count] = volume;
	}
	return 0;
}

int ec2_describe_volumes(struct call *call, const struct ec2_DescribeVolumesRequest *request, struct ec2_DescribeVolumesResult *result, struct error *err)
{
	static const struct page_rules rules = { .min = 5, .max = 1000 };
	struct meta_rows rows = { 0 };
	struct page page;
	if (request->volume_ids.count && request->max_results.set)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION, "The parameter volumeSet cannot be used with the parameter maxResults");
	if (filter_check(&volume_table, &request->filters, err) || load_volumes(call, &request->volume_ids, &rows, err) ||
		page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token, &page, err))
		return -1;
	result->volumes.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const struct volume_record *volume = rows.items[i];
		if (!page_is_ahead(&page, volume->record.id) || !filter_passes(&volume_table, &request->filters, volume))
			continue;
		if (!page_take(&page, volume->record.id))
			break;
		volume_result(call, volume, ARENA_APPEND(call->arena, result->volumes.items, result->volumes.count));
	}
	result->next_token = page_close(&page);
	return 0;
}

OFFER(snapshot, offer_description, filter_offer(match, snapshot->description))
OFFER(snapshot, offer_snapshot_encrypted, filter_offer_boolean(match, some_boolean(boolean_or(snapshot->encrypted, false))))
OFFER(snapshot, offer_owner, filter_offer(match, snapshot->record.account))
OFFER(snapshot, offer_owner_alias, filter_offer(match, strcmp(snapshot->record.account, ACCOUNT_PLATFORM) == 0 ? ALIAS_PLATFORM : NULL))
OFFER(snapshot, offer_progress, filter_offer(match, snapshot_progress(snapshot)))
OFFER(snapshot, offer_snapshot_id, filter_offer(match, snapshot->record.id))
OFFER(snapshot, offer_started, filter_offer_time(match, snapshot->started))
OFFER(snapshot, offer_snapshot_state, filter_offer(match, snapshot->state))
OFFER(snapshot, offer_tier, filter_offer(match, snapshot->state ? "standard" : NULL))
OFFER(snapshot, offer_snapshot_volume, filter_offer(match, snapshot->volume))
OFFER(snapshot, offer_volume_size, filter_offer_integer(match, snapshot->volume_size_gib))

static const struct filter_field snapshot_fields[] = {
	{ "description", offer_description },
	{ "encrypted", offer_snapshot_encrypted },
	{ "owner-alias", offer_owner_alias },
	{ "owner-id", offer_owner },
	{ "progress", offer_progress },
	{ "snapshot-id", offer_snapshot_id },
	{ "start-time", offer_started },
	{ "status", offer_snapshot_state },
	{ "storage-tier", offer_tier },
	{ "volume-id", offer_snapshot_volume },
	{ "volume-size", offer_volume_size },
	{ 0 },
};

static const struct record_tag_list *snapshot_tags(const void *resource)
{
	return &((const struct snapshot_record *)resource)->tags;
}

static const struct filter_table snapshot_table = { snapshot_fields, snapshot_tags };

/* Who may make volumes from it: its owner, everybody, or an account named in its permissions. */
static bool is_visible(const struct call *call, const struct snapshot_record *snapshot)
{
	if (strcmp(snapshot->record.account, call->account) == 0)
		return true;
	for (size_t i = 0; i < snapshot->create_volume_permissions.count; i++) {
		const struct record_launch_permission *permission = &snapshot->create_volume_permissions.items[i];
		if (text_equal(permission->user, call->account) || text_equal(permission->group, "all"))
			return true;
	}
	return false;
}

static bool matches_owner(const struct call *call, const struct snapshot_record *snapshot, const struct ec2_OwnerStringList *owners)
{
	for (size_t i = 0; i < owners->count; i++) {
		const char *owner = strcmp(owners->items[i], "self") == 0 ? call->account
			: strcmp(owners->items[i], ALIAS_PLATFORM) == 0 ? ACCOUNT_PLATFORM : owners->items[i];
		if (strcmp(snapshot->record.account, owner) == 0)
			return true;
	}
	return !owners->count;
}

static int load_snapshots(struct call *call, const struct ec2_SnapshotIdStringList *ids, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .region = call->region };
	if (!ids->count)
		return meta_list(call->amid->meta, &record_snapshot, &query, call->arena, rows, err);
	rows->items = arena_alloc_array(call->arena, ids->count, sizeof *rows->items);
	for (rows->count = 0; rows->count < ids->count; rows->count++) {
		struct snapshot_record *snapshot;
		const char *id = ids->items[rows->count];
		if (ec2_check_id(id, "snap", ERROR_SNAPSHOT_ID_MALFORMED, err) ||
			meta_get_any(call->amid->meta, &record_snapshot, call->region, id, call->arena, &snapshot, err))
			return -1;
		if (!snapshot || !is_visible(call, snapshot))
			return error_set(err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' does not exist.", id);
		rows->items[rows->count] = snapshot;
	}
	return 0;
}

int ec2_describe_snapshots(struct call *call, const struct ec2_DescribeSnapshotsRequest *request, struct ec2_DescribeSnapshotsResult *result,
	struct error *err)
{
	static const struct page_rules rules = { .min = 5, .max = 1000 };
	static const char *const refused[] = { "RestorableByUserIds", NULL };
	struct meta_rows rows = { 0 };
	struct page page;
	if (request->snapshot_ids.count && request->max_results.set)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION, "The parameter snapshotSet cannot be used with the parameter maxResults");
	if (ec2_refuse_members(call, request, refused, err) || filter_check(&snapshot_table, &request->filters, err) ||
		load_snapshots(call, &request->snapshot_ids, &rows, err) ||
		page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token, &page, err))
		return -1;
	result->snapshots.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const struct snapshot_record *snapshot = rows.items[i];
		if (!page_is_ahead(&page, snapshot->record.id) || !is_visible(call, snapshot) ||
			!matches_owner(call, snapshot, &request->owner_ids) || !filter_passes(&snapshot_table, &request->filters, snapshot))
			continue;
		if (!page_take(&page, snapshot->record.id))
			break;
		snapshot_result(call, snapshot, ARENA_APPEND(call->arena, result->snapshots.items, result->snapshots.count));
	}
	result->next_token = page_close(&page);
	return 0;
}
