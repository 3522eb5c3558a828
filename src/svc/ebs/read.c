/*
 * ListSnapshotBlocks, ListChangedBlocks, GetSnapshotBlock: reading completed snapshots block by block. Lists walk the trees, so they cost what is in them (or differs between them), not what the volume could hold.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/tree.h"
#include "svc/cold.h"
#include "svc/ebs/common.h"
#include "svc/ebs/encryption.h"
#include "svc/ebs/token.h"
#include "base/banned.h"

enum { PAGE_MAX = 10000, PAGE_TOKEN_LIFETIME_MS = 60 * 60 * 1000 };

/* One list of blocks: of a tree, or of what differs between two. */
struct walk {
	struct call *call;
	struct amid_region *region;
	struct tree *first, *second; /* `first` NULL: all blocks of the second */
	const char *subject;         /* what the list is of; a page token is good for no other */
	struct page page;
	uint64_t index; /* where it goes on */
	uint64_t end;
	int64_t expires_ms;
};

static void walk_close(struct walk *walk)
{
	tree_close(walk->first);
	tree_close(walk->second);
}
#define WALK_SCOPED __attribute__((cleanup(walk_close)))

static int open_tree(
	struct walk *walk, const struct snapshot_record *snapshot, struct tree **tree, struct error *err)
{
	struct digest root;
	if (!snapshot->root || text_unhex(snapshot->root, root.bytes, DIGEST_SIZE))
		return error_set(
			err, ERROR_CORRUPT, "snapshot %s has no readable root digest", snapshot->record.id);
	return tree_open(walk->region->store, &root, tree, err);
}

/* Ids of a page are SUBJECT and the block's index, so long that they sort as numbers do. */
static const char *page_id(const struct walk *walk, uint64_t index)
{
	return arena_printf(walk->call->arena, "%s#%012" PRIu64, walk->subject, index);
}

static int find_start(struct walk *walk, struct shape_integer max_results, struct shape_integer starting,
	const char *next_token, struct error *err)
{
	static const struct page_rules rules = { .max = PAGE_MAX,
		.fallback = PAGE_MAX,
		.bad_token = ERROR_VALIDATION_PAGE_TOKEN,
		.lifetime_ms = PAGE_TOKEN_LIFETIME_MS };
	walk->index = (uint64_t)integer_or(starting, 0);
	if (page_open(walk->call, walk->call->amid->token_key, &rules, max_results, next_token, &walk->page,
		    err))
		return -1;
	if (!walk->page.after)
		return 0;
	size_t size = strlen(walk->subject);
	int64_t last;
	if (strncmp(walk->page.after, walk->subject, size) != 0 || walk->page.after[size] != '#' ||
		text_parse_int64(walk->page.after + size + 1, &last))
		return error_set(err, ERROR_VALIDATION_PAGE_TOKEN, "The page token is another list's.");
	walk->index = (uint64_t)last + 1;
	return 0;
}

static int walk_open(struct walk *walk, const struct snapshot_record *first,
	const struct snapshot_record *second, struct error *err)
{
	walk->region = amid_find_region(walk->call->amid, walk->call->region);
	walk->expires_ms = clock_now_ms() + TOKEN_LIFETIME_MS;
	walk->end = ebs_block_count(second);
	if (first && ebs_block_count(first) > walk->end)
		walk->end = ebs_block_count(first);
	return (first && open_tree(walk, first, &walk->first, err)) ||
			open_tree(walk, second, &walk->second, err)
		? -1
		: 0;
}

/* The next block of the list; *found is false at its end, or at the end of the page. */
static int walk_next(struct walk *walk, struct digest *a, struct digest *b, bool *found, struct error *err)
{
	*found = false;
	*a = (struct digest){ 0 };
	if (walk->index >= walk->end)
		return 0;
	int result = walk->first
		? tree_next_difference(walk->first, walk->second, &walk->index, a, b, found, err)
		: tree_next(walk->second, &walk->index, b, found, err);
	if (result == 0 && *found && !page_take(&walk->page, page_id(walk, walk->index)))
		*found = false;
	return result;
}

