/*
 * Several threads read blocks and put them, each over a connection of its own; which block is next is decided under one lock. A thread fills its places, leaving out blocks of zeros, then puts them all: by one request that names
 * them, if the places lie in memory that is shared with the server, or else (a thread then has one place) by a request that carries it.
 */
#include "cli/disk_upload.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/shared_memory.h"
#include "base/banned.h"

enum {
	WORKERS = 12,
	SHARED_WORKERS = 8,
	SHARED_PLACES = 8, /* of each worker */
	BAR_WIDTH = 30,
	BAR_PERIOD_MS = 100,
};

struct upload {
	const struct client *client;
	struct disk_file *disk;
	const char *snapshot_id;
	struct shared_memory *shared; /* NULL: there is none */
	unsigned workers;
	pthread_mutex_t lock; /* of what follows */
	uint64_t next;        /* block to look at */
	uint64_t put;         /* blocks written */
	unsigned running;     /* threads */
	bool failed;
	struct error error;   /* the first */
	pthread_cond_t ended; /* a thread has */
};

struct worker {
	struct upload *upload;
	pthread_t thread;
	struct client_connection *connection;
	uint8_t *places; /* one behind the other */
	unsigned first;  /* number of the first one in the shared memory */
	unsigned room, count;
	uint64_t indices[SHARED_PLACES]; /* of the blocks in them */
};

/* The next block that may hold data; false when there is none left, or something failed. */
static bool take_block(struct upload *upload, uint64_t *index)
{
	pthread_mutex_lock(&upload->lock);
	*index = disk_file_next(upload->disk, upload->next);
	bool found = !upload->failed && *index < disk_file_block_count(upload->disk);
	upload->next = found ? *index + 1 : *index;
	pthread_mutex_unlock(&upload->lock);
	return found;
}

static int fill_places(struct worker *worker, struct error *err)
{
	uint64_t index;
	worker->count = 0;
	while (worker->count < worker->room && take_block(worker->upload, &index)) {
		bool zero;
		void *place = worker->places + (size_t)worker->count * DISK_BLOCK_SIZE;
		if (disk_file_read(worker->upload->disk, index, place, &zero, err))
			return -1;
		if (!zero)
			worker->indices[worker->count++] = index;
	}
	return 0;
}

static int put_by_value(struct worker *worker, uint64_t index, const void *block, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct digest digest;
	digest_sha256(block, DISK_BLOCK_SIZE, &digest);
	const struct client_pair headers[] = {
		{ "content-type", "application/octet-stream" },
		{ "x-amz-data-length", arena_printf(arena, "%d", DISK_BLOCK_SIZE) },
		{ "x-amz-checksum", text_base64(arena, digest.bytes, DIGEST_SIZE) },
		{ "x-amz-checksum-algorithm", "SHA256" },
		{ 0 },
	};
	const struct client_rest rest = { .service = "ebs",
		.method = "PUT",
		.path = arena_printf(
			arena, "/snapshots/%s/blocks/%" PRIu64, worker->upload->snapshot_id, index),
		.headers = headers,
		.body = block,
		.body_size = DISK_BLOCK_SIZE,
		.unsigned_body = true };
	return client_call_rest(worker->connection, &rest, CLIENT_REPEAT, NULL, err);
}

static int put_by_reference(struct worker *worker, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	static const struct client_pair headers[] = { { "content-type", "application/json" }, { 0 } };
	struct buffer body BUFFER_SCOPED = { 0 };
	buffer_printf(&body, "{\"area\":\"%s\",\"blocks\":[", shared_memory_token(worker->upload->shared));
	for (unsigned i = 0; i < worker->count; i++)
		buffer_printf(
			&body, "%s[%" PRIu64 ",%u]", i ? "," : "", worker->indices[i], worker->first + i);
	buffer_append_text(&body, "]}");
	const struct client_rest rest = { .service = "ebs",
		.method = "POST",
		.path = arena_printf(arena, "/_amid/upload/%s", worker->upload->snapshot_id),
		.headers = headers,
		.body = body.data,
		.body_size = body.size };
	return client_call_rest(worker->connection, &rest, CLIENT_ONCE, NULL, err);
}

