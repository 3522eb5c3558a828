/*
 * Figures of the store beside very many snapshots: opening, accounting, deleting one; collecting all; comparing two trees of 16 TiB.
 *
 *	bench-accounting FOLDER [SNAPSHOTS]
 *
 * Prints lines "name value unit". FOLDER must not exist; it is left for the caller to remove. A snapshot is a root and a page of its own over blocks that all share, 640 bytes; those that are deleted
 * have a block of their own as well. Files that are opened are not in the page cache (posix_fadvise), as after a restart of the host.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "store/account.h"
#include "store/page.h"
#include "store/store_internal.h"
#include "store/tree.h"
#include "base/banned.h"

enum { POOL = 64, DELETED = 80, ALONE = DELETED / 2, PER_SESSION = 10000, CHANGES = 1000 };
#define TREE_SIZE (16ULL << 40)

struct bench {
	const char *folder;
	struct store *store;
	struct store_session *session;
	struct digest pool[POOL];
	struct digest deleted[DELETED]; /* roots */
	uint64_t snapshots;
};

static void check(int failed, const struct error *err)
{
	if (failed) {
		fprintf(stderr, "bench-accounting: %s\n", err->message);
		exit(1);
	}
}

static double now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void put(struct bench *bench, enum store_object_kind kind, const void *data, size_t size,
	struct digest *digest)
{
	struct error err;
	digest_sha256(data, size, digest);
	check(store_put(bench->session, kind, digest, data, size, NULL, &err), &err);
}

static struct digest put_block(struct bench *bench, uint64_t seed)
{
	static uint64_t block[STORE_BLOCK_SIZE / 8];
	struct digest digest;
	for (size_t i = 0; i < STORE_BLOCK_SIZE / 8; i++)
		block[i] = (seed + 1) * 0x9e3779b97f4a7c15ULL + i * i;
	put(bench, STORE_BLOCK, block, sizeof block, &digest);
	return digest;
}

static struct digest put_page(struct bench *bench, const struct page *page)
{
	static uint8_t bytes[PAGE_LIMIT];
	struct digest digest;
	put(bench, STORE_PAGE, bytes, page_encode(page, bytes), &digest);
	return digest;
}

static struct digest put_root(struct bench *bench, uint64_t size, uint64_t blocks, const struct digest *top)
{
	uint8_t bytes[ROOT_SIZE];
	struct digest digest;
	struct root root = {
		.levels = root_levels(root_block_count(size)), .size = size, .blocks = blocks, .top = *top
	};
	root_encode(&root, bytes);
	put(bench, STORE_ROOT, bytes, sizeof bytes, &digest);
	return digest;
}

/* Different for each number: which blocks of the pool, and where. `own`: with a block of its own besides. */
static struct digest put_snapshot(struct bench *bench, uint64_t number, bool own)
{
	static struct page page;
	memset(&page, 0, sizeof page);
	page.level = 1;
	page.ids[number % 40] = bench->pool[number % POOL];
	page.ids[40 + number / 40 % 40] = bench->pool[number / 7 % POOL];
	page.ids[80 + number / 1600 % 40] = bench->pool[number / 64000 % POOL];
	if (own)
		page.ids[PAGE_FANOUT - 1] = put_block(bench, 1000 + number);
	struct digest top = put_page(bench, &page);
	return put_root(bench, (uint64_t)PAGE_FANOUT * STORE_BLOCK_SIZE, own ? 4 : 3, &top);
}

/* All but those that are to be deleted are published. */
static int find_published(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err)
{
	const struct bench *bench = context;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		published[i] = true;
		for (size_t j = 0; j < DELETED && count < PER_SESSION; j++)
			published[i] &= !digest_equal(&roots[i], &bench->deleted[j]);
	}
	return 0;
}

static void open_session(struct bench *bench)
{
	struct error err;
	check(store_session_open(bench->store, &bench->session, &err), &err);
}

/* Ends the session; its roots count as published. */
static void close_session(struct bench *bench)
{
	struct error err;
	struct digest kept[DELETED];
	store_session_close(bench->session);
	memcpy(kept, bench->deleted, sizeof kept);
	memset(bench->deleted, 0, sizeof bench->deleted);
	check(store_free_retired(bench->store, find_published, bench, NULL, &err), &err);
	memcpy(bench->deleted, kept, sizeof kept);
}

static void generate(struct bench *bench)
{
	struct error err;
	double begun = now_ms();
	check(store_open(bench->folder, &bench->store, &err), &err);
	open_session(bench);
	for (unsigned i = 0; i < POOL; i++)
		bench->pool[i] = put_block(bench, i);
	for (uint64_t i = 0; i < bench->snapshots; i++) {
		put_snapshot(bench, i, false);
		if (i % PER_SESSION == PER_SESSION - 1) {
			close_session(bench);
			open_session(bench);
		}
	}
	for (unsigned i = 0; i < DELETED; i++)
		bench->deleted[i] = put_snapshot(bench, bench->snapshots + i, true);
	check(store_sync(bench->store, &err), &err);
	close_session(bench);
	printf("generate %.1f s\n", (now_ms() - begun) / 1e3);
	begun = now_ms();
	store_close(bench->store);
	printf("close %.1f ms\n", now_ms() - begun);
}

