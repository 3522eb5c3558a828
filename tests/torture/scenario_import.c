/*
 * An upload through the EBS direct APIs, by its parts: a block is put and synced, then written into the journal, and only then acknowledged; completing it makes a tree of what the journal holds, publishes its root and
 * removes the journal. After a crash the upload goes on from its journal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "store/store.h"
#include "store/tree.h"
#include "svc/ebs/journal.h"
#include "torture.h"
#include "base/banned.h"

/* the block behind those of the upload is put after a crash only */
enum { BLOCKS = 24, PUTS = 30, BLOCK_SIZE = 4096 };
static const uint64_t NEVER = UINT64_MAX;
static const char SNAPSHOT[] = "snap-00000000000000001";

struct put {
	uint32_t block, content;
	uint64_t begun, acknowledged;
};

struct import {
	char store_folder[300], journal_path[300];
	uint64_t seed;
	struct store *store;
	struct store_session *session;
	struct journal *journal;
	struct put puts[PUTS];
	unsigned put_count;
	uint64_t published, removed;
	struct digest root;
};

static void name_files(struct import *import, const char *folder)
{
	snprintf(import->store_folder, sizeof import->store_folder, "%s/store", folder);
	snprintf(import->journal_path, sizeof import->journal_path, "%s/journal", folder);
}

static void content_of(uint32_t content, uint8_t data[BLOCK_SIZE], struct digest *digest)
{
	uint64_t seed = content;
	for (unsigned i = 0; i < BLOCK_SIZE; i++)
		data[i] = (uint8_t)random_next(&seed);
	digest_sha256(data, BLOCK_SIZE, digest);
}

static void close_all(struct import *import)
{
	journal_close(import->journal);
	store_session_close(import->session);
	store_close(import->store);
	import->journal = NULL;
	import->session = NULL;
	import->store = NULL;
}

static int open_all(struct import *import, struct error *err)
{
	if (store_open(import->store_folder, &import->store, err) ||
		store_session_open(import->store, &import->session, err) ||
		journal_open(import->journal_path, SNAPSHOT, &import->journal, err)) {
		close_all(import);
		return -1;
	}
	store_session_stream(import->session);
	return 0;
}

static int open_again(struct import *import, struct error *err)
{
	enum { TRIES = 3 };
	close_all(import);
	for (int i = 0; i < TRIES; i++)
		if (!open_all(import, err))
			return 0;
	return -1;
}

static int put(struct import *import, uint32_t block, uint32_t content, struct error *err)
{
	_Alignas(4096) uint8_t data[BLOCK_SIZE];
	struct journal_entry entry = { .index = block };
	content_of(content, data, &entry.digest);
	return store_put(import->session, STORE_BLOCK, &entry.digest, data, BLOCK_SIZE, NULL, err) ||
			store_sync(import->store, err) || journal_append(import->journal, &entry, 1, err)
		? -1
		: 0;
}

static int put_some(struct import *import, struct error *err)
{
	struct put *made = &import->puts[import->put_count];
	*made = (struct put){ .block = (uint32_t)(random_next(&import->seed) % BLOCKS),
		.content = import->put_count + 1,
		.begun = simulated_disk_position(),
		.acknowledged = NEVER };
	import->put_count++;
	if (put(import, made->block, made->content, err))
		return -1;
	made->acknowledged = simulated_disk_position();
	return 0;
}

static int complete(struct import *import, struct digest *root, struct error *err)
{
	struct tree_builder *builder = NULL;
	struct journal_entry *entries;
	size_t count;
	uint64_t added;
	if (journal_load(import->journal, &entries, &count, err))
		return -1;
	int failed = tree_builder_create(
		import->session, NULL, (uint64_t)(BLOCKS + 1) * STORE_BLOCK_SIZE, &builder, err);
	for (size_t i = 0; !failed && i < count; i++)
		failed = tree_builder_set(builder, entries[i].index, &entries[i].digest, err);
	failed = failed || tree_builder_finish(builder, root, &added, err);
	tree_builder_destroy(builder);
	free(entries);
	return failed ? -1 : 0;
}

static void *run(const char *folder, uint64_t seed)
{
	struct error err;
	struct import *import = memory_alloc(sizeof *import);
	memset(import, 0, sizeof *import);
	import->seed = seed;
	import->published = import->removed = NEVER;
	name_files(import, folder);
	bool works = !open_all(import, &err) || !open_again(import, &err);
	while (works && import->put_count < PUTS)
		if (put_some(import, &err) || random_next(&import->seed) % 10 == 0)
			works = !open_again(import, &err);
	if (works && !complete(import, &import->root, &err)) {
		import->published = simulated_disk_position();
		if (!disk_remove(import->journal_path))
			import->removed = simulated_disk_position();
	}
	close_all(import);
	return import;
}

/* What a block may hold: the last acknowledged content, or one whose put was begun after that. 0 is none. */
static bool may_hold(
	const struct import *import, uint64_t position, uint32_t block, const struct digest *digest)
{
	bool allowed = digest_is_zero(digest);
	for (unsigned i = 0; i < import->put_count; i++) {
		const struct put *made = &import->puts[i];
		uint8_t data[BLOCK_SIZE];
		struct digest wanted;
		if (made->block != block || (made->begun >= position && made->acknowledged > position))
			continue;
		content_of(made->content, data, &wanted);
		bool same = !memcmp(&wanted, digest, sizeof wanted);
		allowed = made->acknowledged <= position ? same : allowed || same;
	}
	return allowed;
}

static int check_tree(const struct import *import, struct store *store, const struct digest *root,
	uint64_t position, struct error *err)
{
	struct tree *tree;
	struct digest digest;
	size_t size;
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	int result = tree_open(store, root, &tree, err);
	for (uint32_t i = 0; !result && i < BLOCKS; i++) {
		result = tree_lookup(tree, i, &digest, err);
		if (!result && !may_hold(import, position, i, &digest))
			result = error_set(
				err, ERROR_CORRUPT, "block %" PRIu32 " is not what was acknowledged", i);
		if (!result && !digest_is_zero(&digest))
			result = store_get(store, &digest, data, &size, err);
		if (result)
			tree_close(tree);
	}
	if (!result)
		tree_close(tree);
	free(data);
	return result;
}

static int verify(void *expected, const char *folder, uint64_t position, enum crash_kind kind, uint64_t seed,
	struct error *err)
{
	const struct import *import = expected;
	struct import after = { .published = NEVER };
	struct digest root = import->root;
	uint64_t faults = 0;
	struct error found = { .code = ERROR_NONE };
	(void)kind;
	name_files(&after, folder);
	bool is_published = import->published <= position;
	int failed = is_published ? store_open(after.store_folder, &after.store, err) : open_all(&after, err);
	failed = failed || store_check(after.store, torture_report, &found, &faults, err);
	if (!failed && faults)
		failed = error_set(err, ERROR_CORRUPT, "%" PRIu64 " faults: %s", faults, found.message);
	if (!failed && !is_published && random_next(&seed) % 2)
		failed = put(&after, BLOCKS, 1000000, err);
	if (!failed && !is_published && !(random_next(&seed) % 2 && open_again(&after, err)))
		failed = complete(&after, &root, err);
	failed = failed || check_tree(import, after.store, &root, is_published ? NEVER - 1 : position, err);
	close_all(&after);
	return failed ? -1 : 0;
}

const struct scenario scenario_import = { "import", run, verify, free };
