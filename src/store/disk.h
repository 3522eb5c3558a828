/*
 * The calls by which store and volumes change a disk. They are kept in one file of their own so that a test can link another implementation in its place and inject
 * errors, lost writes and full disks. All return 0, or -1 with errno. Safe from every thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* All of it, through EINTR and short transfers; a read past the end of the file fails with ENODATA. */
int disk_read(int fd, void *data, size_t size, uint64_t offset);
int disk_write(int fd, const void *data, size_t size, uint64_t offset);
/* Like disk_write, gathered; `parts` is changed. */
int disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset);
/* fdatasync. After a failure nothing may be assumed about what was written before: the caller has to give the file up. */
int disk_sync(int fd);
/* Starts writing a range out, without waiting and without a promise. */
void disk_start_writing(int fd, uint64_t offset, uint64_t size);
/* Makes sure that the range has space on the disk, extending the file. */
int disk_reserve(int fd, uint64_t offset, uint64_t size);
/* Gives the space of a range back; it reads as zeros then. */
int disk_punch(int fd, uint64_t offset, uint64_t size);
/* The next range at or after *offset that has data: 1 and *offset, *end; 0 if there is none. */
int disk_next_data(int fd, uint64_t *offset, uint64_t *end);