static void forget_cached(const struct bench *bench, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", bench->folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_times(const char *name, double *times, unsigned count)
{
	double first = times[0];
	qsort(times, count, sizeof *times, compare);
	printf("%s-first %.3f ms\n%s-median %.3f ms\n%s-max %.3f ms\n", name, first, name, times[count / 2],
		name, times[count - 1]);
}

static void account_and_delete(struct bench *bench)
{
	struct error err;
	struct store_collect_result result;
	double accounts[ALONE], deletions[ALONE];
	for (unsigned i = 0; i < ALONE; i++) {
		uint64_t bytes;
		double begun = now_ms();
		check(store_account_alone(bench->store, &bench->deleted[i], 1, &bytes, &err), &err);
		accounts[i] = now_ms() - begun;
		begun = now_ms();
		store_retire(bench->store, &bench->deleted[i]);
		check(store_free_retired(bench->store, find_published, bench, &result, &err), &err);
		deletions[i] = now_ms() - begun;
		if (result.bytes_freed != bytes || bytes < STORE_BLOCK_SIZE) {
			fprintf(stderr, "bench-accounting: %" PRIu64 " bytes freed, %" PRIu64 " accounted\n",
				result.bytes_freed, bytes);
			exit(1);
		}
	}
	print_times("account", accounts, ALONE);
	print_times("delete", deletions, ALONE);
	/* as a controller does it with what was deleted within a moment */
	double begun = now_ms();
	for (unsigned i = ALONE; i < DELETED; i++)
		store_retire(bench->store, &bench->deleted[i]);
	check(store_free_retired(bench->store, find_published, bench, &result, &err), &err);
	printf("delete-together %.3f ms\n", (now_ms() - begun) / (DELETED - ALONE));
}

static int no_roots(void *context, struct digest *root, struct error *err)
{
	(void)context;
	(void)root;
	(void)err;
	return 0;
}

static void count_and_sweep(struct bench *bench)
{
	struct error err;
	double begun = now_ms();
	/* as after a crash */
	pthread_mutex_lock(&bench->store->maintenance);
	store_begin_counting(bench->store);
	store_end_counting(bench->store);
	pthread_mutex_unlock(&bench->store->maintenance);
	printf("count-all %.1f ms\n", now_ms() - begun);
	begun = now_ms();
	/* marks nothing and sweeps everything: the longest that a collection can be */
	check(store_collect(bench->store, no_roots, NULL, NULL, &err), &err);
	printf("sweep-everything %.1f ms\n", now_ms() - begun);
}

/* A tree of 16 TiB without a hole: all its pages of a level are one. */
static struct digest put_full_tree(struct bench *bench)
{
	static struct page page;
	struct digest below = { 0 };
	unsigned levels = root_levels(root_block_count(TREE_SIZE));
	for (unsigned level = 1; level <= levels; level++) {
		memset(&page, 0, sizeof page);
		page.level = (uint8_t)level;
		unsigned ids = level == levels
			? TREE_SIZE / STORE_BLOCK_SIZE >> PAGE_FANOUT_BITS * (levels - 1)
			: PAGE_FANOUT;
		for (unsigned i = 0; i < ids; i++)
			page.ids[i] = level == 1 ? bench->pool[i % POOL] : below;
		below = put_page(bench, &page);
	}
	return put_root(bench, TREE_SIZE, TREE_SIZE / STORE_BLOCK_SIZE, &below);
}

static void compare_trees(struct bench *bench, const struct digest *base, uint64_t distance, const char *name)
{
	struct error err;
	struct tree *old, *changed;
	struct tree_builder *builder;
	struct digest root, block = put_block(bench, 99), a, b;
	check(tree_open(bench->store, base, &old, &err), &err);
	check(tree_builder_create(bench->session, old, TREE_SIZE, &builder, &err), &err);
	for (uint64_t i = 0; i < CHANGES; i++)
		check(tree_builder_set(builder, 5 + i * distance, &block, &err), &err);
	check(tree_builder_finish(builder, &root, NULL, &err), &err);
	tree_builder_destroy(builder);
	tree_close(old);
	double times[5];
	for (unsigned round = 0; round < 5; round++) {
		uint64_t found_count = 0;
		double begun = now_ms();
		check(tree_open(bench->store, base, &old, &err) ||
				tree_open(bench->store, &root, &changed, &err),
			&err);
		for (uint64_t index = 0;; index++) {
			bool found;
			check(tree_next_difference(old, changed, &index, &a, &b, &found, &err), &err);
			if (!found)
				break;
			found_count++;
		}
		tree_close(old);
		tree_close(changed);
		times[round] = now_ms() - begun;
		if (found_count != CHANGES) {
			fprintf(stderr, "bench-accounting: %" PRIu64 " differences\n", found_count);
			exit(1);
		}
	}
	print_times(name, times, 5);
}

int main(int argc, char **argv)
{
	struct error err;
	if (argc < 2 || argc > 3) {
		fputs("usage: bench-accounting FOLDER [SNAPSHOTS]\n", stderr);
		return 2;
	}
	struct bench bench = { .folder = argv[1],
		.snapshots = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000 };
	log_set_level(LOG_ERROR);
	setvbuf(stdout, NULL, _IOLBF, 0);
	generate(&bench);
	forget_cached(&bench, "index");
	forget_cached(&bench, "references");
	double begun = now_ms();
	check(store_open(bench.folder, &bench.store, &err), &err);
	printf("open %.1f ms\n", now_ms() - begun);
	account_and_delete(&bench);
	open_session(&bench);
	for (unsigned i = 0; i < POOL; i++)
		bench.pool[i] = put_block(&bench, i);
	struct digest base = put_full_tree(&bench);
	compare_trees(&bench, &base, TREE_SIZE / STORE_BLOCK_SIZE / CHANGES, "diff-scattered");
	compare_trees(&bench, &base, 1, "diff-together");
	store_session_close(bench.session);
	count_and_sweep(&bench);
	begun = now_ms();
	store_close(bench.store);
	printf("close-again %.1f ms\n", now_ms() - begun);
	return 0;
}
