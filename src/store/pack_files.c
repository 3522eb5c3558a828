/*
 * A two-level table of 64-bit words, one for each pack: descriptor + 1 (0: not open) and whether the pack was removed in the lower half, the number of leases in the upper one. Opening takes
 * the lock, leasing and returning are one atomic step each. Whoever brings the leases of a removed pack to none closes it; numbers are never used again, so nothing opens it after that.
 * Any thread.
 */
#include "store/pack_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "store/format.h"
#include "base/banned.h"

enum { TABLE_LEAF = 1024, TABLE_LEAVES = PACK_NUMBER_LIMIT / TABLE_LEAF };

static const uint64_t LEASE = 1ULL << 32, REMOVED = 1ULL << 31, DESCRIPTOR = (1ULL << 31) - 1;

typedef _Atomic uint64_t table_leaf[TABLE_LEAF];

struct pack_files {
	const char *folder;
	bool writer;
	pthread_mutex_t lock; /* leaves and opening */
	table_leaf *_Atomic leaves[TABLE_LEAVES];
};

struct pack_files *pack_files_create(const char *folder, bool writer)
{
	struct pack_files *files = memory_alloc(sizeof *files);
	*files = (struct pack_files){ .folder = folder, .writer = writer };
	pthread_mutex_init(&files->lock, NULL);
	return files;
}

void pack_files_destroy(struct pack_files *files)
{
	if (!files)
		return;
	for (int i = 0; i < TABLE_LEAVES; i++) {
		table_leaf *leaf = atomic_load(&files->leaves[i]);
		for (int j = 0; leaf && j < TABLE_LEAF; j++)
			if ((*leaf)[j] & DESCRIPTOR)
				close((int)((*leaf)[j] & DESCRIPTOR) - 1);
		free(leaf);
	}
	pthread_mutex_destroy(&files->lock);
	free(files);
}

void pack_files_path(const struct pack_files *files, uint32_t number, char *path, size_t size)
{
	snprintf(path, size, "%s/%010" PRIu32 ".pack", files->folder, number);
}

uint32_t pack_files_version(const struct pack_files *files, uint32_t number)
{
	uint8_t bytes[OBJECT_HEADER_SIZE];
	char path[4096];
	pack_files_path(files, number, path, sizeof path);
	int fd FILE_SCOPED = disk_open(path, O_RDONLY, 0);
	return fd >= 0 && !disk_read(fd, bytes, sizeof bytes, 0) ? format_pack_version(bytes) : 0;
}

/* The word of a pack; NULL if nothing near it was ever opened. */
static _Atomic uint64_t *word_of(struct pack_files *files, uint32_t number)
{
	table_leaf *leaf = atomic_load_explicit(&files->leaves[number / TABLE_LEAF], memory_order_acquire);
	return leaf ? &(*leaf)[number % TABLE_LEAF] : NULL;
}

static int open_file(struct pack_files *files, uint32_t number, int flags, struct error *err)
{
	char path[4096];
	int fd = -1, open_errno = 0;
	pack_files_path(files, number, path, sizeof path);
	pthread_mutex_lock(&files->lock);
	if (!atomic_load(&files->leaves[number / TABLE_LEAF])) {
		table_leaf *leaf = memory_alloc(sizeof *leaf);
		memset(leaf, 0, sizeof *leaf);
		atomic_store(&files->leaves[number / TABLE_LEAF], leaf);
	}
	_Atomic uint64_t *word = word_of(files, number);
	if (!atomic_load(word)) {
		fd = disk_open(path, flags, 0600);
		open_errno = errno;
		if (fd >= 0)
			atomic_store(word, (uint64_t)fd + 1);
	} else {
		fd = 0; /* another thread was first */
	}
	pthread_mutex_unlock(&files->lock);
	return fd < 0 ? error_set_errno(err, open_errno, "cannot open pack %s", path) : 0;
}

/* Adds to the leases of an open pack; opens it if it is not. */
static int take(struct pack_files *files, uint32_t number, uint64_t leases, int *fd, struct error *err)
{
	if (!number || number >= PACK_NUMBER_LIMIT)
		return error_set(err, ERROR_CORRUPT, "no pack can have the number %" PRIu32, number);
	for (;;) {
		_Atomic uint64_t *word = word_of(files, number);
		uint64_t value = word ? atomic_load(word) : 0;
		while (value & DESCRIPTOR) {
			if (atomic_compare_exchange_weak(word, &value, value + leases)) {
				*fd = (int)(value & DESCRIPTOR) - 1;
				return 0;
			}
		}
		if (open_file(files, number, files->writer ? O_RDWR : O_RDONLY, err))
			return -1;
	}
}

int pack_files_create_pack(struct pack_files *files, uint32_t number, int *fd, struct error *err)
{
	if (number >= PACK_NUMBER_LIMIT)
		return error_set(err, ERROR_NO_SPACE, "%s has had all the packs it can have", files->folder);
	if (open_file(files, number, O_RDWR | O_CREAT | O_EXCL, err))
		return -1;
	return take(files, number, 0, fd, err);
}

int pack_files_descriptor(struct pack_files *files, uint32_t number, int *fd, struct error *err)
{
	return take(files, number, 0, fd, err);
}

int pack_files_lease(struct pack_files *files, uint32_t number, int *fd, struct error *err)
{
	return take(files, number, LEASE, fd, err);
}

static void close_if_done(_Atomic uint64_t *word, uint64_t value)
{
	while ((value & REMOVED) && value < LEASE)
		if (atomic_compare_exchange_weak(word, &value, 0)) {
			close((int)(value & DESCRIPTOR) - 1);
			return;
		}
}

void pack_files_return(struct pack_files *files, uint32_t number)
{
	_Atomic uint64_t *word = word_of(files, number);
	close_if_done(word, atomic_fetch_sub(word, LEASE) - LEASE);
}

void pack_files_forget(struct pack_files *files, uint32_t number)
{
	_Atomic uint64_t *word = word_of(files, number);
	uint64_t value = word ? atomic_load(word) : 0;
	while (value & DESCRIPTOR)
		if (atomic_compare_exchange_weak(word, &value, value | REMOVED)) {
			close_if_done(word, value | REMOVED);
			return;
		}
}

void pack_files_forget_removed(struct pack_files *files)
{
	for (uint32_t number = 1; number < PACK_NUMBER_LIMIT; number++) {
		struct stat status;
		int fd;
		_Atomic uint64_t *word = word_of(files, number);
		if (!word) {
			number |= TABLE_LEAF - 1; /* on to the next leaf */
			continue;
		}
		if (!(atomic_load(word) & DESCRIPTOR) || pack_files_lease(files, number, &fd, NULL))
			continue;
		if (!fstat(fd, &status) && !status.st_nlink)
			pack_files_forget(files, number);
		pack_files_return(files, number);
	}
}
