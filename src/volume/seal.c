/*
 * Sealing: what frozen layers hold becomes blocks in the store and a tree over them. Works on the folder, while a server may have the volume open: frozen layers and the
 * maps of durable ones do not change any more.
 *
 * The frozen layers' maps say which blocks have changed; each is read through the stack of those layers over the base, hashed and put. Some threads take the blocks in turn, as some of them
 * wait for the disk while others hash: what is needed of the base is read, and blocks are written, past the page cache (store_session_stream), which takes less of the processor than filling pages. A block that has become all
 * zeros is left out of the tree.
 * What takes time grows with what has changed, never with the disk: the tree's blocks are counted by what came and went.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "store/store.h"
#include "store/tree.h"
#include "volume/volume_internal.h"
#include "base/banned.h"

enum { THREADS = 4, ALIGNMENT = 4096, GRAINS_PER_BLOCK = STORE_BLOCK_SIZE / VOLUME_GRAIN_SIZE };

struct seal {
	struct store_session *session;
	struct stack *stack;
	struct tree_builder *builder;
	uint64_t size;
	pthread_mutex_t lock; /* all below */
	uint64_t next_grain;
	bool failed;
	struct error error;
	uint64_t changed, added;
};

/* The next block at or after a grain that any layer says something about. */
static bool find_block(const struct seal *seal, uint64_t grain, uint64_t *block)
{
	uint64_t end = (seal->size + VOLUME_GRAIN_SIZE - 1) / VOLUME_GRAIN_SIZE, best = end;
	for (unsigned i = 0; i < seal->stack->count; i++) {
		const struct map *map = seal->stack->layers[i]->map;
		uint64_t at = grain, length;
		while (at < best) {
			if (map_run(map, at, best, &length) != MAP_ABSENT)
				best = at;
			else
				at += length;
		}
	}
	*block = best / GRAINS_PER_BLOCK;
	return best < end;
}

static bool take_block(struct seal *seal, uint64_t *block)
{
	bool found = false;
	pthread_mutex_lock(&seal->lock);
	if (!seal->failed && find_block(seal, seal->next_grain, block)) {
		seal->next_grain = (*block + 1) * GRAINS_PER_BLOCK;
		seal->changed++;
		found = true;
	}
	pthread_mutex_unlock(&seal->lock);
	return found;
}

static bool is_zero(const uint8_t *data, size_t size)
{
	return !data[0] && !memcmp(data, data + 1, size - 1);
}

static int seal_block(struct seal *seal, uint64_t block, uint8_t *data, uint64_t *added, struct error *err)
{
	uint64_t offset = block * STORE_BLOCK_SIZE;
	uint64_t size = seal->size - offset < STORE_BLOCK_SIZE ? seal->size - offset : STORE_BLOCK_SIZE;
	struct digest digest = { 0 };
	*added = 0;
	if (stack_read_block(seal->stack, block, data, size, err))
		return -1;
	memset(data + size, 0, STORE_BLOCK_SIZE - size);
	if (!is_zero(data, STORE_BLOCK_SIZE)) {
		digest_sha256(data, STORE_BLOCK_SIZE, &digest);
		if (store_put(seal->session, STORE_BLOCK, &digest, data, STORE_BLOCK_SIZE, added, err))
			return -1;
	}
	return tree_builder_set(seal->builder, block, &digest, err);
}

static void *seal_blocks(void *context)
{
	struct seal *seal = context;
	uint8_t *data = memory_alloc_aligned(ALIGNMENT, STORE_BLOCK_SIZE);
	uint64_t block, added;
	struct error err;
	while (take_block(seal, &block)) {
		int failed = seal_block(seal, block, data, &added, &err);
		pthread_mutex_lock(&seal->lock);
		if (failed && !seal->failed) {
			seal->failed = true;
			seal->error = err;
		}
		seal->added += added;
		pthread_mutex_unlock(&seal->lock);
	}
	free(data);
	return NULL;
}

/* Seals all blocks; the calling thread is one of those that work. */
static int run_threads(struct seal *seal, struct error *err)
{
	pthread_t threads[THREADS - 1];
	unsigned started = 0;
	while (started < THREADS - 1 && !pthread_create(&threads[started], NULL, seal_blocks, seal))
		started++;
	seal_blocks(seal);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (seal->failed && err)
		*err = seal->error;
	return seal->failed ? -1 : 0;
}

static int seal_stack(struct seal *seal, const char *folder, const struct manifest *manifest,
	struct store *store, struct digest *root, struct volume_seal_result *result, struct error *err)
{
	uint64_t pages = 0;
	struct tree *base = seal->stack->base ? base_tree(seal->stack->base) : NULL;
	if (tree_builder_create(seal->session, base, seal->size, &seal->builder, err))
		return -1;
	if (run_threads(seal, err) || tree_builder_finish(seal->builder, root, &pages, err))
		return -1;
	result->blocks = tree_builder_data_blocks(seal->builder);
	result->changed_blocks = seal->changed;
	result->bytes_added = seal->added + pages;
	return 0;
}

/* A stack over the frozen layers up to `layer`, opened anew. */
static int open_frozen_stack(const char *folder, const struct manifest *manifest, uint32_t count,
	struct store *store, struct stack *stack, struct error *err)
{
	for (uint32_t i = 0; i < count; i++)
		if (layer_open_frozen(folder, manifest->layers[i].number, &stack->layers[count - 1 - i], err))
			return -1;
	if (digest_is_zero(&manifest->base))
		return 0;
	return base_open(store, &manifest->base, manifest->base_size, folder, &stack->base, err);
}

static void close_stack(struct stack *stack)
{
	for (unsigned i = 0; i < stack->count; i++)
		layer_close(stack->layers[i]);
	base_close(stack->base);
	free(stack);
}

static int seal_folder(const char *folder, uint64_t layer, struct store *store, struct store_session *session,
	const struct manifest *manifest, struct digest *root, struct volume_seal_result *result,
	struct error *err)
{
	uint32_t i = 0;
	if (layer == manifest->base_layer && layer) {
		*root = manifest->base; /* sealed and rebased before */
		return tree_get_data_blocks(store, root, &result->blocks, err);
	}
	while (i < manifest->layer_count && manifest->layers[i].number != layer)
		i++;
	if (i == manifest->layer_count || !manifest->layers[i].durable)
		return error_set(err, ERROR_NOT_FOUND,
			"volume %s has no frozen layer %" PRIu64 " that is on disk", folder, layer);
	struct seal seal = { .session = session, .size = manifest->layers[i].frozen_size };
	seal.stack = stack_create(NULL, i + 1);
	pthread_mutex_init(&seal.lock, NULL);
	int failed = open_frozen_stack(folder, manifest, i + 1, store, seal.stack, err) ||
		seal_stack(&seal, folder, manifest, store, root, result, err);
	tree_builder_destroy(seal.builder);
	pthread_mutex_destroy(&seal.lock);
	close_stack(seal.stack);
	return failed ? -1 : 0;
}

int volume_seal(const char *folder, const char *runtime_folder, uint64_t layer, struct store *store,
	struct store_session *session, struct digest *root, struct volume_seal_result *result,
	struct error *err)
{
	struct volume_seal_result own = { 0 };
	(void)runtime_folder; /* a frozen layer that was synced is all in the folder */
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	store_session_stream(session);
	int failed = manifest_read(folder, manifest, err) ||
		seal_folder(folder, layer, store, session, manifest, root, &own, err);
	free(manifest);
	if (result)
		*result = own;
	return failed ? -1 : 0;
}
