/* Disk calls over Linux system calls; holds no state. */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/banned.h"

int disk_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

int disk_read(int fd, void *data, size_t size, uint64_t offset)
{
	return file_pread_full(fd, data, size, (off_t)offset);
}

bool disk_is_cached(int fd, uint64_t offset, uint64_t size)
{
	/* Linux 6.5; this C library has no name for it. A read with RWF_NOWAIT is no way to ask: it begins to read ahead. */
	enum { CACHESTAT = 451 };
	struct {
		uint64_t offset, size;
	} range = { offset, size };
	struct {
		uint64_t cached, dirty, writing, evicted, recently_evicted;
	} pages = { 0 };
	return !syscall(CACHESTAT, fd, &range, &pages, 0) &&
		pages.cached >= size / (uint64_t)sysconf(_SC_PAGESIZE);
}

int disk_write(int fd, const void *data, size_t size, uint64_t offset)
{
	return file_pwrite_full(fd, data, size, (off_t)offset);
}

int disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset)
{
	while (count) {
		ssize_t put = pwritev(fd, parts, count, (off_t)offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		offset += (uint64_t)put;
		while (count && (size_t)put >= parts->iov_len) {
			put -= (ssize_t)parts->iov_len;
			parts++;
			count--;
		}
		if (count) {
			parts->iov_base = (char *)parts->iov_base + put;
			parts->iov_len -= (size_t)put;
		}
	}
	return 0;
}

int disk_sync(int fd)
{
	return fdatasync(fd);
}

void disk_start_writing(int fd, uint64_t offset, uint64_t size)
{
	(void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

void disk_forget_cached(int fd)
{
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int disk_reserve(int fd, uint64_t offset, uint64_t size)
{
	int failed;
	while ((failed = fallocate(fd, 0, (off_t)offset, (off_t)size)) && errno == EINTR)
		;
	return failed;
}

int disk_punch(int fd, uint64_t offset, uint64_t size)
{
	int failed;
	while ((failed = fallocate(
			fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size)) &&
		errno == EINTR)
		;
	return failed;
}

int disk_truncate(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size);
}

int disk_next_data(int fd, uint64_t *offset, uint64_t *end)
{
	off_t start = lseek(fd, (off_t)*offset, SEEK_DATA);
	if (start < 0)
		return errno == ENXIO ? 0 : -1;
	off_t stop = lseek(fd, start, SEEK_HOLE);
	if (stop < 0)
		return -1;
	*offset = (uint64_t)start;
	*end = (uint64_t)stop;
	return 1;
}

int disk_rename(const char *from, const char *to)
{
	return rename(from, to);
}

int disk_remove(const char *path)
{
	return unlink(path);
}

int disk_make_folder(const char *path, mode_t mode)
{
	return mkdir(path, mode);
}

int disk_remove_folder(const char *path)
{
	return rmdir(path);
}

int disk_sync_folder(const char *path)
{
	int fd FILE_SCOPED = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

void *disk_map(int fd, size_t size, bool writable)
{
	void *mapping = mmap(
		NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	/* cppcheck-suppress memleak */
	return mapping == MAP_FAILED ? NULL : mapping;
}

void disk_unmap(void *mapping, size_t size)
{
	munmap(mapping, size);
}

int disk_sync_map(void *mapping, size_t offset, size_t size)
{
	return msync((char *)mapping + offset, size, MS_SYNC);
}

int disk_space(const char *path, uint64_t *total, uint64_t *available)
{
	struct statvfs status;
	if (statvfs(path, &status))
		return -1;
	*total = (uint64_t)status.f_blocks * status.f_frsize;
	*available = (uint64_t)status.f_bavail * status.f_frsize;
	return 0;
}

void disk_boot_id(char id[DISK_BOOT_ID_SIZE])
{
	enum { LENGTH = 36 };
	memset(id, 0, DISK_BOOT_ID_SIZE);
	int fd FILE_SCOPED = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, id, LENGTH) != LENGTH)
		memset(id, 0, DISK_BOOT_ID_SIZE);
}
