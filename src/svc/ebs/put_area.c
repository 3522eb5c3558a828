/*
 * A block is copied out of the shared memory before anything else is done with it: what is hashed must be what is stored, whatever the client does meanwhile. Runs on the connection's thread, with one buffer that is
 * written to the disk as it is.
 */
#include "svc/ebs/put_area.h"

#include <stdlib.h>
#include <string.h>

#include "aws/codec.h"
#include "base/text.h"
#include "svc/authorize/authorize.h"
#include "svc/ebs/area.h"
#include "svc/ebs/common.h"
#include "svc/ebs/encryption.h"
#include "svc/ebs/upload.h"
#include "base/banned.h"

enum { ALIGNMENT = 4096 };

struct put {
	const struct area *area;
	const json_t *blocks;
	size_t at;
	uint64_t block_count;  /* of the snapshot */
	struct cipher *cipher; /* NULL: the snapshot is plain */
	uint8_t *plain, *sealed;
};

static int refuse_body(struct error *err)
{
	return error_set(err, ERROR_VALIDATION,
		"The body must be {\"area\":TOKEN,\"blocks\":[[INDEX,PLACE],...]} with 1 to %d blocks.",
		UPLOAD_BLOCKS_MAX);
}

static int read_pair(const struct put *put, uint64_t *index, uint64_t *place, struct error *err)
{
	const json_t *pair = json_array_get(put->blocks, put->at);
	const json_t *first = json_array_get(pair, 0), *second = json_array_get(pair, 1);
	if (json_array_size(pair) != 2 || !json_is_integer(first) || !json_is_integer(second))
		return refuse_body(err);
	json_int_t values[] = { json_integer_value(first), json_integer_value(second) };
	if (values[0] < 0 || (uint64_t)values[0] >= put->block_count)
		return ebs_refuse_index(values[0], put->block_count, err);
	if (values[1] < 0 || (uint64_t)values[1] >= area_size(put->area) / STORE_BLOCK_SIZE)
		return error_set(err, ERROR_VALIDATION_BLOCK,
			"The place %" JSON_INTEGER_FORMAT " is outside of the area, which has %zu.",
			values[1], area_size(put->area) / STORE_BLOCK_SIZE);
	*index = (uint64_t)values[0];
	*place = (uint64_t)values[1];
	return 0;
}

static int next_block(void *context, struct upload_block *block, struct error *err)
{
	struct put *put = context;
	uint64_t place = 0;
	if (put->at == json_array_size(put->blocks))
		return 0;
	if (read_pair(put, &block->index, &place, err))
		return -1;
	memcpy(put->plain, area_data(put->area) + place * STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
	block->data = put->plain;
	if (put->cipher) {
		if (ebs_seal_block(put->cipher, block->index, put->plain, put->sealed, err))
			return -1;
		block->data = put->sealed;
	}
	digest_sha256(block->data, STORE_BLOCK_SIZE, &block->digest);
	put->at++;
	return 1;
}

static int put_blocks(
	struct call *call, const char *id, const struct area *area, const json_t *blocks, struct error *err)
{
	struct snapshot_record *snapshot;
	struct put put = { .area = area, .blocks = blocks };
	if (ebs_find_upload(call, id, &snapshot, err) || ebs_open_upload(call, snapshot, &put.cipher, err))
		return -1;
	put.block_count = ebs_block_count(snapshot);
	put.plain = memory_alloc_aligned(ALIGNMENT, STORE_BLOCK_SIZE);
	put.sealed = put.cipher ? memory_alloc_aligned(ALIGNMENT, STORE_BLOCK_SIZE) : NULL;
	int result = upload_put(call->amid->uploads, snapshot, next_block, &put, err);
	cipher_close(put.cipher);
	free(put.plain);
	free(put.sealed);
	return result;
}

/* As the door asks for PutSnapshotBlock itself; the audit trail has it under that name, too. */
static int authorize(struct call *call, const char *id, struct error *err)
{
	const struct ebs_PutSnapshotBlockRequest input = { .snapshot_id = id };
	call->service = &ebs_service;
	call->operation = codec_find_operation(&ebs_service, "PutSnapshotBlock");
	return authorize_call(call, &input, err);
}

static int put_body(struct call *call, const char *id, const json_t *body, struct error *err)
{
	const char *token = json_string_value(json_object_get(body, "area"));
	const json_t *blocks = json_object_get(body, "blocks");
	size_t count = json_array_size(blocks);
	if (!token || !count || count > UPLOAD_BLOCKS_MAX)
		return refuse_body(err);
	struct area *area = area_take(call->amid->areas, token);
	if (!area)
		return error_set(err, ERROR_AREA_NOT_FOUND, "There is no area '%.64s', or no longer.", token);
	int result = put_blocks(call, id, area, blocks, err);
	area_release(call->amid->areas, area);
	return result;
}

int put_area_answer(struct call *call, const struct http_request *http, json_t **answer, struct error *err)
{
	if (strcmp(http->path, PUT_AREA_PATH) == 0) {
		*answer = json_pack("{s:s}", "socket", areas_path(call->amid->areas));
		return 0;
	}
	const char *id = http->path + strlen(PUT_AREA_PATH "/");
	if (authorize(call, id, err))
		return -1;
	json_t *body = json_loadb(http->body, http->body_size, 0, NULL);
	int result = put_body(call, id, body, err);
	if (!result)
		*answer = json_pack(
			"{s:I}", "put", (json_int_t)json_array_size(json_object_get(body, "blocks")));
	json_decref(body);
	return result;
}
