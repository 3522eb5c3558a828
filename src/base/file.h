/* Files: whole reads and writes, atomic replacement, scoped descriptors. Durable means: survives a power loss. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"

static inline void file_close_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
/* int fd FILE_SCOPED = open(...); */
#define FILE_SCOPED __attribute__((cleanup(file_close_cleanup)))

/* Reads or writes all of `size` bytes at `offset`, through EINTR and short transfers. 0; -1 with errno (a read past the end: ENODATA). */
int file_pread_full(int fd, void *data, size_t size, off_t offset);
int file_pwrite_full(int fd, const void *data, size_t size, off_t offset);
int file_write_full(int fd, const void *data, size_t size);
/* The whole file into the arena, NUL-terminated behind *size. Fails with ERROR_INVALID if it is larger than `limit` bytes. */
int file_read(
	const char *path, size_t limit, struct arena *arena, char **data, size_t *size, struct error *err);
/* The same for a file with a secret: fails with ERROR_INVALID if others than its owner may read or write it. */
int file_read_private(
	const char *path, size_t limit, struct arena *arena, char **data, size_t *size, struct error *err);
/* Replaces (or makes) the file durably: temporary file beside it, fsync, rename, fsync of the folder. */
int file_replace(const char *path, const void *data, size_t size, mode_t mode, struct error *err);
/* Makes a folder and its missing parents, durably, mode as given for those made. An existing folder is fine. */
int file_make_folder(const char *path, mode_t mode, struct error *err);
/* fsync of a folder, so that names made or removed in it are durable. */
int file_sync_folder(const char *path, struct error *err);
/* Removes a folder and all in it; a missing one is fine. Does not follow symbolic links. */
int file_remove_tree(const char *path, struct error *err);
