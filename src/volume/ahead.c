/*
 * Sequential writes into a sparse file are slowed down by the file system, which has to account for each new block, to less than half of what they reach where blocks are reserved
 * (measured on ext4: 1.4 against 3.5 GB/s). So a run of writes is noticed, and space reserved ahead of it.
 *
 * A run goes on as long as a write begins in it or close behind it: with several requests in flight they arrive out of order. The piece ahead is half of what the run has written,
 * so that what is reserved in vain stays below that, and at most 64 MiB. Small writes are not looked at: they are random, or too slow to matter. Reserved blocks read as zeros, and a layer's map
 * says nothing of them: they change neither what a crash leaves nor what is read.
 *
 * Any thread. Who finds the lock taken goes on without.
 */
#include "volume/ahead.h"

#include <stdbool.h>

#include "base/disk.h"
#include "base/banned.h"

enum {
	SMALL_WRITE = 32 << 10,
	SLACK = 8 << 20,
	LEAST_PIECE = 4 << 20, /* a boot has no runs as long as that asks for */
	LARGEST_PIECE = 64 << 20,
	/* nothing is reserved on a disk that has less than so many times the piece left beyond its reserve */
	ROOM = 64
};

void ahead_init(struct ahead *ahead)
{
	*ahead = (struct ahead){ .begin = 0 };
	pthread_mutex_init(&ahead->lock, NULL);
}

void ahead_destroy(struct ahead *ahead)
{
	pthread_mutex_destroy(&ahead->lock);
}

/* The caller holds the lock. */
static void extend_run(struct ahead *ahead, uint64_t offset, uint64_t end)
{
	if (offset < ahead->begin || offset > ahead->end + SLACK) {
		ahead->begin = offset;
		ahead->end = ahead->reserved_end = end;
	} else if (end > ahead->end) {
		ahead->end = end;
	}
}

static void reserve(
	struct ahead *ahead, int fd, uint64_t file_size, const char *folder, const struct space_reserve *kept)
{
	uint64_t piece = (ahead->end - ahead->begin) / 2;
	if (piece > LARGEST_PIECE)
		piece = LARGEST_PIECE;
	if (piece < LEAST_PIECE || ahead->reserved_end >= ahead->end + piece / 2)
		return;
	uint64_t from = ahead->reserved_end > ahead->end ? ahead->reserved_end : ahead->end;
	uint64_t to = ahead->end + piece < file_size ? ahead->end + piece : file_size;
	if (from < to && space_available(folder, kept) / ROOM > to - from)
		(void)disk_reserve(fd, from, to - from);
	/* if there was none, not to ask again for each write */
	ahead->reserved_end = ahead->end + piece;
}

void ahead_note_write(struct ahead *ahead, int fd, uint64_t file_size, uint64_t offset, uint64_t size,
	const char *folder, const struct space_reserve *kept)
{
	if (size < SMALL_WRITE || pthread_mutex_trylock(&ahead->lock))
		return;
	extend_run(ahead, offset, offset + size);
	reserve(ahead, fd, file_size, folder, kept);
	pthread_mutex_unlock(&ahead->lock);
}
