/*
 * CopySnapshot: within a region the new snapshot has the tree of its source at once; from another one its controller (../control/copy.c) brings the blocks that this region lacks. The record names the tree that is to come, so
 * it no longer matters what becomes of the source.
 */
#include <string.h>

#include "svc/ec2/snapshots.h"
#include "base/banned.h"

enum { COPIES_MAX = 20 /* under way, for an account and a region, as AWS has it */ };

static int check_request(struct call *call, const struct ec2_CopySnapshotRequest *request, struct error *err)
{
	/* PresignedUrl is how other regions of AWS are told who asks; here the call itself does */
	static const char *const refused[] = { "DestinationOutpostArn", "KmsKeyId",
		"CompletionDurationMinutes", "DestinationAvailabilityZone", NULL };
	if (ec2_refuse_members(call, request, refused, err))
		return -1;
	if (boolean_or(request->encrypted, false))
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The parameter Encrypted of CopySnapshot is not supported by this endpoint.");
	if (!amid_find_region(call->amid, request->source_region))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter sourceRegion is invalid. There is no such region.",
			request->source_region);
	if (request->destination_region && strcmp(request->destination_region, call->region) != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter destinationRegion is invalid. The request was sent to %s.",
			request->destination_region, call->region);
	return 0;
}

static int check_limit(struct call *call, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "attended", .value = "true"
	};
	size_t copies = 0;
	if (meta_list(call->amid->meta, &record_snapshot, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		copies += ((struct snapshot_record *)rows.items[i])->copy != NULL;
	if (copies < COPIES_MAX)
		return 0;
	return error_set(err, ERROR_RESOURCE_LIMIT,
		"%d snapshots are being copied to %s already; at most that many can be at a time.",
		COPIES_MAX, call->region);
}

int ec2_copy_snapshot(struct call *call, const struct ec2_CopySnapshotRequest *request,
	struct ec2_CopySnapshotResult *result, struct error *err)
{
	static const char *const taggable[] = { "snapshot", NULL };
	struct snapshot_record *source;
	struct record_tag_list tags = { 0 };
	if (check_request(call, request, err) ||
		snapshot_find_visible(
			call, request->source_region, request->source_snapshot_id, &source, err) ||
		snapshot_check_usable(source, err) || check_limit(call, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "snapshot", taggable, &tags, err))
		return -1;
	struct record_snapshot_copy copy = { .region = request->source_region, .root = source->root };
	struct snapshot_record snapshot = {
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "snap") },
		.state = "pending",
		.volume_size_gib = source->volume_size_gib,
		.description = request->description,
		.started = ec2_now(),
		.root = strcmp(request->source_region, call->region) == 0 ? source->root : NULL,
		.full_bytes = source->full_bytes,
		.source_region = request->source_region,
		.source_snapshot = request->source_snapshot_id,
		.copy = &copy,
		.tags = tags,
	};
	snapshot_set_attended(&snapshot);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_expect(batch, &record_snapshot, source); /* it keeps its blocks until this one does */
	meta_batch_put(batch, &record_snapshot, &snapshot);
	if (meta_commit(call->amid->meta, batch, err))
		return -1;
	result->snapshot_id = snapshot.record.id;
	result->tags = ec2_tags_result(call, &snapshot.tags);
	return 0;
}
