/*
 * A sync takes the set of packs written since the last one; callers that come while one runs share the next. The lock is not held while syncing.
 */
#include "store/pack_sync.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/banned.h"

enum { DIRTY_LIMIT = 64 };

struct pack_sync {
	struct pack_files *files;
	const char *folder;
	_Atomic bool failed;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t done;
	bool syncing;
	uint64_t syncs_begun, syncs_done;
	uint32_t dirty[DIRTY_LIMIT];
	unsigned dirty_count;
};

struct pack_sync *pack_sync_create(struct pack_files *files, const char *folder)
{
	struct pack_sync *sync = memory_alloc(sizeof *sync);
	*sync = (struct pack_sync){ .files = files, .folder = folder };
	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->done, NULL);
	return sync;
}

void pack_sync_destroy(struct pack_sync *sync)
{
	if (!sync)
		return;
	pthread_mutex_destroy(&sync->lock);
	pthread_cond_destroy(&sync->done);
	free(sync);
}

void pack_sync_note(struct pack_sync *sync, uint32_t number)
{
	for (;;) {
		unsigned i = 0;
		pthread_mutex_lock(&sync->lock);
		while (i < sync->dirty_count && sync->dirty[i] != number)
			i++;
		bool noted = i < DIRTY_LIMIT;
		if (noted) {
			sync->dirty[i] = number;
			sync->dirty_count += i == sync->dirty_count;
		}
		pthread_mutex_unlock(&sync->lock);
		if (noted)
			return;
		/* a collection may touch very many packs; after a sync, failed or not, the list is empty */
		pack_sync_run(sync, NULL);
	}
}

void pack_sync_forget(struct pack_sync *sync, uint32_t number)
{
	pthread_mutex_lock(&sync->lock);
	while (sync->syncing)
		pthread_cond_wait(&sync->done, &sync->lock);
	for (unsigned i = 0; i < sync->dirty_count; i++)
		if (sync->dirty[i] == number)
			sync->dirty[i--] = sync->dirty[--sync->dirty_count];
	pthread_mutex_unlock(&sync->lock);
}

/* The caller holds the lock, has set `syncing`, and checks `failed`. */
static void sync_dirty(struct pack_sync *sync)
{
	uint32_t numbers[DIRTY_LIMIT];
	unsigned count = sync->dirty_count;
	memcpy(numbers, sync->dirty, sizeof numbers);
	sync->dirty_count = 0;
	pthread_mutex_unlock(&sync->lock);
	for (unsigned i = 0; i < count; i++) {
		int fd;
		if (pack_files_descriptor(sync->files, numbers[i], &fd, NULL) || disk_sync(fd)) {
			log_error("pack-sync-failed", "folder=%s pack=%" PRIu32 " errno=%d", sync->folder,
				numbers[i], errno);
			atomic_store(&sync->failed, true);
		}
	}
	pthread_mutex_lock(&sync->lock);
}

int pack_sync_run(struct pack_sync *sync, struct error *err)
{
	pthread_mutex_lock(&sync->lock);
	/* only a sync that begins from now on covers what was appended before */
	uint64_t wanted = sync->syncs_begun + 1;
	while (sync->syncs_done < wanted) {
		if (sync->syncing) {
			pthread_cond_wait(&sync->done, &sync->lock);
			continue;
		}
		sync->syncing = true;
		uint64_t number = ++sync->syncs_begun;
		sync_dirty(sync);
		sync->syncs_done = number;
		sync->syncing = false;
		pthread_cond_broadcast(&sync->done);
	}
	bool failed = atomic_load(&sync->failed);
	pthread_mutex_unlock(&sync->lock);
	return failed ? error_set(err, ERROR_INTERNAL,
				"a sync of %s failed; the store has to be opened again", sync->folder)
		      : 0;
}

void pack_sync_fail(struct pack_sync *sync)
{
	pthread_mutex_lock(&sync->lock); /* a sync that is under way must not answer success */
	atomic_store(&sync->failed, true);
	pthread_mutex_unlock(&sync->lock);
}

bool pack_sync_has_failed(struct pack_sync *sync)
{
	return atomic_load(&sync->failed);
}
