/* File helpers. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/disk.h"
#include "base/banned.h"

int file_pread_full(int fd, void *data, size_t size, off_t offset)
{
	for (char *p = data; size;) {
		ssize_t got = pread(fd, p, size, offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got == 0)
				errno = ENODATA;
			return -1;
		}
		p += got;
		offset += got;
		size -= (size_t)got;
	}
	return 0;
}

int file_pwrite_full(int fd, const void *data, size_t size, off_t offset)
{
	for (const char *p = data; size;) {
		ssize_t put = pwrite(fd, p, size, offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		offset += put;
		size -= (size_t)put;
	}
	return 0;
}

int file_write_full(int fd, const void *data, size_t size)
{
	for (const char *p = data; size;) {
		ssize_t put = write(fd, p, size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		size -= (size_t)put;
	}
	return 0;
}

int file_read(
	const char *path, size_t limit, struct arena *arena, char **data, size_t *size, struct error *err)
{
	int fd FILE_SCOPED = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	struct stat status;
	if (fstat(fd, &status))
		return error_set_errno(err, errno, "cannot read %s", path);
	/* read to the end, since files under /proc have no size, and others may grow */
	size_t expected = status.st_size > 0 ? (size_t)status.st_size : 4095, used = 0;
	size_t room = (expected < limit ? expected : limit) + 1;
	char *text = arena_alloc(arena, room + 1);
	for (;;) {
		ssize_t got = read(fd, text + used, room - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "cannot read %s", path);
		if (got == 0)
			break;
		used += (size_t)got;
		if (used > limit)
			return error_set(err, ERROR_INVALID, "%s is larger than %zu bytes", path, limit);
		if (used == room) {
			char *larger = arena_alloc(arena, 2 * room + 1);
			memcpy(larger, text, used);
			text = larger;
			room *= 2;
		}
	}
	text[used] = '\0';
	*data = text;
	*size = used;
	return 0;
}

int file_read_private(
	const char *path, size_t limit, struct arena *arena, char **data, size_t *size, struct error *err)
{
	struct stat found;
	if (stat(path, &found))
		return error_set_errno(err, errno, "cannot read %s", path);
	if (found.st_mode & 077)
		return error_set(err, ERROR_INVALID,
			"others may read %s (mode %03o): make it 0600, and think about who has read it", path,
			(unsigned)found.st_mode & 0777);
	return file_read(path, limit, arena, data, size, err);
}

int file_sync_folder(const char *path, struct error *err)
{
	if (disk_sync_folder(path))
		return error_set_errno(err, errno, "cannot sync folder %s", path);
	return 0;
}

int file_replace(const char *path, const void *data, size_t size, mode_t mode, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *temporary = arena_printf(scratch, "%s.new", path);
	int fd FILE_SCOPED = disk_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", temporary);
	if (disk_write(fd, data, size, 0) || fchmod(fd, mode) || disk_sync(fd) ||
		disk_rename(temporary, path)) {
		error_set_errno(err, errno, "cannot write %s", path);
		disk_remove(temporary);
		return -1;
	}
	return file_sync_folder(dirname(arena_strdup(scratch, path)), err);
}

/* One that may be passed but not read is somebody else's, and cannot be synced by us. */
static int sync_parent(const char *path)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	return disk_sync_folder(dirname(arena_strdup(scratch, path))) && errno != EACCES ? -1 : 0;
}

int file_make_folder(const char *path, mode_t mode, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *copy = arena_strdup(scratch, path);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		bool made = !disk_make_folder(copy, mode);
		if ((!made && errno != EEXIST) || (made && sync_parent(copy)))
			return error_set_errno(err, errno, "cannot make folder %s", copy);
		*slash = '/';
	}
	/* the last one's name is made durable in any case: who made it may not have lived to do that */
	if ((disk_make_folder(copy, mode) && errno != EEXIST) || sync_parent(copy))
		return error_set_errno(err, errno, "cannot make folder %s", path);
	return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)walk;
	return type == FTW_DP ? disk_remove_folder(path) : disk_remove(path);
}

int file_remove_tree(const char *path, struct error *err)
{
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", path);
	return 0;
}
