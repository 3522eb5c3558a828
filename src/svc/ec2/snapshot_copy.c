/*
 * CopySnapshot: within a region the new snapshot has the tree of its source at once; from another one its controller (../control/copy.c) brings the blocks that this region lacks. The record names the tree that is to come, so
 * it no longer matters what becomes of the source. The source in a region of a peer is found by asking that.
 */
#include "svc/ec2/snapshot_copy.h"

#include <string.h>

#include "svc/ec2/encryption.h"
#include "svc/ec2/snapshots.h"
#include "svc/key_ring.h"
#include "svc/peer_ask.h"
#include "base/banned.h"

enum { COPIES_MAX = 20 /* under way, for an account and a region, as AWS has it */ };

int snapshot_copy_check_region(
	struct call *call, const char *region, const struct peer **peer, struct error *err)
{
	*peer = NULL;
	if (amid_find_region(call->amid, region) || (*peer = peers_find(call->amid->peers, region)))
		return 0;
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
		"Value (%.64s) for parameter sourceRegion is invalid. There is no such region.", region);
}

int snapshot_copy_word_error(struct error *err)
{
	if (err->code == ERROR_ACCESS_DENIED || err->code == ERROR_CORRUPT || err->code == ERROR_NOT_FOUND)
		err->code = ERROR_UNAVAILABLE;
	return -1;
}

static int check_request(struct call *call, const struct ec2_CopySnapshotRequest *request,
	const struct peer **peer, struct error *err)
{
	/* PresignedUrl is how other regions of AWS are told who asks; here the call itself does */
	static const char *const refused[] = { "DestinationOutpostArn", "CompletionDurationMinutes",
		"DestinationAvailabilityZone", NULL };
	if (ec2_refuse_members(call, request, refused, err))
		return -1;
	if (snapshot_copy_check_region(call, request->source_region, peer, err))
		return -1;
	if (request->destination_region && strcmp(request->destination_region, call->region) != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter destinationRegion is invalid. The request was sent to %s.",
			request->destination_region, call->region);
	return 0;
}

int snapshot_copy_check_limit(struct call *call, size_t count, struct error *err)
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
	if (copies + count <= COPIES_MAX)
		return 0;
	return error_set(err, ERROR_RESOURCE_LIMIT,
		"%zu snapshots are being copied to %s already; at most %d can be at a time.", copies,
		call->region, COPIES_MAX);
}

/* The copy cannot be made: as with EBS, that shows when it is looked at. */
static int refuse_copy(struct call *call, struct snapshot_record *snapshot, const char *why)
{
	snapshot->state = "error";
	snapshot->state_message = arena_printf(call->arena, "Given key ID is not accessible. %s", why);
	snapshot->root = NULL;
	snapshot->copy = NULL;
	return 0;
}

/* Keys and grants for the copy's controller. Within a region, and under the key that the source has, nothing is encrypted anew. */
static int prepare_keys(struct call *call, const struct snapshot_record *source, const char *kms_key,
	struct snapshot_record *snapshot, struct error *err)
{
	bool sealed = boolean_or(source->encrypted, false);
	if (sealed && strcmp(source->record.account, call->account) == 0 && snapshot->root &&
		text_equal(source->kms_key, kms_key)) {
		snapshot->plain_root = source->plain_root;
		return encryption_share_key(
			call, source->data_key, snapshot->record.id, &snapshot->data_key, err);
	}
	snapshot->copy->reencrypt = some_boolean(true);
	snapshot->root = NULL;
	if (encryption_make_key(call, kms_key, snapshot->record.id, &snapshot->data_key, err))
		return -1;
	return sealed
		? encryption_share_source(call, source, snapshot->record.id, &snapshot->copy->source_key, err)
		: 0;
}

