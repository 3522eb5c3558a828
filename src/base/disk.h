/*
 * The calls by which amid changes a disk, and those by which it reads back what must survive a crash. They are kept in one file of their own so that a test can link another implementation in its place, record every
 * change, and inject errors, lost and torn writes, full disks and crashes (tests/torture). What is not led through here is not under that test.
 *
 * Descriptors are ordinary ones: closed by close, examined by fstat, locked by flock. All functions return 0, or -1 with errno, unless they say otherwise. Safe from every thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* open(2), with O_CLOEXEC and O_NOFOLLOW: a descriptor, or -1. The name of a file that this makes is durable after disk_sync_folder. */
int disk_open(const char *path, int flags, mode_t mode);
/* All of it, through EINTR and short transfers; a read past the end of the file fails with ENODATA. */
int disk_read(int fd, void *data, size_t size, uint64_t offset);
/* Whether all of a range is in the page cache just now; false if the kernel cannot tell. */
bool disk_is_cached(int fd, uint64_t offset, uint64_t size);
int disk_write(int fd, const void *data, size_t size, uint64_t offset);
/* Like disk_write, gathered; `parts` is changed. */
int disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset);
/* fdatasync. After a failure nothing may be assumed about what was written before: the caller has to give the file up. */
int disk_sync(int fd);
/* Starts writing a range out, without waiting and without a promise. */
void disk_start_writing(int fd, uint64_t offset, uint64_t size);
/* Makes sure that the range has space on the disk, extending the file. */
int disk_reserve(int fd, uint64_t offset, uint64_t size);
/* Forgets what the page cache has of a file and the disk has as well, or so the kernel thinks: reads then show what is on the disk, which after a failed sync is not the same. */
void disk_forget_cached(int fd);
/* Gives the space of a range back; it reads as zeros then. */
int disk_punch(int fd, uint64_t offset, uint64_t size);
int disk_truncate(int fd, uint64_t size);
/* The next range at or after *offset that has data: 1 and *offset, *end; 0 if there is none. */
int disk_next_data(int fd, uint64_t *offset, uint64_t *end);

/* Names. Each takes effect at once or not at all, and is durable after disk_sync_folder of the folder that holds it. */
int disk_rename(const char *from, const char *to);
int disk_remove(const char *path);
int disk_make_folder(const char *path, mode_t mode);
int disk_remove_folder(const char *path);
int disk_sync_folder(const char *path);

/* Maps a file, shared, from its beginning; NULL on failure. What is stored there is durable after disk_sync_map of its range (`offset` a multiple of a page), and may be before. */
void *disk_map(int fd, size_t size, bool writable);
void disk_unmap(void *mapping, size_t size);
int disk_sync_map(void *mapping, size_t offset, size_t size);

/* Size of the disk that holds the path, and what of it may still be taken. */
int disk_space(const char *path, uint64_t *total, uint64_t *available);

enum { DISK_BOOT_ID_SIZE = 40 };
/* What tells this boot of the machine from others; all zeros, which equals no boot, if that cannot be found out. */
void disk_boot_id(char id[DISK_BOOT_ID_SIZE]);
