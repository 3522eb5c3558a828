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

/* Changes `count` blocks of a tree (NULL: of nothing), `spread` blocks from each other; each gets a digest that `seed` makes. The blocks are not there: nobody reads them. */
static int build(struct store_session *session, struct tree *base, uint64_t size, uint64_t count,
	uint64_t spread, uint64_t seed, struct digest *root, struct error *err)
{
	struct tree_builder *builder;
	struct digest block;
	uint64_t added;
	if (tree_builder_create(session, base, size, &builder, err))
		return -1;
	int failed = 0;
	for (uint64_t i = 0; !failed && i < count; i++) {
		uint64_t name[2] = { seed, i };
		digest_sha256(name, sizeof name, &block);
		failed = tree_builder_set(builder, i * spread, &block, err);
	}
	if (!failed)
		failed = tree_builder_finish(builder, root, &added, err);
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
	int failed = build(session, NULL, strtoull(argv[3], NULL, 10), 16, 1, 0, &root, err);
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

/*
 * Two trees of that size that differ in CHANGES blocks, SPREAD blocks from each other; the pages over these are full. Prints differences found and microseconds, best of 5; each time
 * both trees are opened anew.
 */
static int diff(char **argv, struct error *err)
{
	uint64_t size = strtoull(argv[3], NULL, 10), changes = strtoull(argv[4], NULL, 10), count = 0;
	uint64_t spread = strtoull(argv[5], NULL, 10);
	struct store *store;
	struct store_session *session;
	struct digest roots[2];
	struct tree *base = NULL;
	int64_t taken, best = INT64_MAX;
	if (open_session(argv[2], &store, &session, err))
		return -1;
	uint64_t blocks = (changes * spread + 1023) / 1024 * 1024;
	int failed = build(session, NULL, size, blocks, 1, 1, &roots[0], err) ||
		tree_open(store, &roots[0], &base, err) ||
		build(session, base, size, changes, spread, 2, &roots[1], err);
	tree_close(base);
	for (int i = 0; !failed && i < 5; i++) {
		failed = count_differences(store, roots, &count, &taken, err);
		best = taken < best ? taken : best;
	}
	if (!failed)
		printf("%" PRIu64 " %" PRId64 "\n", count, best);
	store_session_close(session);
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
