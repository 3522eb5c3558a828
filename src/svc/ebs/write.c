/*
 * StartSnapshot, PutSnapshotBlock, CompleteSnapshot: writing a snapshot block by block. What lasts between the calls is in upload.h. A block is hashed once, outside of all locks: the digest is its checksum and its name in the store.
 */
#include <inttypes.h>
#include <string.h>

#include "aws/idempotency.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/ebs/common.h"
#include "svc/ebs/encryption.h"
#include "svc/ebs/upload.h"
#include "svc/ec2/common.h"
#include "base/banned.h"

enum {
	SIZE_MAX_GIB = 64 * 1024,
	TIMEOUT_MINUTES = 60, /* unless the client says otherwise */
	UPLOADS_MAX = 100,    /* pending ones of an account in a region, as AWS has it */
};

static int check_tags(
	struct call *call, const struct ebs_Tags *tags, struct record_tag_list *list, struct error *err)
{
	for (size_t i = 0; i < tags->count; i++) {
		const struct ebs_Tag *tag = &tags->items[i];
		bool twice = tag->key && ec2_tags_find(list, tag->key);
		if (ec2_check_tag(tag->key, tag->value, err) ||
			ec2_tags_set(call, list, tag->key, tag->value, err)) {
			err->code = ERROR_VALIDATION_TAG;
			return -1;
		}
		if (twice)
			return error_set(err, ERROR_VALIDATION_TAG, "Duplicate tag key '%s'.", tag->key);
	}
	return 0;
}

/* Fails, too, if the parent is deleted before the new snapshot, which keeps the parent's tree from then on, is committed. */
static int inherit(struct call *call, const struct ebs_StartSnapshotRequest *request,
	struct snapshot_record *snapshot, struct meta_batch *batch, struct error *err)
{
	const char *parent_id = request->parent_snapshot_id;
	struct snapshot_record *parent;
	if (!parent_id)
		return ebs_encrypt_start(call, request, NULL, snapshot, err);
	if (ebs_find_completed(call, parent_id, &parent, err))
		return -1;
	if (parent->volume_size_gib.value > snapshot->volume_size_gib.value)
		return error_set(err, ERROR_VALIDATION_VOLUME_SIZE,
			"The volume size %" PRId64
			" GiB is smaller than that of the parent snapshot %s, %" PRId64 " GiB.",
			snapshot->volume_size_gib.value, parent_id, parent->volume_size_gib.value);
	snapshot->parent = parent_id;
	snapshot->root = parent->root;
	meta_batch_expect(batch, &record_snapshot, parent);
	return ebs_encrypt_start(call, request, parent, snapshot, err);
}

static int check_start(const struct ebs_StartSnapshotRequest *request, struct error *err)
{
	if (request->volume_size.value > SIZE_MAX_GIB)
		return error_set(err, ERROR_VALIDATION_VOLUME_SIZE,
			"The volume size %" PRId64 " GiB is more than %d GiB.", request->volume_size.value,
			SIZE_MAX_GIB);
	return 0;
}

/* Each keeps a journal open and blocks from being collected, so there must not be any number of them. */
static int check_limit(struct call *call, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "state", .value = "pending"
	};
	size_t uploads = 0;
	if (meta_list(call->amid->meta, &record_snapshot, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		uploads += boolean_or(((struct snapshot_record *)rows.items[i])->direct, false);
	if (uploads < UPLOADS_MAX)
		return 0;
	return error_set(err, ERROR_CONCURRENT_LIMIT,
		"%d snapshots are being written already; complete or delete one first.", UPLOADS_MAX);
}

static void answer_start(
	struct call *call, const struct snapshot_record *snapshot, struct ebs_StartSnapshotResponse *result)
{
	*result = (struct ebs_StartSnapshotResponse){
		.description = snapshot->description,
		.snapshot_id = snapshot->record.id,
		.owner_id = snapshot->record.account,
		.status = snapshot->state,
		.start_time = snapshot->started,
		.volume_size = snapshot->volume_size_gib,
		.block_size = some_integer(STORE_BLOCK_SIZE),
		.parent_snapshot_id = snapshot->parent,
		.kms_key_arn = snapshot->kms_key,
		.sse_type = boolean_or(snapshot->encrypted, false) ? "sse-kms" : "none",
	};
	for (size_t i = 0; i < snapshot->tags.count; i++) {
		struct ebs_Tag *tag = ARENA_APPEND(call->arena, result->tags.items, result->tags.count);
		*tag = (struct ebs_Tag){ snapshot->tags.items[i].key, snapshot->tags.items[i].value };
		result->tags.set = true;
	}
}

int ebs_start_snapshot(struct call *call, const struct ebs_StartSnapshotRequest *request,
	struct ebs_StartSnapshotResponse *result, struct error *err)
{
	struct idempotency once;
	struct snapshot_record *earlier;
	if (check_start(request, err) ||
		idempotency_begin(call, call->amid->meta, request, ERROR_TOKEN_CONFLICT, &once, err))
		return -1;
	if (once.done) {
		if (ebs_find_snapshot(call, once.resource_ids[0], &earlier, err))
			return -1;
		answer_start(call, earlier, result);
		return 0;
	}
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	struct snapshot_record snapshot = {
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "snap") },
		.state = "pending",
		.volume_size_gib = request->volume_size,
		.description = request->description,
		.started = some_timestamp(clock_now_ms()),
		.direct = some_boolean(true),
		.upload_timeout_minutes = some_integer(integer_or(request->timeout, TIMEOUT_MINUTES)),
	};
	if (check_limit(call, err) || check_tags(call, &request->tags, &snapshot.tags, err) ||
		inherit(call, request, &snapshot, batch, err))
		return -1;
	meta_batch_put(batch, &record_snapshot, &snapshot);
	idempotency_record(&once, batch, &snapshot.record.id, 1);
	if (idempotency_commit(&once, batch, err))
		return -1;
	upload_watch(call->amid->uploads, &snapshot);
	answer_start(call, &snapshot, result);
	return 0;
}