int ebs_list_snapshot_blocks(struct call *call, const struct ebs_ListSnapshotBlocksRequest *request,
	struct ebs_ListSnapshotBlocksResponse *result, struct error *err)
{
	struct snapshot_record *snapshot;
	struct walk walk WALK_SCOPED = { .call = call, .subject = request->snapshot_id };
	struct digest none, block;
	bool found;
	if (ebs_find_completed(call, request->snapshot_id, &snapshot, err) ||
		walk_open(&walk, NULL, snapshot, err) ||
		find_start(
			&walk, request->max_results, request->starting_block_index, request->next_token, err))
		return -1;
	cold_list_note_read(walk.region->cold, request->snapshot_id);
	for (;; walk.index++) {
		if (walk_next(&walk, &none, &block, &found, err))
			return -1;
		if (!found)
			break;
		struct ebs_Block *item =
			ARENA_APPEND(call->arena, result->blocks.items, result->blocks.count);
		item->block_index = some_integer((int64_t)walk.index);
		item->block_token =
			token_make(call, request->snapshot_id, walk.index, &block, walk.expires_ms);
	}
	result->blocks.set = true;
	result->expiry_time = some_timestamp(walk.expires_ms);
	result->volume_size = snapshot->volume_size_gib;
	result->block_size = some_integer(STORE_BLOCK_SIZE);
	result->next_token = page_close(&walk.page);
	return 0;
}

static const char *token_or_none(
	const struct walk *walk, const struct snapshot_record *snapshot, const struct digest *block)
{
	if (!snapshot || digest_is_zero(block))
		return NULL;
	return token_make(walk->call, snapshot->record.id, walk->index, block, walk->expires_ms);
}

int ebs_list_changed_blocks(struct call *call, const struct ebs_ListChangedBlocksRequest *request,
	struct ebs_ListChangedBlocksResponse *result, struct error *err)
{
	struct snapshot_record *first = NULL, *second;
	struct walk walk WALK_SCOPED = { .call = call };
	struct digest a, b;
	bool found;
	walk.subject = arena_printf(call->arena, "%s..%s",
		request->first_snapshot_id ? request->first_snapshot_id : "", request->second_snapshot_id);
	if ((request->first_snapshot_id &&
		    ebs_find_completed(call, request->first_snapshot_id, &first, err)) ||
		ebs_find_completed(call, request->second_snapshot_id, &second, err) ||
		walk_open(&walk, first, second, err) ||
		find_start(
			&walk, request->max_results, request->starting_block_index, request->next_token, err))
		return -1;
	for (;; walk.index++) {
		if (walk_next(&walk, &a, &b, &found, err))
			return -1;
		if (!found)
			break;
		struct ebs_ChangedBlock *item =
			ARENA_APPEND(call->arena, result->changed_blocks.items, result->changed_blocks.count);
		item->block_index = some_integer((int64_t)walk.index);
		item->first_block_token = token_or_none(&walk, first, &a);
		item->second_block_token = token_or_none(&walk, second, &b);
	}
	result->changed_blocks.set = true;
	result->expiry_time = some_timestamp(walk.expires_ms);
	result->volume_size = second->volume_size_gib;
	result->block_size = some_integer(STORE_BLOCK_SIZE);
	result->next_token = page_close(&walk.page);
	return 0;
}

/* The token has the block's digest; the snapshot's existence is what keeps the block. */
int ebs_get_snapshot_block(struct call *call, const struct ebs_GetSnapshotBlockRequest *request,
	struct ebs_GetSnapshotBlockResponse *result, struct error *err)
{
	struct snapshot_record *snapshot;
	struct digest digest;
	size_t size;
	if (ebs_find_completed(call, request->snapshot_id, &snapshot, err) ||
		token_read(call, request->block_token, request->snapshot_id,
			(uint64_t)request->block_index.value, &digest, err))
		return -1;
	uint8_t *data = arena_alloc(call->arena, STORE_BLOCK_SIZE);
	if (store_get(amid_find_region(call->amid, call->region)->store, &digest, data, &size, err)) {
		if (err->code == ERROR_NOT_FOUND) /* deleted, and its space given back, since we looked */
			return error_set(err, ERROR_RESOURCE_NOT_FOUND, "The snapshot '%s' does not exist.",
				request->snapshot_id);
		return -1;
	}
	struct cipher *cipher;
	if (ebs_open_snapshot(call, snapshot, &cipher, err))
		return -1;
	if (cipher) {
		uint64_t first =
			(uint64_t)request->block_index.value * (STORE_BLOCK_SIZE / CIPHER_SECTOR_SIZE);
		int failed = cipher_unseal(cipher, data, data, first, size, err);
		cipher_close(cipher);
		if (failed)
			return -1;
		digest_sha256(data, size, &digest); /* checksums are of what the client sees */
	}
	result->data_length = some_integer((int64_t)size);
	result->block_data = (struct shape_blob){ data, size };
	result->checksum = text_base64(call->arena, digest.bytes, DIGEST_SIZE);
	result->checksum_algorithm = "SHA256";
	return 0;
}
