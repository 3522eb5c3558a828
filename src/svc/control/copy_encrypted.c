/*
 * Copies that are encrypted anew: of a plain snapshot, of one under another KMS key, or of an encrypted one in another region, which has keys of its own. Each look brings some blocks (recode.c); the record says which comes
 * next. After the last, source and copy are read and must hold the same plain disk, whose root digest the snapshot keeps.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/recode.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/key_ring.h"
#include "base/banned.h"

static int parse_root(const char *hex, const char *id, struct digest *root, struct error *err)
{
	if (hex && text_unhex(hex, root->bytes, DIGEST_SIZE) == 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, "a root digest of snapshot %s is unreadable", id);
}

static int open_ciphers(const struct snapshot_view *view, struct recode_step *step, struct error *err)
{
	const struct snapshot_record *snapshot = view->snapshot;
	const char *account = snapshot->record.account, *id = snapshot->record.id;
	if (snapshot->copy->source_key &&
		data_key_open_cipher(view->amid, account, id, snapshot->copy->source_key, &step->open, err))
		return -1;
	return data_key_open_cipher(view->amid, account, id, snapshot->data_key, &step->seal, err);
}

static int note_progress(struct snapshot_view *view, const struct recode_step *step, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	struct record_snapshot_copy *copy = snapshot->copy;
	char hex[2 * DIGEST_SIZE + 1];
	snapshot->root = arena_strdup(view->arena, text_hex(step->root.bytes, DIGEST_SIZE, hex));
	snapshot->added_bytes = some_integer(integer_or(snapshot->added_bytes, 0) + (int64_t)step->bytes);
	copy->blocks = some_integer((int64_t)step->total);
	copy->copied = some_integer(integer_or(copy->copied, 0) + (int64_t)step->blocks);
	copy->next = some_integer((int64_t)step->next);
	if (strcmp(copy->region, snapshot->record.region) != 0) {
		int64_t blocks = integer_or(snapshot->travelled_blocks, 0) + (int64_t)step->blocks;
		snapshot->travelled_blocks = some_integer(blocks);
		snapshot->travelled_bytes = some_integer(blocks * STORE_BLOCK_SIZE);
	}
	return 0;
}

/* The source's keys and blocks are not needed any more. */
static int complete(struct snapshot_view *view, const struct recode_step *step, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	struct digest plain;
	char hex[2 * DIGEST_SIZE + 1];
	if (recode_verify(step, &plain, err))
		return -1;
	snapshot->plain_root = arena_strdup(view->arena, text_hex(plain.bytes, DIGEST_SIZE, hex));
	snapshot_copy_end(view);
	snapshot->state = "completed";
	snapshot->completed = some_timestamp(clock_now_ms());
	log_info("snapshot-copied", "snapshot=%s source=%s region=%s key=%s", snapshot->record.id,
		snapshot->source_snapshot, snapshot->source_region, snapshot->kms_key);
	return 0;
}

static int bring_some(struct snapshot_view *view, struct recode_step *step, struct error *err)
{
	const struct snapshot_record *snapshot = view->snapshot;
	const char *id = snapshot->record.id;
	struct amid_region *from = amid_find_region(view->amid, snapshot->copy->region);
	struct digest present;
	if (!from)
		return error_set(err, ERROR_NOT_FOUND,
			"the region %s, from which snapshot %s is copied, is not served any more",
			snapshot->copy->region, id);
	step->from = from->store;
	step->to = view->region->store;
	if (parse_root(snapshot->copy->root, id, &step->source, err) ||
		(snapshot->root && parse_root(snapshot->root, id, &present, err)) ||
		open_ciphers(view, step, err))
		return -1;
	step->present = snapshot->root ? &present : NULL;
	step->next = (uint64_t)integer_or(snapshot->copy->next, 0);
	if (recode_run(step, err) || note_progress(view, step, err) ||
		(!step->more && complete(view, step, err)))
		return -1;
	return snapshot_view_commit(view, err);
}

int snapshot_copy_encrypted_step(struct snapshot_view *view, struct error *err)
{
	struct recode_step step = { 0 };
	int result = bring_some(view, &step, err);
	recode_close(&step);
	cipher_close(step.open);
	cipher_close(step.seal);
	return result;
}