/* An encrypted snapshot's block lies in the store under the digest of what it is there. */
static int seal_block(struct call *call, const struct snapshot_record *snapshot, struct upload_block *block,
	struct error *err)
{
	struct cipher *cipher;
	if (ebs_open_upload(call, snapshot, &cipher, err))
		return -1;
	if (!cipher)
		return 0;
	uint8_t *sealed = arena_alloc(call->arena, STORE_BLOCK_SIZE);
	int result = ebs_seal_block(cipher, block->index, block->data, sealed, err);
	cipher_close(cipher);
	digest_sha256(sealed, STORE_BLOCK_SIZE, &block->digest);
	block->data = sealed;
	return result;
}

/* The one block of a request; `context` points to it, and then to nothing. */
static int next_block(void *context, struct upload_block *block, struct error *err)
{
	const struct upload_block **only = context;
	(void)err;
	if (!*only)
		return 0;
	*block = **only;
	*only = NULL;
	return 1;
}

int ebs_put_snapshot_block(struct call *call, const struct ebs_PutSnapshotBlockRequest *request,
	struct ebs_PutSnapshotBlockResponse *result, struct error *err)
{
	struct snapshot_record *snapshot;
	struct digest claimed;
	if (request->data_length.value != STORE_BLOCK_SIZE || request->block_data.size != STORE_BLOCK_SIZE)
		return error_set(err, ERROR_VALIDATION_BLOCK,
			"The data length must be %d bytes; %" PRId64 " were announced, %zu received.",
			STORE_BLOCK_SIZE, request->data_length.value, request->block_data.size);
	if (ebs_find_upload(call, request->snapshot_id, &snapshot, err) ||
		ebs_parse_checksum(call, request->checksum, request->checksum_algorithm, &claimed, err))
		return -1;
	struct upload_block block = { .index = (uint64_t)request->block_index.value,
		.data = request->block_data.data };
	const struct upload_block *only = &block;
	if (block.index >= ebs_block_count(snapshot))
		return ebs_refuse_index(request->block_index.value, ebs_block_count(snapshot), err);
	digest_sha256(block.data, STORE_BLOCK_SIZE, &block.digest);
	if (!digest_equal(&block.digest, &claimed))
		return error_set(err, ERROR_VALIDATION_BLOCK,
			"The checksum of block %" PRIu64 " does not match its data.", block.index);
	if (seal_block(call, snapshot, &block, err) ||
		upload_put(call->amid->uploads, snapshot, next_block, &only, err))
		return -1;
	result->checksum = request->checksum;
	result->checksum_algorithm = request->checksum_algorithm;
	return 0;
}

static int read_claim(struct call *call, const struct ebs_CompleteSnapshotRequest *request,
	struct digest *checksum, struct upload_claim *claim, struct error *err)
{
	*claim = (struct upload_claim){ .changed_blocks = request->changed_blocks_count.value };
	if (!request->checksum)
		return 0;
	if (!text_equal(request->checksum_aggregation_method, "LINEAR"))
		return error_set(err, ERROR_VALIDATION, "The checksum aggregation method must be LINEAR.");
	claim->checksum = checksum;
	return ebs_parse_checksum(call, request->checksum, request->checksum_algorithm, checksum, err);
}

int ebs_complete_snapshot(struct call *call, const struct ebs_CompleteSnapshotRequest *request,
	struct ebs_CompleteSnapshotResponse *result, struct error *err)
{
	struct snapshot_record *snapshot;
	struct upload_claim claim;
	struct digest checksum;
	if (read_claim(call, request, &checksum, &claim, err) ||
		ebs_find_snapshot(call, request->snapshot_id, &snapshot, err))
		return -1;
	result->status = "completed";
	/* a client that did not hear the answer asks again */
	if (boolean_or(snapshot->direct, false) && strcmp(snapshot->state, "completed") == 0)
		return 0;
	struct cipher *cipher = NULL;
	if (ebs_find_upload(call, request->snapshot_id, &snapshot, err) ||
		(claim.checksum && ebs_open_upload(call, snapshot, &cipher, err)))
		return -1;
	claim.cipher = cipher;
	int completed = upload_complete(call->amid->uploads, snapshot, &claim, call->arena, err);
	cipher_close(cipher);
	return completed;
}
