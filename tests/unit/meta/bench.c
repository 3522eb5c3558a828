/*
 * How fast the metadata store is: `meson test --benchmark meta`, or this program with a folder (default /tmp).
 * A commit is a batch of one new record with four index entries; latencies are of single commits.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "things.h"

enum { SECONDS = 3, LATENCIES = 1 << 18, READERS = 2 };

struct worker {
	struct meta *meta;
	int64_t end_ms;
	size_t count;
	uint32_t *latencies; /* microseconds */
};

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void *commit_records(void *context)
{
	struct worker *worker = context;
	while (clock_monotonic_ms() < worker->end_ms && worker->count < LATENCIES) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct thing_record thing = { { "123456789012", "us-east-1", text_random_id(arena, "t"),
			0 } };
		const char *labels[] = { "Name=web", "Stage=test" };
		thing.name = thing.record.id;
		thing.state = "available";
		thing.labels.items = labels;
		thing.labels.count = 2;
		thing.labels.set = true;
		int64_t start = now_us();
		struct meta_batch *batch = meta_batch_create(worker->meta, arena);
		meta_batch_put(batch, &record_thing, &thing);
		struct error err;
		if (meta_commit(worker->meta, batch, &err)) {
			fprintf(stderr, "%s\n", err.message);
			exit(1);
		}
		worker->latencies[worker->count++] = (uint32_t)(now_us() - start);
	}
	return NULL;
}

static void *list_records(void *context)
{
	struct worker *worker = context;
	struct meta_query query = { .account = "123456789012", .region = "us-east-1", .limit = 100 };
	while (clock_monotonic_ms() < worker->end_ms) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct meta_rows rows;
		if (meta_list(worker->meta, &record_thing, &query, arena, &rows, NULL))
			exit(1);
		worker->count++;
	}
	return NULL;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;
	return *left < *right ? -1 : *left > *right;
}

static long resident_kib(void)
{
	long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
		exit(1);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void run(struct scratch *s, int writers, int readers)
{
	struct worker *workers = calloc((size_t)(writers + readers), sizeof *workers);
	pthread_t *threads = calloc((size_t)(writers + readers), sizeof *threads);
	int64_t start = clock_monotonic_ms();
	for (int i = 0; i < writers + readers; i++) {
		workers[i] = (struct worker){ s->meta, start + SECONDS * 1000 };
		if (i < writers)
			workers[i].latencies = malloc(LATENCIES * sizeof *workers[i].latencies);
		pthread_create(&threads[i], NULL, i < writers ? commit_records : list_records, &workers[i]);
	}
	uint32_t *all = malloc((size_t)writers * LATENCIES * sizeof *all);
	size_t commits = 0, lists = 0;
	for (int i = 0; i < writers + readers; i++) {
		pthread_join(threads[i], NULL);
		if (i >= writers) {
			lists += workers[i].count;
			continue;
		}
		memcpy(all + commits, workers[i].latencies, workers[i].count * sizeof *all);
		commits += workers[i].count;
		free(workers[i].latencies);
	}
	double seconds = (double)(clock_monotonic_ms() - start) / 1000;
	qsort(all, commits, sizeof *all, compare_numbers);
	printf("%2d writers %d readers: %7.0f commits/s  p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms", writers,
		readers, (double)commits / seconds, all[commits / 2] / 1e3,
		all[commits - 1 - commits / 100] / 1e3, all[commits - 1] / 1e3);
	if (readers)
		printf("  %6.0f lists of 100/s", (double)lists / seconds);
	printf("\n");
	free(all);
	free(workers);
	free(threads);
}

static size_t copy_file(struct scratch *s, const char *suffix, const char *to)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *data;
	size_t size;
	const char *from = arena_printf(arena, "%s%s", s->path, suffix);
	if (file_read(from, 512 << 20, arena, &data, &size, &s->err) ||
		file_replace(arena_printf(arena, "%s%s", to, suffix), data, size, 0600, &s->err)) {
		fprintf(stderr, "%s\n", s->err.message);
		exit(1);
	}
	return size;
}

/* What a killed process leaves: the database and its log, as they are while nothing is written. */
static void run_recovery(struct scratch *s)
{
	char copy[128];
	snprintf(copy, sizeof copy, "%s/crashed.db", s->folder);
	size_t database = copy_file(s, "", copy), log = copy_file(s, "-wal", copy);
	int64_t start = now_us();
	struct meta *meta;
	if (meta_open(copy, &meta, &s->err))
		exit(1);
	printf("open after a crash: %.1f ms (database %zu MiB, log %zu MiB)\n",
		(double)(now_us() - start) / 1e3, database >> 20, log >> 20);
	meta_close(meta);
}

/* The disk by itself: one append of 4 KiB and an fdatasync. */
static void run_disk(struct scratch *s)
{
	char path[128], page[4096] = { 0 };
	snprintf(path, sizeof path, "%s/raw", s->folder);
	FILE *file = fopen(path, "we");
	int64_t end = clock_monotonic_ms() + 1000;
	int count = 0;
	for (; clock_monotonic_ms() < end; count++)
		if (pwrite(fileno(file), page, sizeof page, (off_t)(count % 256) * 4096) < 0 ||
			fdatasync(fileno(file)))
			exit(1);
	fclose(file);
	printf("disk alone: %d writes with fdatasync a second\n", count);
}

int main(int argc, char **argv)
{
	struct scratch s = { 0 };
	snprintf(s.folder, sizeof s.folder, "%s/meta-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	if (!mkdtemp(s.folder))
		return 1;
	snprintf(s.path, sizeof s.path, "%s/metadata.db", s.folder);
	run_disk(&s);
	long before_kib = resident_kib();
	int64_t start = now_us();
	if (meta_open(s.path, &s.meta, &s.err)) {
		fprintf(stderr, "%s\n", s.err.message);
		return 1;
	}
	printf("open, making the file: %.1f ms; resident memory added: %ld KiB\n",
		(double)(now_us() - start) / 1e3, resident_kib() - before_kib);
	meta_close(s.meta);
	start = now_us();
	if (meta_open(s.path, &s.meta, &s.err))
		return 1;
	printf("open, empty: %.1f ms\n", (double)(now_us() - start) / 1e3);
	run(&s, 1, 0);
	run(&s, 16, 0);
	run(&s, 16, READERS);
	printf("resident memory added after all: %ld KiB\n", resident_kib() - before_kib);
	run_recovery(&s);
	meta_close(s.meta);
	return file_remove_tree(s.folder, NULL) ? 1 : 0;
}
