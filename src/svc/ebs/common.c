/* Look-ups and checks that the EBS direct handlers share. No state. */
#include "svc/ebs/common.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "svc/ec2/common.h"
#include "svc/sharing.h"
#include "svc/snapshot_state.h"
#include "base/banned.h"

int ebs_find_snapshot(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	if (ec2_check_id(id, "snap", ERROR_VALIDATION_SNAPSHOT_ID, err) ||
		meta_get(call->amid->meta, &record_snapshot, call->account, call->region, id, call->arena,
			snapshot, err))
		return -1;
	if (!*snapshot || snapshot_is_recycled(*snapshot))
		return error_set(err, ERROR_RESOURCE_NOT_FOUND, "The snapshot '%s' does not exist.", id);
	return 0;
}

/* Public snapshots are not to be read this way, as on AWS, unless they are shared by name as well. */
static int find_readable(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	struct sharing *view;
	enum sharing_way way = SHARING_NONE;
	if (ec2_check_id(id, "snap", ERROR_VALIDATION_SNAPSHOT_ID, err) ||
		meta_get_any(
			call->amid->meta, &record_snapshot, call->region, id, call->arena, snapshot, err) ||
		sharing_open(call->amid, call->account, call->region, call->arena, &view, err) ||
		(*snapshot && sharing_snapshot_way(view, *snapshot, &way, err)))
		return -1;
	if (way == SHARING_NONE || way == SHARING_PUBLIC)
		return error_set(err, ERROR_RESOURCE_NOT_FOUND, "The snapshot '%s' does not exist.", id);
	return 0;
}

int ebs_find_completed(
	struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	if (find_readable(call, id, snapshot, err))
		return -1;
	if (strcmp((*snapshot)->state, "completed") != 0)
		return error_set(err, ERROR_VALIDATION_SNAPSHOT_ID, "The snapshot '%s' is %s, not completed.",
			id, (*snapshot)->state);
	if (snapshot_is_archived(*snapshot))
		return error_set(err, ERROR_VALIDATION_SNAPSHOT_ID,
			"The snapshot '%s' is in the archive tier; it must be restored before it can be read.",
			id);
	return 0;
}

int ebs_find_upload(struct call *call, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	if (ebs_find_snapshot(call, id, snapshot, err))
		return -1;
	if (!boolean_or((*snapshot)->direct, false) || strcmp((*snapshot)->state, "pending") != 0)
		return error_set(err, ERROR_VALIDATION_SNAPSHOT_ID,
			"The snapshot '%s' is not pending: blocks can only be written to a snapshot that StartSnapshot made, until it is completed.",
			id);
	return 0;
}

int ebs_refuse_index(int64_t index, uint64_t count, struct error *err)
{
	return error_set(err, ERROR_VALIDATION_BLOCK,
		"The block index %" PRId64 " is outside of the volume, which has %" PRIu64 " blocks.", index,
		count);
}

uint64_t ebs_block_count(const struct snapshot_record *snapshot)
{
	return (uint64_t)integer_or(snapshot->volume_size_gib, 0) * (1024 * 1024 * 1024 / STORE_BLOCK_SIZE);
}

int ebs_parse_checksum(struct call *call, const char *text, const char *algorithm, struct digest *checksum,
	struct error *err)
{
	size_t size;
	if (!text_equal(algorithm, "SHA256"))
		return error_set(err, ERROR_VALIDATION, "The checksum algorithm must be SHA256.");
	const uint8_t *bytes = text_unbase64(call->arena, text, &size);
	if (!bytes || size != DIGEST_SIZE)
		return error_set(err, ERROR_VALIDATION, "The checksum is not the Base64 of a SHA-256.");
	memcpy(checksum->bytes, bytes, DIGEST_SIZE);
	return 0;
}