static int encrypt(struct call *call, const struct snapshot_record *source, struct shape_boolean encrypted,
	const char *kms_key_id, struct snapshot_record *snapshot, struct error *err)
{
	struct encryption encryption;
	bool sealed = boolean_or(source->encrypted, false);
	if (sealed && encrypted.set && !encrypted.value)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (false) for parameter encrypted is invalid. The copy of an encrypted snapshot is encrypted.");
	/* the source does not count: without a key named, the copy is under the account's default one */
	if (encryption_choose(
		    call, sealed ? some_boolean(true) : encrypted, kms_key_id, NULL, &encryption, err))
		return -1;
	if (!encryption.wanted)
		return 0;
	snapshot->encrypted = some_boolean(true);
	snapshot->kms_key = encryption.kms_key;
	if (encryption.refusal)
		return refuse_copy(call, snapshot, encryption.words);
	if (prepare_keys(call, source, encryption.kms_key, snapshot, err))
		return data_key_is_refused(err)
			? refuse_copy(call, snapshot, data_key_words(call->arena, err))
			: -1;
	return 0;
}

int snapshot_copy_put(struct call *call, const struct snapshot_record *source, const char *lease,
	struct shape_boolean encrypted, const char *kms_key_id, struct meta_batch *batch,
	struct snapshot_record *snapshot, struct error *err)
{
	const char *region = source->record.region;
	struct record_snapshot_copy *copy = arena_alloc(call->arena, sizeof *copy);
	*copy = (struct record_snapshot_copy){ .region = region, .root = source->root, .lease = lease };
	snapshot->record = (struct record){
		.account = call->account, .region = call->region, .id = text_random_id(call->arena, "snap")
	};
	snapshot->state = "pending";
	snapshot->volume_size_gib = source->volume_size_gib;
	snapshot->started = ec2_now();
	snapshot->root = strcmp(region, call->region) == 0 ? source->root : NULL;
	snapshot->full_bytes = source->full_bytes;
	snapshot->source_region = region;
	snapshot->source_snapshot = source->record.id;
	snapshot->copy = copy;
	if (encrypt(call, source, encrypted, kms_key_id, snapshot, err))
		return -1;
	snapshot_set_attended(snapshot);
	if (!lease) /* it keeps its blocks until this one does */
		meta_batch_expect(batch, &record_snapshot, source);
	meta_batch_put(batch, &record_snapshot, snapshot);
	return 0;
}

static int find_source(struct call *call, const struct ec2_CopySnapshotRequest *request,
	const struct peer *peer, const struct snapshot_record **source, const char **lease, struct error *err)
{
	struct snapshot_record *found;
	const char *id = request->source_snapshot_id;
	*lease = NULL;
	if (!peer) {
		if (snapshot_find_visible(call, request->source_region, id, &found, err))
			return -1;
		*source = found;
		return snapshot_check_usable(found, err);
	}
	struct peer_snapshot *described = arena_alloc(call->arena, sizeof *described);
	if (ec2_check_id(id, "snap", ERROR_SNAPSHOT_ID_MALFORMED, err))
		return -1;
	if (peer_ask_snapshot(call->amid, peer, call->account, id, call->arena, described, err))
		return snapshot_copy_word_error(err);
	*source = &described->snapshot;
	*lease = described->lease;
	return 0;
}

int ec2_copy_snapshot(struct call *call, const struct ec2_CopySnapshotRequest *request,
	struct ec2_CopySnapshotResult *result, struct error *err)
{
	static const char *const taggable[] = { "snapshot", NULL };
	const struct snapshot_record *source = NULL;
	const struct peer *peer;
	const char *lease = NULL;
	struct snapshot_record snapshot = { .description = request->description };
	if (check_request(call, request, &peer, err) ||
		find_source(call, request, peer, &source, &lease, err) ||
		snapshot_copy_check_limit(call, 1, err) ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "snapshot", taggable, &snapshot.tags, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (snapshot_copy_put(
		    call, source, lease, request->encrypted, request->kms_key_id, batch, &snapshot, err) ||
		meta_commit(call->amid->meta, batch, err))
		return -1;
	result->snapshot_id = snapshot.record.id;
	result->tags = ec2_tags_result(call, &snapshot.tags);
	return 0;
}
