/*
 * What bench_volume.py and bench_store.py need of the library, a command each; what each prints is said where it is. Times are those of the calls, without the process's start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/page.h"
#include "store/rewrite.h"
#include "store/tree.h"
#include "volume/volume.h"

static int64_t microseconds(const struct timespec *begun, const struct timespec *ended)
{
	return (ended->tv_sec - begun->tv_sec) * 1000000 + (ended->tv_nsec - begun->tv_nsec) / 1000;
}

static const char usage[] =
	"create FOLDER BYTES [ROOT] | seal STORE FOLDER LAYER | tree STORE BYTES | diff STORE BYTES CHANGES SPREAD | compress STORE ROOT...";

/* Prints the microseconds that it took. */
static int create(int argc, char **argv, struct error *err)
{
	struct digest root;
	if (argc > 4 && text_unhex(argv[4], root.bytes, sizeof root.bytes))
		return error_set(err, ERROR_INVALID, "%s is no digest", argv[4]);
	struct timespec begun, ended;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	int result = volume_create(argv[2], strtoull(argv[3], NULL, 10), argc > 4 ? &root : NULL, err);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("%" PRId64 "\n", microseconds(&begun, &ended));
	return result;
}

/* Some of a disk's blocks: the i-th of `count` lies at i * spread, or, if that is 0, anywhere in the i-th of as many parts of the disk. */
struct places {
	uint64_t count, spread, blocks;
};

static uint64_t place(const struct places *places, uint64_t i)
{
	struct digest random;
	uint64_t part = places->blocks / places->count, within;
	if (places->spread)
		return i * places->spread;
	digest_sha256(&i, sizeof i, &random);
	memcpy(&within, random.bytes, sizeof within);
	return i * part + within % part;
}

/* Gives blocks from each place on, as many as `run`, a digest that `seed` makes. The blocks are not there: nobody reads them. */
static int set_blocks(struct tree_builder *builder, const struct places *places, uint64_t run, uint64_t seed,
	struct error *err)
{
	struct digest block;
	for (uint64_t i = 0; i < places->count; i++)
		for (uint64_t first = place(places, i) / run * run, j = first; j < first + run; j++) {
			uint64_t name[2] = { seed, j };
			digest_sha256(name, sizeof name, &block);
			if (tree_builder_set(builder, j, &block, err))
				return -1;
		}
	return 0;
}

static int end_build(struct tree_builder *builder, int failed, struct digest *root, struct error *err)
{
	if (!failed)
		failed = tree_builder_finish(builder, root, NULL, err);
	tree_builder_destroy(builder);
	return failed;
}

static int open_session(
	const char *folder, struct store **store, struct store_session **session, struct error *err)
{
	if (store_open(folder, store, err))
		return -1;
	if (!store_session_open(*store, session, err))
		return 0;
	store_close(*store);
	return -1;
}

/* A tree of that size in which little is; prints its root. */
static int make_tree(char **argv, struct error *err)
{
	struct store *store;
	struct store_session *session;
	struct digest root;
	char hex[2 * DIGEST_SIZE + 1];
	if (open_session(argv[2], &store, &session, err))
		return -1;
	struct places places = { .count = 16, .spread = 1 };
	struct tree_builder *builder;
	int failed = tree_builder_create(session, NULL, strtoull(argv[3], NULL, 10), &builder, err);
	if (!failed)
		failed = end_build(builder, set_blocks(builder, &places, 1, 0, err), &root, err);
	if (!failed)
		printf("%s\n", text_hex(root.bytes, sizeof root.bytes, hex));
	store_session_close(session);
	store_close(store);
	return failed;
}

