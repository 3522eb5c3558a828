/*
 * A snapshot's copy from one region's store to another's (src/svc/control/copy_blocks.c), step by step, beside collections in the region it goes to. The record that publishes what has come is a file that is replaced durably: its number
 * of steps, and the root. After a crash the copy goes on from there, to its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "store/store.h"
#include "store/tree.h"
#include "svc/control/copy_blocks.h"
#include "torture.h"
#include "base/banned.h"

enum { BLOCKS = 18, STEP_BLOCKS = 3, BLOCK_SIZE = 3000, STEPS = BLOCKS + 2, TRIES = 3 };
static const uint64_t SIZE = (uint64_t)(128 + BLOCKS) * STORE_BLOCK_SIZE;

struct record {
	uint32_t steps;
	uint8_t more;
	struct digest root;
};

struct copy {
	char from_folder[300], to_folder[300], record_path[300];
	uint64_t seed;
	struct store *from, *to;
	struct digest wanted;
	struct record record;         /* steps 0: none yet */
	uint64_t acknowledged[STEPS]; /* position at which a step was published */
};

static void name_files(struct copy *copy, const char *folder)
{
	snprintf(copy->from_folder, sizeof copy->from_folder, "%s/from", folder);
	snprintf(copy->to_folder, sizeof copy->to_folder, "%s/to", folder);
	snprintf(copy->record_path, sizeof copy->record_path, "%s/record", folder);
}

static void close_all(struct copy *copy)
{
	store_close(copy->from);
	store_close(copy->to);
	copy->from = copy->to = NULL;
}

static int open_all(struct copy *copy, struct error *err)
{
	close_all(copy);
	return store_open(copy->from_folder, &copy->from, err) || store_open(copy->to_folder, &copy->to, err)
		? -1
		: 0;
}

static int open_again(struct copy *copy, struct error *err)
{
	for (int i = 0; i < TRIES; i++)
		if (!open_all(copy, err))
			return 0;
	return -1;
}

/* The blocks lie under two pages, every third one twice. */
static uint64_t place_of(unsigned i)
{
	return i < BLOCKS / 2 ? i : 128U + i;
}

static void content_of(unsigned i, uint8_t data[BLOCK_SIZE], struct digest *digest)
{
	uint64_t seed = i % 3 == 2 ? i - 1 : i;
	for (unsigned at = 0; at < BLOCK_SIZE; at++)
		data[at] = (uint8_t)random_next(&seed);
	digest_sha256(data, BLOCK_SIZE, digest);
}

static int make_source(struct copy *copy, struct error *err)
{
	struct store_session *session;
	struct tree_builder *builder = NULL;
	if (store_session_open(copy->from, &session, err))
		return -1;
	int failed = tree_builder_create(session, NULL, SIZE, &builder, err);
	for (unsigned i = 0; !failed && i < BLOCKS; i++) {
		uint8_t data[BLOCK_SIZE];
		struct digest digest;
		content_of(i, data, &digest);
		failed = store_put(session, STORE_BLOCK, &digest, data, BLOCK_SIZE, NULL, err) ||
			tree_builder_set(builder, place_of(i), &digest, err);
	}
	failed = failed || tree_builder_finish(builder, &copy->wanted, NULL, err);
	tree_builder_destroy(builder);
	store_session_close(session);
	return failed ? -1 : 0;
}

static int publish(struct copy *copy, const struct copy_blocks_step *step, struct error *err)
{
	struct record record;
	memset(&record, 0, sizeof record);
	record.steps = copy->record.steps + 1;
	record.more = step->more;
	record.root = step->root;
	if (file_replace(copy->record_path, &record, sizeof record, 0600, err))
		return -1;
	copy->record = record;
	return 0;
}

/* As control/copy.c does it. */
static int do_step(struct copy *copy, struct error *err)
{
	struct copy_blocks *blocks;
	struct copy_blocks_step step;
	if (copy_blocks_open(&(struct copy_source){ .store = copy->from }, copy->to, &copy->wanted,
		    copy->record.steps ? &copy->record.root : NULL, &blocks, err))
		return -1;
	int failed = copy_blocks_step(blocks, STEP_BLOCKS, &step, err) || publish(copy, &step, err);
	copy_blocks_close(blocks);
	return failed ? -1 : 0;
}

struct roots {
	struct digest root;
	bool left;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct roots *roots = context;
	(void)err;
	*root = roots->root;
	bool is = roots->left;
	roots->left = false;
	return is;
}

static int collect(struct copy *copy, struct error *err)
{
	struct roots to = { copy->record.root, copy->record.steps > 0 }, from = { copy->wanted, true };
	struct store_collect_result result;
	return store_collect(copy->to, next_root, &to, &result, err) ||
			store_collect(copy->from, next_root, &from, &result, err)
		? -1
		: 0;
}

