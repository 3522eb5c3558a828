/*
 * A block is read (its digest is checked), decrypted with the source's key, encrypted with the new one, put under its new digest. Holes stay holes, of whole blocks and of sectors. What a disk holds in plain is named by the root digest
 * that its tree would have: equal for all encryptions of it, and for the plain disk. That tree is not stored, not even its pages, which have the digests of plain blocks.
 *
 * On the thread of a controller. A block's plain bytes are in one buffer, cleansed at the end.
 */
#include "svc/control/recode.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/arena.h"
#include "store/tree.h"
#include "store/tree_digest.h"
#include "base/banned.h"

enum { STEP_BLOCKS = 256, BLOCK_SECTORS = STORE_BLOCK_SIZE / CIPHER_SECTOR_SIZE };

static bool is_zero(const uint8_t *data, size_t size)
{
	return !data[0] && memcmp(data, data + 1, size - 1) == 0;
}

/* The plain bytes of a block. A tail that is no whole sector cannot be: disks are of whole GiB. */
static int read_plain(struct store *store, struct cipher *open, uint64_t index, const struct digest *block,
	uint8_t *data, size_t *size, struct error *err)
{
	if (store_get(store, block, data, size, err))
		return -1;
	return open ? cipher_unseal(open, data, data, index * BLOCK_SECTORS, *size, err) : 0;
}

static int recode_block(struct recode_step *step, uint64_t index, const struct digest *block, uint8_t *data,
	struct digest *result, struct error *err)
{
	size_t size;
	uint64_t added = 0;
	*result = (struct digest){ 0 };
	if (read_plain(step->from, step->open, index, block, data, &size, err))
		return -1;
	if (is_zero(data, size))
		return 0;
	if (cipher_seal_sparse(step->seal, data, data, index * BLOCK_SECTORS, size, err))
		return -1;
	digest_sha256(data, size, result);
	if (store_put(step->session, STORE_BLOCK, result, data, size, &added, err))
		return -1;
	step->bytes += added;
	return 0;
}

static int recode_blocks(struct recode_step *step, struct tree *source, struct tree_builder *builder,
	uint8_t *data, struct error *err)
{
	struct digest block, result;
	bool found;
	for (; step->next < tree_block_count(source); step->next++) {
		if (step->blocks == STEP_BLOCKS)
			return 0;
		if (tree_next(source, &step->next, &block, &found, err))
			return -1;
		if (!found)
			break;
		if (recode_block(step, step->next, &block, data, &result, err) ||
			tree_builder_set(builder, step->next, &result, err))
			return -1;
		step->blocks++;
	}
	step->more = false;
	return 0;
}

int recode_run(struct recode_step *step, struct error *err)
{
	struct tree *source = NULL, *present = NULL;
	struct tree_builder *builder = NULL;
	uint64_t pages = 0;
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	step->more = true;
	int result = store_session_open(step->to, &step->session, err) ||
			tree_open(step->from, &step->source, &source, err) ||
			(step->present && tree_open(step->to, step->present, &present, err)) ||
			tree_builder_create(step->session, present, tree_size(source), &builder, err) ||
			recode_blocks(step, source, builder, data, err) ||
			tree_builder_finish(builder, &step->root, &pages, err)
		? -1
		: 0;
	step->bytes += pages;
	step->total = source ? tree_data_blocks(source) : 0;
	tree_builder_destroy(builder);
	tree_close(present);
	tree_close(source);
	OPENSSL_cleanse(data, STORE_BLOCK_SIZE);
	free(data);
	return result;
}

void recode_close(struct recode_step *step)
{
	store_session_close(step->session);
	step->session = NULL;
}

static int digest_plain(struct store *store, struct tree *tree, struct cipher *open, uint8_t *data,
	struct tree_digest *plain, struct error *err)
{
	struct digest block;
	size_t size;
	bool found;
	for (uint64_t index = 0; index < tree_block_count(tree); index++) {
		if (tree_next(tree, &index, &block, &found, err))
			return -1;
		if (!found)
			break;
		if (read_plain(store, open, index, &block, data, &size, err))
			return -1;
		if (is_zero(data, size))
			continue;
		digest_sha256(data, size, &block);
		tree_digest_add(plain, index, &block);
	}
	return 0;
}

int recode_plain_root(struct store *store, const struct digest *root, struct cipher *open,
	struct digest *plain_root, struct error *err)
{
	struct tree *tree;
	if (tree_open(store, root, &tree, err))
		return -1;
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	struct tree_digest *plain = tree_digest_create(tree_size(tree));
	int result = digest_plain(store, tree, open, data, plain, err);
	if (result == 0)
		tree_digest_end(plain, plain_root);
	tree_digest_destroy(plain);
	OPENSSL_cleanse(data, STORE_BLOCK_SIZE);
	free(data);
	tree_close(tree);
	return result;
}

int recode_verify(const struct recode_step *step, struct digest *plain_root, struct error *err)
{
	struct digest source;
	if (recode_plain_root(step->from, &step->source, step->open, &source, err) ||
		recode_plain_root(step->to, &step->root, step->seal, plain_root, err))
		return -1;
	if (digest_equal(&source, plain_root))
		return 0;
	return error_set(err, ERROR_CORRUPT, "the encrypted disk does not hold what its source holds");
}
