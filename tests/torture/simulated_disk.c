/*
 * base/disk.h over real files in a folder on a tmpfs.
 *
 * Each call is carried out, then recorded, under one lock. What is stored into mapped files is found out by comparing their pages with copies before every other operation, sector by sector: so a
 * recording knows all that a loss of power could have found in memory between two calls. Reserving space only extends files on the "disk", as their blocks would read as zeros anyway and a test wants
 * no 64 MiB of memory; in the folder that stands for a tmpfs it is real, since pages with memory are told from holes there.
 *
 * Any thread.
 */
#include "simulated_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "crash.h"
#include "base/banned.h"

enum { FD_LIMIT = 4096, MAPPING_LIMIT = 64, PAGE = 4096 };

struct mapped_page {
	uint64_t number;
	uint8_t copy[PAGE];
};

struct mapping {
	uint8_t *address; /* NULL: none */
	uint32_t node;
	struct mapped_page *pages;
	size_t page_count;
};

static struct {
	pthread_mutex_t lock;
	struct recording *recording;
	int64_t nodes[FD_LIMIT]; /* of descriptors; -1: not recorded */
	bool tmpfs[FD_LIMIT];    /* files there; these are known without a recording, too */
	struct mapping mappings[MAPPING_LIMIT];
	enum fault_kind fault;
	uint64_t fault_at;
	_Atomic uint64_t calls;
	_Atomic bool failed;
	_Atomic unsigned boot;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Whether this call has to fail; errno is set then. The caller holds the lock. */
static bool must_fail(enum call_kind kind)
{
	uint64_t call = disk.calls++;
	if (disk.fault == FAULT_NONE || call < disk.fault_at)
		return false;
	if (disk.fault == FAULT_ENOSPC_ON) {
		/* a full disk still reads, syncs and removes */
		if (kind != CALL_ALLOCATE)
			return false;
		errno = ENOSPC;
	} else {
		if (call != disk.fault_at)
			return false;
		errno = disk.fault == FAULT_ENOSPC && kind != CALL_READ ? ENOSPC : EIO;
	}
	disk.failed = true;
	return true;
}

static int64_t node_of(int fd)
{
	return disk.recording && fd >= 0 && fd < FD_LIMIT ? disk.nodes[fd] : -1;
}

/* Records the sectors of one page that differ from its copy. */
static void note_page(const struct mapping *mapping, struct mapped_page *page)
{
	const uint8_t *now = mapping->address + page->number * PAGE;
	if (!memcmp(now, page->copy, PAGE))
		return;
	for (unsigned at = 0; at < PAGE; at += SECTOR_SIZE) {
		if (!memcmp(now + at, page->copy + at, SECTOR_SIZE))
			continue;
		memcpy(page->copy + at, now + at, SECTOR_SIZE);
		recording_add_data(disk.recording, mapping->node, page->number * PAGE + at, page->copy + at,
			SECTOR_SIZE, true);
	}
}

/* The caller holds the lock; something is recorded. */
static void note_stores(void)
{
	for (int i = 0; i < MAPPING_LIMIT; i++)
		for (size_t j = 0; disk.mappings[i].address && j < disk.mappings[i].page_count; j++)
			note_page(&disk.mappings[i], &disk.mappings[i].pages[j]);
}

static void watch_page(struct mapping *mapping, uint64_t number)
{
	for (size_t i = 0; i < mapping->page_count; i++)
		if (mapping->pages[i].number == number)
			return;
	mapping->pages = memory_realloc(mapping->pages, (mapping->page_count + 1) * sizeof *mapping->pages);
	struct mapped_page *page = &mapping->pages[mapping->page_count++];
	page->number = number;
	memcpy(page->copy, mapping->address + number * PAGE, PAGE);
}

static void forget_mapping(struct mapping *mapping)
{
	free(mapping->pages);
	*mapping = (struct mapping){ 0 };
}

void simulated_disk_record(struct recording *recording)
{
	pthread_mutex_lock(&disk.lock);
	disk.recording = recording;
	memset(disk.nodes, -1, sizeof disk.nodes);
	pthread_mutex_unlock(&disk.lock);
}

struct recording *simulated_disk_stop(void)
{
	pthread_mutex_lock(&disk.lock);
	struct recording *recording = disk.recording;
	note_stores();
	for (int i = 0; i < MAPPING_LIMIT; i++)
		forget_mapping(&disk.mappings[i]);
	disk.recording = NULL;
	pthread_mutex_unlock(&disk.lock);
	return recording;
}

uint64_t simulated_disk_position(void)
{
	pthread_mutex_lock(&disk.lock);
	if (disk.recording)
		note_stores();
	uint64_t position = disk.recording ? disk.recording->count : 0;
	pthread_mutex_unlock(&disk.lock);
	return position;
}

void simulated_disk_fail(enum fault_kind kind, uint64_t number)
{
	pthread_mutex_lock(&disk.lock);
	disk.fault = kind;
	disk.fault_at = number;
	disk.calls = 0;
	disk.failed = false;
	pthread_mutex_unlock(&disk.lock);
}

uint64_t simulated_disk_calls(void)
{
	return disk.calls;
}

bool simulated_disk_has_failed(void)
{
	return disk.failed;
}

void simulated_disk_set_boot(unsigned boot)
{
	disk.boot = boot;
}

bool simulated_disk_must_fail(enum call_kind kind, int *error)
{
	pthread_mutex_lock(&disk.lock);
	bool fails = must_fail(kind);
	*error = errno;
	pthread_mutex_unlock(&disk.lock);
	return fails;
}

/* Takes the lock, which the caller releases. */
static int64_t lock_and_find(const char *path)
{
	pthread_mutex_lock(&disk.lock);
	return disk.recording ? recording_find(disk.recording, path) : -1;
}

void simulated_disk_note_write(const char *path, uint64_t offset, const void *data, size_t size)
{
	int64_t node = lock_and_find(path);
	if (node >= 0)
		recording_add_data(disk.recording, (uint32_t)node, offset, data, size, false);
	pthread_mutex_unlock(&disk.lock);
}

void simulated_disk_note_change(const char *path, enum operation_kind kind, uint64_t size)
{
	int64_t node = lock_and_find(path);
	if (node >= 0)
		recording_add_change(disk.recording, kind, (uint32_t)node, 0, size);
	pthread_mutex_unlock(&disk.lock);
}

void simulated_disk_note_name(const char *path, bool removed)
{
	const char *name;
	bool known = lock_and_find(path) >= 0;
	int64_t folder = disk.recording ? recording_find_folder(disk.recording, path, &name) : -1;
	if (folder >= 0 && removed && known)
		recording_add_remove(disk.recording, (uint32_t)folder, name);
	else if (folder >= 0 && !removed && !known)
		recording_add_create(disk.recording, (uint32_t)folder, name, false);
	pthread_mutex_unlock(&disk.lock);
}

/* Records what open does: a new name, an emptied file. The caller holds the lock. */
static void note_open(const char *path, int fd, int flags, bool existed)
{
	const char *name;
	int64_t folder = recording_find_folder(disk.recording, path, &name);
	disk.nodes[fd] = -1;
	if (folder < 0)
		return;
	if (!existed) {
		note_stores();
		disk.nodes[fd] = recording_add_create(disk.recording, (uint32_t)folder, name, false);
		return;
	}
	disk.nodes[fd] = recording_find(disk.recording, path);
	if (disk.nodes[fd] >= 0 && flags & O_TRUNC) {
		note_stores();
		recording_add_change(disk.recording, OPERATION_TRUNCATE, (uint32_t)disk.nodes[fd], 0, 0);
	}
}

int disk_open(const char *path, int flags, mode_t mode)
{
	pthread_mutex_lock(&disk.lock);
	bool existed = access(path, F_OK) == 0;
	bool fails = must_fail(flags & O_CREAT && !existed ? CALL_ALLOCATE : CALL_READ);
	int fd = fails ? -1 : open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	int open_errno = errno;
	if (fd >= FD_LIMIT)
		abort();
	if (fd >= 0)
		disk.tmpfs[fd] = strstr(path, "/" RECORDING_TMPFS "/") != NULL;
	if (fd >= 0 && disk.recording)
		note_open(path, fd, flags, existed);
	pthread_mutex_unlock(&disk.lock);
	errno = open_errno;
	return fd;
}

int disk_read(int fd, void *data, size_t size, uint64_t offset)
{
	pthread_mutex_lock(&disk.lock);
	bool fails = must_fail(CALL_READ);
	pthread_mutex_unlock(&disk.lock);
	return fails ? -1 : file_pread_full(fd, data, size, (off_t)offset);
}

/* A first part of a write, up to the end of a sector. */
static size_t half_of(uint64_t offset, size_t size)
{
	uint64_t end = (offset + size / 2) / SECTOR_SIZE * SECTOR_SIZE;
	return end > offset ? end - offset : 0;
}

/* The caller holds the lock. */
static int write_recorded(int fd, const void *data, size_t size, uint64_t offset)
{
	int64_t node = node_of(fd);
	bool fails = must_fail(CALL_ALLOCATE);
	int fault_errno = errno;
	if (fails && disk.fault == FAULT_SHORT)
		size = half_of(offset, size);
	else if (fails)
		return -1;
	if (size && file_pwrite_full(fd, data, size, (off_t)offset))
		return -1;
	if (node >= 0 && size) {
		note_stores();
		recording_add_data(disk.recording, (uint32_t)node, offset, data, size, false);
	}
	errno = fault_errno;
	return fails ? -1 : 0;
}

int disk_write(int fd, const void *data, size_t size, uint64_t offset)
{
	pthread_mutex_lock(&disk.lock);
	int result = write_recorded(fd, data, size, offset);
	pthread_mutex_unlock(&disk.lock);
	return result;
}

int disk_write_parts(int fd, struct iovec *parts, int count, uint64_t offset)
{
	size_t size = 0;
	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	uint8_t *whole = memory_alloc(size ? size : 1);
	size = 0;
	for (int i = 0; i < count; i++) {
		memcpy(whole + size, parts[i].iov_base, parts[i].iov_len);
		size += parts[i].iov_len;
	}
	int result = disk_write(fd, whole, size, offset);
	int write_errno = errno;
	free(whole);
	errno = write_errno;
	return result;
}

/* A sync of any kind. The caller holds the lock. */
static int sync_recorded(int64_t node, enum operation_kind kind, uint64_t offset, uint64_t size)
{
	bool fails = must_fail(CALL_SYNC);
	int fault_errno = errno;
	if (node >= 0) {
		note_stores();
		if (!fails)
			recording_add_change(disk.recording, kind, (uint32_t)node, offset, size);
		else if (kind != OPERATION_SYNC_FOLDER)
			recording_add_change(
				disk.recording, OPERATION_SYNC_FAILED, (uint32_t)node, offset, size);
	}
	errno = fault_errno;
	return fails ? -1 : 0;
}

/* After a failed sync the kernel takes the pages for written, and may drop them from memory whenever it likes. Here it does at once. */
static void forget_unwritten(int fd)
{
	int64_t node = node_of(fd);
	if (node < 0)
		return;
	struct crash_builder *builder = crash_builder_create(disk.recording);
	crash_builder_advance(builder, disk.recording->count);
	crash_builder_restore(builder, (uint32_t)node, fd);
	crash_builder_destroy(builder);
}

int disk_sync(int fd)
{
	pthread_mutex_lock(&disk.lock);
	int result = sync_recorded(node_of(fd), OPERATION_SYNC, 0, UINT64_MAX);
	int sync_errno = errno;
	if (result)
		forget_unwritten(fd);
	errno = sync_errno;
	pthread_mutex_unlock(&disk.lock);
	return result;
}

/* Files that others write (SQLite's) keep in memory what a failed sync of theirs has lost, as most file systems do, until this. */
void disk_forget_cached(int fd)
{
	pthread_mutex_lock(&disk.lock);
	if (disk.failed)
		forget_unwritten(fd);
	pthread_mutex_unlock(&disk.lock);
}

void disk_start_writing(int fd, uint64_t offset, uint64_t size)
{
	(void)fd;
	(void)offset;
	(void)size;
}

/* Pages that get memory in a mapped file are watched from now on. */
static void watch_range(int64_t node, uint64_t offset, uint64_t size)
{
	for (int i = 0; i < MAPPING_LIMIT; i++)
		if (disk.mappings[i].address && disk.mappings[i].node == node)
			for (uint64_t at = offset; at < offset + size; at += PAGE)
				watch_page(&disk.mappings[i], at / PAGE);
}

static const uint8_t zero_page[PAGE];

/* Reserved pages of a tmpfs count as holes until they are touched; these are told from holes, here and in what is built from the recording. */
static int write_zeros(int fd, uint64_t offset, uint64_t size)
{
	for (uint64_t at = offset; at < offset + size; at += PAGE)
		if (file_pwrite_full(fd, zero_page, PAGE, (off_t)at))
			return -1;
	return 0;
}

int disk_reserve(int fd, uint64_t offset, uint64_t size)
{
	struct stat status;
	pthread_mutex_lock(&disk.lock);
	int64_t node = node_of(fd);
	bool tmpfs = disk.tmpfs[fd];
	int result = -1;
	if (must_fail(CALL_ALLOCATE) || fstat(fd, &status))
		goto out;
	if (tmpfs)
		result = write_zeros(fd, offset, size);
	else
		result = (uint64_t)status.st_size < offset + size ? ftruncate(fd, (off_t)(offset + size)) : 0;
	if (result || node < 0)
		goto out;
	note_stores();
	if (tmpfs) {
		watch_range(node, offset, size);
		for (uint64_t at = offset; at < offset + size; at += PAGE)
			recording_add_data(disk.recording, (uint32_t)node, at, zero_page, PAGE, false);
	} else {
		recording_add_change(disk.recording, OPERATION_EXTEND, (uint32_t)node, 0, offset + size);
	}
out:
	pthread_mutex_unlock(&disk.lock);
	return result;
}

int disk_punch(int fd, uint64_t offset, uint64_t size)
{
	pthread_mutex_lock(&disk.lock);
	int64_t node = node_of(fd);
	int result = must_fail(CALL_WRITE)
		? -1
		: fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
	if (!result && node >= 0) {
		note_stores();
		recording_add_change(disk.recording, OPERATION_PUNCH, (uint32_t)node, offset, size);
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

int disk_truncate(int fd, uint64_t size)
{
	pthread_mutex_lock(&disk.lock);
	int64_t node = node_of(fd);
	int result = must_fail(CALL_WRITE) ? -1 : ftruncate(fd, (off_t)size);
	if (!result && node >= 0) {
		note_stores();
		recording_add_change(disk.recording, OPERATION_TRUNCATE, (uint32_t)node, 0, size);
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

int disk_next_data(int fd, uint64_t *offset, uint64_t *end)
{
	pthread_mutex_lock(&disk.lock);
	bool fails = must_fail(CALL_READ);
	pthread_mutex_unlock(&disk.lock);
	off_t start = fails ? -1 : lseek(fd, (off_t)*offset, SEEK_DATA);
	if (start < 0)
		return !fails && errno == ENXIO ? 0 : -1;
	off_t stop = lseek(fd, start, SEEK_HOLE);
	if (stop < 0)
		return -1;
	*offset = (uint64_t)start;
	*end = (uint64_t)stop;
	return 1;
}

int disk_rename(const char *from, const char *to)
{
	const char *name, *to_name;
	pthread_mutex_lock(&disk.lock);
	int result = must_fail(CALL_NAME) ? -1 : rename(from, to);
	if (!result && disk.recording) {
		int64_t folder = recording_find_folder(disk.recording, from, &name);
		int64_t to_folder = recording_find_folder(disk.recording, to, &to_name);
		note_stores();
		if (folder >= 0 && to_folder >= 0)
			recording_add_rename(
				disk.recording, (uint32_t)folder, name, (uint32_t)to_folder, to_name);
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

static int remove_recorded(const char *path, int flags)
{
	const char *name;
	pthread_mutex_lock(&disk.lock);
	int result = must_fail(CALL_NAME) ? -1 : unlinkat(AT_FDCWD, path, flags);
	int64_t folder = !result && disk.recording ? recording_find_folder(disk.recording, path, &name) : -1;
	if (folder >= 0) {
		note_stores();
		recording_add_remove(disk.recording, (uint32_t)folder, name);
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

int disk_remove(const char *path)
{
	return remove_recorded(path, 0);
}

int disk_remove_folder(const char *path)
{
	return remove_recorded(path, AT_REMOVEDIR);
}

int disk_make_folder(const char *path, mode_t mode)
{
	const char *name;
	pthread_mutex_lock(&disk.lock);
	int result = must_fail(CALL_ALLOCATE) ? -1 : mkdir(path, mode);
	int64_t folder = !result && disk.recording ? recording_find_folder(disk.recording, path, &name) : -1;
	if (folder >= 0) {
		note_stores();
		recording_add_create(disk.recording, (uint32_t)folder, name, true);
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

int disk_sync_folder(const char *path)
{
	pthread_mutex_lock(&disk.lock);
	int64_t node = disk.recording ? recording_find(disk.recording, path) : -1;
	int result = sync_recorded(node, OPERATION_SYNC_FOLDER, 0, 0);
	pthread_mutex_unlock(&disk.lock);
	return result;
}

/* Pages that have memory, or all of a file on the disk. The caller holds the lock. */
static void watch_mapping(int fd, uint32_t node, uint8_t *address, size_t size)
{
	int i = 0;
	while (i < MAPPING_LIMIT && disk.mappings[i].address)
		i++;
	if (i == MAPPING_LIMIT)
		abort();
	disk.mappings[i] = (struct mapping){ .address = address, .node = node };
	if (!disk.recording->nodes[node].tmpfs) {
		watch_range(node, 0, size);
		return;
	}
	for (off_t at = lseek(fd, 0, SEEK_DATA), end; at >= 0; at = lseek(fd, end, SEEK_DATA)) {
		end = lseek(fd, at, SEEK_HOLE);
		watch_range(node, (uint64_t)at, (uint64_t)(end - at));
	}
}

void *disk_map(int fd, size_t size, bool writable)
{
	pthread_mutex_lock(&disk.lock);
	int64_t node = node_of(fd);
	void *mapping = must_fail(CALL_READ) ? MAP_FAILED
					     : mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
						       MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (mapping != MAP_FAILED && node >= 0 && writable) {
		note_stores();
		watch_mapping(fd, (uint32_t)node, mapping, size);
	}
	pthread_mutex_unlock(&disk.lock);
	return mapping == MAP_FAILED ? NULL : mapping;
}

void disk_unmap(void *mapping, size_t size)
{
	pthread_mutex_lock(&disk.lock);
	for (int i = 0; i < MAPPING_LIMIT; i++) {
		if (disk.mappings[i].address != mapping)
			continue;
		note_stores();
		forget_mapping(&disk.mappings[i]);
	}
	munmap(mapping, size);
	pthread_mutex_unlock(&disk.lock);
}

int disk_sync_map(void *mapping, size_t offset, size_t size)
{
	int64_t node = -1;
	pthread_mutex_lock(&disk.lock);
	for (int i = 0; i < MAPPING_LIMIT; i++)
		if (disk.mappings[i].address == mapping)
			node = disk.mappings[i].node;
	int result = sync_recorded(node, OPERATION_SYNC_RANGE, offset, size);
	pthread_mutex_unlock(&disk.lock);
	return result;
}

void disk_boot_id(char id[DISK_BOOT_ID_SIZE])
{
	memset(id, 0, DISK_BOOT_ID_SIZE);
	snprintf(id, DISK_BOOT_ID_SIZE, "boot-%u", disk.boot);
}
