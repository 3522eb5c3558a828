/* Disk calls over Linux system calls; holds no state. */
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/banned.h"

int disk_read(int fd, void *data, size_t size, uint64_t offset)
{
	return file_pread_full(fd, data, size, (off_t)offset);
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