static int count_differences(struct store *store, const struct digest roots[2], uint64_t *count,
	int64_t *taken_us, struct error *err)
{
	struct tree *a = NULL, *b = NULL;
	struct digest block_a, block_b;
	struct timespec begun, ended;
	bool found = true;
	*count = 0;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	int failed = tree_open(store, &roots[0], &a, err) || tree_open(store, &roots[1], &b, err);
	for (uint64_t index = 0; !failed && found; index++) {
		failed = tree_next_difference(a, b, &index, &block_a, &block_b, &found, err);
		*count += !failed && found;
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	*taken_us = microseconds(&begun, &ended);
	tree_close(a);
	tree_close(b);
	return failed;
}

/* The pages over the changes are full, and so is every page above the lowest. */
static int build_pair(struct store *store, struct store_session *session, const struct places *changes,
	struct digest roots[2], struct error *err)
{
	struct places everywhere = { .count = changes->blocks / PAGE_FANOUT, .spread = PAGE_FANOUT };
	struct tree_builder *builder;
	struct tree *base = NULL;
	if (tree_builder_create(session, NULL, changes->blocks * STORE_BLOCK_SIZE, &builder, err))
		return -1;
	int failed = set_blocks(builder, &everywhere, 1, 1, err) ||
		set_blocks(builder, changes, PAGE_FANOUT, 1, err);
	if (end_build(builder, failed, &roots[0], err) || tree_open(store, &roots[0], &base, err))
		return -1;
	failed = tree_builder_create(session, base, changes->blocks * STORE_BLOCK_SIZE, &builder, err);
	if (!failed)
		failed = end_build(builder, set_blocks(builder, changes, 1, 2, err), &roots[1], err);
	tree_close(base);
	return failed;
}

/*
 * Two trees of that size that differ in CHANGES blocks, SPREAD blocks from each other, or (0) anywhere. Prints differences found and microseconds, of the first comparison after the store was opened anew and the
 * best of 5; each time both trees are opened anew.
 */
static int diff(char **argv, struct error *err)
{
	struct places changes = { .count = strtoull(argv[4], NULL, 10),
		.spread = strtoull(argv[5], NULL, 10),
		.blocks = strtoull(argv[3], NULL, 10) / STORE_BLOCK_SIZE };
	struct store *store;
	struct store_session *session;
	struct digest roots[2];
	uint64_t count = 0;
	int64_t taken, first = 0, best = INT64_MAX;
	if (open_session(argv[2], &store, &session, err))
		return -1;
	int failed = build_pair(store, session, &changes, roots, err);
	store_session_close(session);
	store_close(store);
	if (failed || store_open(argv[2], &store, err))
		return -1;
	for (int i = 0; !failed && i < 5; i++) {
		failed = count_differences(store, roots, &count, &taken, err);
		first = i ? first : taken;
		best = taken < best ? taken : best;
	}
	if (!failed)
		printf("%" PRIu64 " %" PRId64 " %" PRId64 "\n", count, first, best);
	store_close(store);
	return failed;
}

/* Prints root, blocks, bytes added and milliseconds. */
static int seal(char **argv, struct error *err)
{
	struct store *store;
	struct store_session *session;
	struct volume_seal_result result;
	struct digest root;
	char hex[2 * DIGEST_SIZE + 1];
	if (store_open(argv[2], &store, err))
		return -1;
	int failed = store_session_open(store, &session, err);
	int64_t begun = clock_monotonic_ms();
	if (!failed)
		failed = volume_seal(
			argv[3], "", strtoull(argv[4], NULL, 10), store, session, &root, &result, err);
	int64_t taken = clock_monotonic_ms() - begun;
	if (!failed)
		printf("%s %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
			text_hex(root.bytes, sizeof root.bytes, hex), result.blocks, result.bytes_added,
			taken);
	store_close(store);
	return failed;
}

struct words {
	char **next, **end;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct words *words = context;
	if (words->next == words->end)
		return 0;
	if (text_unhex(*words->next, root->bytes, sizeof root->bytes))
		return error_set(err, ERROR_INVALID, "%s is no digest", *words->next);
	words->next++;
	return 1;
}

/* Compresses what the roots reach; prints milliseconds. */
static int compress(int argc, char **argv, struct error *err)
{
	struct store *store;
	struct words cold = { argv + 3, argv + argc }, warm = { 0 };
	if (store_open(argv[2], &store, err))
		return -1;
	int64_t begun = clock_monotonic_ms();
	int failed = store_compress(store, next_root, &cold, next_root, &warm, NULL, err);
	if (!failed)
		printf("%" PRId64 "\n", clock_monotonic_ms() - begun);
	store_close(store);
	return failed;
}

int main(int argc, char **argv)
{
	struct error err;
	error_set(&err, ERROR_INVALID, "bench-volume-tool %s", usage);
	int failed = -1;
	log_set_level(LOG_ERROR);
	if (argc >= 4 && !strcmp(argv[1], "create"))
		failed = create(argc, argv, &err);
	else if (argc == 5 && !strcmp(argv[1], "seal"))
		failed = seal(argv, &err);
	else if (argc == 4 && !strcmp(argv[1], "tree"))
		failed = make_tree(argv, &err);
	else if (argc == 6 && !strcmp(argv[1], "diff"))
		failed = diff(argv, &err);
	else if (argc >= 4 && !strcmp(argv[1], "compress"))
		failed = compress(argc, argv, &err);
	if (failed)
		fprintf(stderr, "%s\n", err.message);
	return failed ? 1 : 0;
}