/* What the disk says after a failure: a replacement that failed may have taken place. */
static int read_record(struct copy *copy, struct error *err)
{
	memset(&copy->record, 0, sizeof copy->record);
	int fd FILE_SCOPED = disk_open(copy->record_path, O_RDONLY, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot open the record");
	return disk_read(fd, &copy->record, sizeof copy->record, 0)
		? error_set_errno(err, errno, "cannot read the record")
		: 0;
}

static bool is_done(const struct copy *copy)
{
	return copy->record.steps && !copy->record.more;
}

static int go_on(struct copy *copy, struct error *err)
{
	if (open_again(copy, err))
		return -1;
	for (int i = 0; i < TRIES; i++)
		if (!read_record(copy, err))
			return 0;
	return -1;
}

static void *run(const char *folder, uint64_t seed)
{
	struct error err;
	struct copy *copy = memory_alloc(sizeof *copy);
	memset(copy, 0, sizeof *copy);
	copy->seed = seed;
	for (unsigned i = 0; i < STEPS; i++)
		copy->acknowledged[i] = UINT64_MAX;
	name_files(copy, folder);
	bool works = !open_again(copy, &err);
	/* a source that could not be made is no source: nothing was asked to be copied */
	if (!works || make_source(copy, &err)) {
		memset(&copy->wanted, 0, sizeof copy->wanted);
		works = false;
	}
	for (unsigned i = 0; works && i < STEPS && !is_done(copy); i++) {
		if (!do_step(copy, &err) && copy->record.steps < STEPS)
			copy->acknowledged[copy->record.steps] = simulated_disk_position();
		else
			works = !go_on(copy, &err);
		if (works && random_next(&copy->seed) % 2 && collect(copy, &err))
			works = !go_on(copy, &err);
		if (works && random_next(&copy->seed) % 4 == 0)
			works = !go_on(copy, &err);
	}
	close_all(copy);
	return copy;
}

/* All that is there of the copy is the source's, and whole. */
static int check_copy(const struct copy *copy, const struct digest *root, bool all, struct error *err)
{
	struct tree *tree;
	struct digest digest, wanted;
	size_t size;
	uint8_t expected[BLOCK_SIZE], *data = memory_alloc(STORE_BLOCK_SIZE);
	int failed = tree_open(copy->to, root, &tree, err);
	if (failed) {
		free(data);
		return -1;
	}
	for (unsigned i = 0; !failed && i < BLOCKS; i++) {
		content_of(i, expected, &wanted);
		failed = tree_lookup(tree, place_of(i), &digest, err);
		if (failed || (digest_is_zero(&digest) && !all))
			continue;
		failed = store_get(copy->to, &digest, data, &size, err);
		if (!failed && (!digest_equal(&digest, &wanted) || memcmp(data, expected, BLOCK_SIZE)))
			failed = error_set(err, ERROR_CORRUPT, "block %u is not the source's", i);
	}
	tree_close(tree);
	free(data);
	return failed;
}

static int check_stores(struct copy *copy, struct error *err)
{
	struct error found = { .code = ERROR_NONE };
	uint64_t faults = 0, more = 0;
	if (store_check(copy->from, torture_report, &found, &faults, err) ||
		store_check(copy->to, torture_report, &found, &more, err))
		return -1;
	return faults + more
		? error_set(err, ERROR_CORRUPT, "%" PRIu64 " faults: %s", faults + more, found.message)
		: 0;
}

static int finish(struct copy *copy, uint64_t seed, struct error *err)
{
	for (unsigned i = 0; i < 2 * STEPS && !is_done(copy); i++) {
		if (do_step(copy, err))
			return -1;
		if (random_next(&seed) % 4 == 0 && collect(copy, err))
			return -1;
	}
	if (!is_done(copy) || !digest_equal(&copy->record.root, &copy->wanted))
		return error_set(err, ERROR_CORRUPT, "the copy does not come to its end");
	return collect(copy, err) || check_copy(copy, &copy->record.root, true, err) ? -1 : 0;
}

static int verify(void *expected, const char *folder, uint64_t position, enum crash_kind kind, uint64_t seed,
	struct error *err)
{
	const struct copy *before = expected;
	struct copy after = { .wanted = before->wanted };
	(void)kind;
	name_files(&after, folder);
	int failed = open_all(&after, err) || read_record(&after, err) || check_stores(&after, err);
	for (unsigned i = 1; !failed && i < STEPS; i++)
		if (before->acknowledged[i] <= position && after.record.steps < i)
			failed = error_set(err, ERROR_CORRUPT, "step %u was published, but %u is found", i,
				after.record.steps);
	if (!failed && after.record.steps)
		failed = check_copy(&after, &after.record.root, false, err);
	/* the copy was asked for when its source was there */
	if (!failed && before->acknowledged[1] <= position)
		failed = finish(&after, seed, err);
	close_all(&after);
	return failed ? -1 : 0;
}

const struct scenario scenario_copy = { "copy", run, verify, free };
