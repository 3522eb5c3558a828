/* The tree of an upload, from its journal. Runs on the thread of CompleteSnapshot, or at the start of the server. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "store/tree.h"
#include "svc/ebs/upload_internal.h"
#include "volume/cipher.h"
#include "base/banned.h"

enum { GIB_SHIFT = 30 };

struct making {
	struct upload *upload;
	struct journal_entry *entries;
	size_t count;
	uint64_t size;     /* of the disk, in bytes */
	struct tree *base; /* NULL: empty */
};

/* The digest of what the client sent. Plain blocks' digests are not written down, so an encrypted block is read again. */
static int digest_sent(const struct making *making, const struct journal_entry *entry, struct cipher *cipher,
	uint8_t *data, struct digest *digest, struct error *err)
{
	size_t size;
	*digest = entry->digest;
	if (!cipher || entry->zero)
		return 0;
	if (store_get(making->upload->region->store, &entry->digest, data, &size, err) ||
		cipher_unseal(cipher, data, data, entry->index * (STORE_BLOCK_SIZE / CIPHER_SECTOR_SIZE),
			size, err))
		return -1;
	digest_sha256(data, size, digest);
	return 0;
}

static int check_claim(const struct making *making, const struct upload_claim *claim, struct error *err)
{
	if (claim->changed_blocks >= 0 && (uint64_t)claim->changed_blocks != making->count)
		return error_set(err, ERROR_VALIDATION,
			"ChangedBlocksCount is %lld, but %zu blocks were written to %s",
			(long long)claim->changed_blocks, making->count, making->upload->id);
	if (!claim->checksum)
		return 0;
	struct buffer sums BUFFER_SCOPED = { 0 };
	struct digest total;
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	int result = 0;
	for (size_t i = 0; i < making->count && result == 0; i++) {
		result = digest_sent(making, &making->entries[i], claim->cipher, data, &total, err);
		buffer_append(&sums, total.bytes, DIGEST_SIZE);
	}
	free(data);
	if (result)
		return -1;
	digest_sha256(sums.data ? sums.data : "", sums.size, &total);
	if (!digest_equal(&total, claim->checksum))
		return error_set(err, ERROR_VALIDATION,
			"The checksum does not match the blocks written to %s", making->upload->id);
	return 0;
}

static int open_base(struct making *making, const char *hex, struct error *err)
{
	struct digest root;
	if (!hex || !*hex)
		return 0;
	if (text_unhex(hex, root.bytes, DIGEST_SIZE))
		return error_set(
			err, ERROR_CORRUPT, "the root digest of %s is unreadable", making->upload->id);
	return tree_open(making->upload->region->store, &root, &making->base, err);
}

static int build(const struct making *making, struct upload_tree *tree, struct error *err)
{
	static const struct digest absent;
	struct tree_builder *builder;
	uint64_t pages_added = 0;
	if (tree_builder_create(making->upload->session, making->base, making->size, &builder, err))
		return -1;
	int result = 0;
	for (size_t i = 0; i < making->count && result == 0; i++) {
		const struct journal_entry *entry = &making->entries[i];
		result = tree_builder_set(builder, entry->index, entry->zero ? &absent : &entry->digest, err);
		tree->added_bytes += entry->added;
	}
	if (result == 0)
		result = tree_builder_finish(builder, &tree->root, &pages_added, err);
	tree->added_bytes += pages_added;
	tree->full_bytes = tree_builder_data_blocks(builder) * STORE_BLOCK_SIZE;
	tree_builder_destroy(builder);
	return result;
}

int upload_make_tree(struct upload *upload, const struct snapshot_record *snapshot,
	const struct upload_claim *claim, struct upload_tree *tree, struct error *err)
{
	struct making making = { .upload = upload,
		.size = (uint64_t)integer_or(snapshot->volume_size_gib, 0) << GIB_SHIFT };
	*tree = (struct upload_tree){ 0 };
	int result = journal_load(upload->journal, &making.entries, &making.count, err);
	if (result == 0 && claim)
		result = check_claim(&making, claim, err);
	if (result == 0)
		result = open_base(&making, snapshot->root, err);
	if (result == 0)
		result = build(&making, tree, err);
	tree_close(making.base);
	free(making.entries);
	return result;
}
