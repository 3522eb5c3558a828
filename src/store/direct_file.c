/*
 * A second descriptor, opened with O_DIRECT, of the pack that is being appended to. It is opened by the first write to that pack and closed by whoever uses it last after another pack has taken its place, or it was removed: so there is one at a
 * time, and a second one for a moment. The lock is held only to take and to give back. Readers open one each.
 */
#include "store/direct_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/banned.h"

struct direct_file {
	int fd;
	uint32_t pack;
	unsigned users; /* `current` is one */
};

struct direct_files {
	const char *folder;
	pthread_mutex_t lock; /* of what follows */
	struct direct_file *current;
	bool refused; /* by the file system: not asked again */
};

struct direct_files *direct_files_create(const char *folder)
{
	struct direct_files *files = memory_alloc(sizeof *files);
	*files = (struct direct_files){ .folder = folder };
	pthread_mutex_init(&files->lock, NULL);
	return files;
}

/* Called with the lock, or alone. */
static void drop(struct direct_file *file)
{
	if (!file || --file->users)
		return;
	close(file->fd);
	free(file);
}

void direct_files_destroy(struct direct_files *files)
{
	if (!files)
		return;
	drop(files->current);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

static int open_pack(const struct direct_files *files, uint32_t pack, int flags)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s/%010" PRIu32 ".pack", files->folder, pack) >= sizeof path)
		return -1;
	return disk_open(path, flags | O_DIRECT, 0);
}

/* Called with the lock. */
static void open_current(struct direct_files *files, uint32_t pack)
{
	int fd = open_pack(files, pack, O_WRONLY);
	if (fd < 0) {
		files->refused = true;
		return;
	}
	drop(files->current);
	files->current = memory_alloc(sizeof *files->current);
	*files->current = (struct direct_file){ .fd = fd, .pack = pack, .users = 1 };
}

static struct direct_file *take(struct direct_files *files, uint32_t pack)
{
	struct direct_file *file = NULL;
	pthread_mutex_lock(&files->lock);
	/* whoever is late with the pack before this one does without */
	if (!files->refused && (!files->current || files->current->pack < pack))
		open_current(files, pack);
	if (!files->refused && files->current && files->current->pack == pack) {
		file = files->current;
		file->users++;
	}
	pthread_mutex_unlock(&files->lock);
	return file;
}

int direct_files_write(struct direct_files *files, uint32_t pack, const void *header, const void *payload,
	uint32_t payload_size, uint64_t offset)
{
	if ((uintptr_t)header % DIRECT_ALIGNMENT || (uintptr_t)payload % DIRECT_ALIGNMENT ||
		payload_size % DIRECT_ALIGNMENT || offset % DIRECT_ALIGNMENT)
		return 0;
	struct direct_file *file = take(files, pack);
	if (!file)
		return 0;
	struct iovec parts[] = { { .iov_base = (void *)(uintptr_t)header, .iov_len = DIRECT_ALIGNMENT },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = payload_size } };
	bool failed = disk_write_parts(file->fd, parts, 2, offset);
	pthread_mutex_lock(&files->lock);
	files->refused |= failed; /* what is wrong shows when it is written in the ordinary way */
	drop(file);
	pthread_mutex_unlock(&files->lock);
	return !failed;
}

void direct_files_forget(struct direct_files *files, uint32_t pack)
{
	pthread_mutex_lock(&files->lock);
	if (files->current && files->current->pack == pack) {
		drop(files->current);
		files->current = NULL;
	}
	pthread_mutex_unlock(&files->lock);
}

int direct_files_read(struct direct_files *files, uint32_t pack, void *data, uint32_t size, uint64_t offset)
{
	if ((uintptr_t)data % DIRECT_ALIGNMENT || size % DIRECT_ALIGNMENT || offset % DIRECT_ALIGNMENT)
		return -1;
	/* opened each time: beside the reading of a block that is nothing */
	int fd = open_pack(files, pack, O_RDONLY);
	if (fd < 0)
		return -1;
	int result = disk_read(fd, data, size, offset);
	close(fd);
	return result;
}