/* A server that was restarted knows the memory no more; whatever else is wrong, the ordinary way says it. */
static int put_places(struct worker *worker, struct error *err)
{
	if (worker->upload->shared && put_by_reference(worker, err) == 0)
		return 0;
	for (unsigned i = 0; i < worker->count; i++)
		if (put_by_value(
			    worker, worker->indices[i], worker->places + (size_t)i * DISK_BLOCK_SIZE, err))
			return -1;
	return 0;
}

static int put_blocks(struct worker *worker, struct error *err)
{
	struct upload *upload = worker->upload;
	if (client_connect(upload->client, &worker->connection, err))
		return -1;
	for (;;) {
		if (fill_places(worker, err))
			return -1;
		if (!worker->count)
			return 0;
		if (put_places(worker, err))
			return -1;
		pthread_mutex_lock(&upload->lock);
		upload->put += worker->count;
		pthread_mutex_unlock(&upload->lock);
	}
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct upload *upload = worker->upload;
	struct error err;
	int failed = put_blocks(worker, &err);
	client_disconnect(worker->connection);
	pthread_mutex_lock(&upload->lock);
	if (failed && !upload->failed) {
		upload->failed = true;
		upload->error = err;
	}
	upload->running--;
	pthread_cond_signal(&upload->ended);
	pthread_mutex_unlock(&upload->lock);
	return NULL;
}

/* Called with the lock. */
static void draw_bar(const struct upload *upload)
{
	uint64_t count = disk_file_block_count(upload->disk),
		 at = upload->next < count ? upload->next : count;
	unsigned full = (unsigned)(at * BAR_WIDTH / count);
	fprintf(stderr, "\r[%.*s%*s] %3u%%  %" PRIu64 " MiB written ", (int)full,
		"##############################", (int)(BAR_WIDTH - full), "", (unsigned)(at * 100 / count),
		upload->put / 2);
	fflush(stderr);
}

/* Until all threads have ended. */
static void wait_and_show(struct upload *upload, bool show)
{
	pthread_mutex_lock(&upload->lock);
	while (upload->running) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += BAR_PERIOD_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (show) {
			draw_bar(upload);
			pthread_cond_timedwait(&upload->ended, &upload->lock, &until);
		} else {
			pthread_cond_wait(&upload->ended, &upload->lock);
		}
	}
	if (show && !upload->failed)
		draw_bar(upload);
	if (show)
		fputc('\n', stderr);
	pthread_mutex_unlock(&upload->lock);
}

/* Starts as many as can be; 0, or the error of the first if there is none. */
static int run_workers(struct upload *upload, struct worker *workers, struct error *err)
{
	unsigned started = 0;
	int failed = 0;
	upload->running = upload->workers;
	while (started < upload->workers &&
		!(failed = pthread_create(&workers[started].thread, NULL, work, &workers[started])))
		started++;
	pthread_mutex_lock(&upload->lock);
	upload->running -= upload->workers - started;
	pthread_mutex_unlock(&upload->lock);
	if (started)
		wait_and_show(upload, isatty(STDERR_FILENO));
	for (unsigned i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	if (!started)
		return error_set_errno(err, failed, "cannot start a thread");
	if (upload->failed)
		*err = upload->error;
	return upload->failed ? -1 : 0;
}

int disk_upload(const struct client *client, struct client_connection *connection, struct disk_file *disk,
	const char *snapshot_id, uint64_t *put, struct error *err)
{
	struct upload upload = { .client = client,
		.disk = disk,
		.snapshot_id = snapshot_id,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER };
	struct worker workers[WORKERS] = { 0 };
	upload.shared = shared_memory_open(
		client, connection, (size_t)SHARED_WORKERS * SHARED_PLACES * DISK_BLOCK_SIZE);
	upload.workers = upload.shared ? SHARED_WORKERS : WORKERS;
	unsigned room = upload.shared ? SHARED_PLACES : 1;
	size_t size = (size_t)upload.workers * room * DISK_BLOCK_SIZE;
	uint8_t *places = upload.shared ? shared_memory_data(upload.shared) : memory_alloc(size);
	for (unsigned i = 0; i < upload.workers; i++)
		workers[i] = (struct worker){ .upload = &upload,
			.places = places + (size_t)i * room * DISK_BLOCK_SIZE,
			.first = i * room,
			.room = room };
	int result = run_workers(&upload, workers, err);
	*put = upload.put;
	if (!upload.shared)
		free(places);
	shared_memory_close(upload.shared);
	return result;
}
