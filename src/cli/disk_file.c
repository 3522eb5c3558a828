/* Disk files: finding out what one is, and reading it. Raw files are read where SEEK_DATA says there is something; qcow2 is qcow2.c's business. */
#include "cli/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/qcow2.h"
#include "base/banned.h"

enum { START_SIZE = 1024, VHD_FOOTER = 512 };

struct disk_file {
	char *path;
	int fd;
	uint64_t size;
	struct qcow2 *qcow2; /* NULL: raw */
};

/* Other formats by what stands in them. */
static const struct {
	const char *name;
	size_t at;
	const char *magic;
	size_t size;
} formats[] = {
	{ "VMDK", 0, "KDMV", 4 },
	{ "VMDK", 0, "COWD", 4 },
	{ "VMDK", 0, "# Disk DescriptorFile", 21 },
	{ "VHDX", 0, "vhdxfile", 8 },
	{ "VHD", 0, "conectix", 8 },
	{ "VDI", 64, "\x7f\x10\xda\xbe", 4 },
	{ "QED", 0, "QED\0", 4 },
	{ "OVA or tar", 257, "ustar", 5 },
	{ "gzip-compressed", 0, "\x1f\x8b\x08", 3 },
	{ "xz-compressed", 0,
		"\xfd"
		"7zXZ\0",
		6 },
	{ "zstd-compressed", 0, "\x28\xb5\x2f\xfd", 4 },
	{ "bzip2-compressed", 0, "BZh", 3 },
};

static const char *find_format(const struct disk_file *disk, const uint8_t *start, size_t size)
{
	uint8_t footer[8];
	if (qcow2_is(start, size))
		return "qcow2";
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (formats[i].at + formats[i].size <= size &&
			memcmp(start + formats[i].at, formats[i].magic, formats[i].size) == 0)
			return formats[i].name;
	/* a fixed VHD is a raw disk with a footer */
	if (disk->size > VHD_FOOTER &&
		file_pread_full(disk->fd, footer, sizeof footer, (off_t)(disk->size - VHD_FOOTER)) == 0 &&
		memcmp(footer, "conectix", sizeof footer) == 0)
		return "VHD";
	return "raw";
}

static int choose_format(const struct disk_file *disk, const char **format, struct error *err)
{
	uint8_t start[START_SIZE];
	size_t size = disk->size < sizeof start ? (size_t)disk->size : sizeof start;
	if (file_pread_full(disk->fd, start, size, 0))
		return error_set_errno(err, errno, "cannot read %s", disk->path);
	const char *found = find_format(disk, start, size);
	if (*format && strcmp(*format, "raw") == 0)
		return 0;
	if (*format && strcmp(*format, found) != 0)
		return error_set(err, ERROR_INVALID, "%s is not %s, but %s", disk->path, *format, found);
	if (strcmp(found, "raw") != 0 && strcmp(found, "qcow2") != 0)
		return error_set(err, ERROR_UNSUPPORTED,
			"%s is a %s file, which is not supported yet; convert it to raw or qcow2", disk->path,
			found);
	*format = found;
	return 0;
}

static int open_file(struct disk_file *disk, struct error *err)
{
	struct stat status;
	/* O_NONBLOCK: do not wait for the other end of what turns out to be a pipe */
	disk->fd = open(disk->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (disk->fd < 0 || fstat(disk->fd, &status))
		return error_set_errno(err, errno, "cannot read %s", disk->path);
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return error_set(
			err, ERROR_INVALID, "cannot read %s: neither a file nor a block device", disk->path);
	off_t size = lseek(disk->fd, 0, SEEK_END);
	if (size <= 0)
		return error_set(err, ERROR_INVALID, "cannot read %s: it is empty", disk->path);
	disk->size = (uint64_t)size;
	return 0;
}

static int open_checked(struct disk_file *disk, const char *format, struct error *err)
{
	if (open_file(disk, err) || choose_format(disk, &format, err))
		return -1;
	if (strcmp(format, "qcow2") == 0) {
		if (qcow2_open(disk->fd, &disk->qcow2, err))
			return error_prefix(err, "cannot import %s", disk->path);
		disk->size = qcow2_size(disk->qcow2);
	}
	if (disk->size > QCOW2_SIZE_MAX)
		return error_set(
			err, ERROR_INVALID, "cannot import %s: it is larger than 64 TiB", disk->path);
	return 0;
}

int disk_file_open(const char *path, const char *format, struct disk_file **result, struct error *err)
{
	struct disk_file *disk = memory_alloc(sizeof *disk);
	*disk = (struct disk_file){ .path = memory_strdup(path), .fd = -1 };
	if (open_checked(disk, format, err)) {
		disk_file_close(disk);
		return -1;
	}
	*result = disk;
	return 0;
}

void disk_file_close(struct disk_file *disk)
{
	if (!disk)
		return;
	qcow2_close(disk->qcow2);
	if (disk->fd >= 0)
		close(disk->fd);
	free(disk->path);
	free(disk);
}

uint64_t disk_file_size(const struct disk_file *disk)
{
	return disk->size;
}

uint64_t disk_file_block_count(const struct disk_file *disk)
{
	return (disk->size + DISK_BLOCK_SIZE - 1) / DISK_BLOCK_SIZE;
}

uint64_t disk_file_next(struct disk_file *disk, uint64_t index)
{
	uint64_t offset = index * DISK_BLOCK_SIZE, count = disk_file_block_count(disk);
	if (index >= count)
		return count;
	if (disk->qcow2) {
		offset = qcow2_next(disk->qcow2, offset);
	} else {
		off_t data = lseek(disk->fd, (off_t)offset, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return count;
		if (data >= 0) /* where holes are not told, all is data */
			offset = (uint64_t)data;
	}
	uint64_t found = offset >= disk->size ? count : offset / DISK_BLOCK_SIZE;
	return found > index ? found : index;
}

static bool is_zero(const char *data, size_t size)
{
	return !*data && memcmp(data, data + 1, size - 1) == 0;
}

int disk_file_read(struct disk_file *disk, uint64_t index, void *block, bool *zero, struct error *err)
{
	uint64_t offset = index * DISK_BLOCK_SIZE, left = disk->size - offset;
	size_t size = left < DISK_BLOCK_SIZE ? (size_t)left : DISK_BLOCK_SIZE;
	*zero = false;
	if (disk->qcow2) {
		if (qcow2_read(disk->qcow2, offset, block, DISK_BLOCK_SIZE, zero, err))
			return error_prefix(err, "cannot import %s", disk->path);
	} else {
		if (file_pread_full(disk->fd, block, size, (off_t)offset))
			return error_set_errno(err, errno, "cannot read %s at byte %llu", disk->path,
				(unsigned long long)offset);
		memset((char *)block + size, 0, DISK_BLOCK_SIZE - size);
	}
	*zero = *zero || is_zero(block, DISK_BLOCK_SIZE);
	return 0;
}
