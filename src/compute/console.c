/*
 * QEMU writes with O_APPEND, so the file's front may be cut away under it: FALLOC_FL_COLLAPSE_RANGE does that in one step (ext4, xfs), and no byte is lost
 * or written twice. Elsewhere the newest output is copied to the front of the emptied file; what the guest writes in between is lost or comes first.
 */
#include "compute/console.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/banned.h"

/* A multiple of any file system's block size, as collapsing wants. */
enum { TRIM_UNIT = 64 << 10 };

const char *console_path(struct arena *arena, const char *folder)
{
	return arena_printf(arena, "%s/console.log", folder);
}

int console_read(const char *folder, size_t limit, struct arena *arena, char **data, size_t *size,
	int64_t *modified_ms, struct error *err)
{
	const char *path = console_path(arena, folder);
	int fd FILE_SCOPED = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status = { 0 };
	*size = 0;
	*modified_ms = 0;
	*data = arena_strdup(arena, "");
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &status))
		return error_set_errno(err, errno, "cannot open %s", path);
	if (limit > CONSOLE_LIMIT)
		limit = CONSOLE_LIMIT;
	*modified_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
	size_t wanted = (size_t)status.st_size < limit ? (size_t)status.st_size : limit;
	*data = arena_alloc(arena, wanted + 1);
	/* a trim may come in between: then there is less to read, not something wrong */
	while (*size < wanted) {
		ssize_t got = pread(
			fd, *data + *size, wanted - *size, status.st_size - (off_t)wanted + (off_t)*size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "cannot read %s", path);
		if (got == 0)
			break;
		*size += (size_t)got;
	}
	(*data)[*size] = '\0';
	return 0;
}

static int copy_to_front(int fd, off_t size)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *newest = arena_alloc(scratch, CONSOLE_KEEP);
	if (file_pread_full(fd, newest, CONSOLE_KEEP, size - CONSOLE_KEEP) || ftruncate(fd, 0))
		return -1;
	return file_write_full(fd, newest, CONSOLE_KEEP);
}

int console_trim(const char *folder, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = console_path(scratch, folder);
	struct stat status;
	if (stat(path, &status) || status.st_size <= CONSOLE_TRIM)
		return 0;
	int fd FILE_SCOPED = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	off_t cut = (status.st_size - CONSOLE_KEEP) / TRIM_UNIT * TRIM_UNIT;
	if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, cut)) {
		if (errno != EOPNOTSUPP && errno != EINVAL)
			return error_set_errno(err, errno, "cannot trim %s", path);
		if (copy_to_front(fd, status.st_size))
			return error_set_errno(err, errno, "cannot trim %s", path);
	}
	/* cutting is not output: the time of the last output stays */
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, status.st_mtim };
	return futimens(fd, times) ? error_set_errno(err, errno, "cannot set the time of %s", path) : 0;
}
