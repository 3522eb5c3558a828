/* What a disk is divided into: partition tables (MBR with logical partitions, GPT), and what kind of content a stretch begins with. Reads hostile bytes; one thread. */
#pragma once

#include <stdbool.h>

#include "gate/disk.h"

enum { PARTITION_MAX = 128 };

/* A stretch of the disk; number 0 is the whole disk. */
struct partition {
	unsigned number;
	uint64_t offset, size; /* bytes, within the disk */
	bool is_loader;        /* by its type, room of a boot loader: no file system */
};

struct partition_table {
	struct partition items[PARTITION_MAX];
	unsigned count; /* 0: there is no table */
	bool damaged;   /* some of it makes no sense, or is too much; the items are what does */
};

/* -1: the disk cannot be read. */
int partition_table_read(struct gate_disk *disk, struct partition_table *table);

enum partition_content {
	CONTENT_NOTHING, /* the stretch is too short, or begins with zeros only */
	CONTENT_UNKNOWN,
	CONTENT_EXT,
	CONTENT_XFS,
	CONTENT_BTRFS,
	CONTENT_FAT,
	CONTENT_NTFS,
	CONTENT_LUKS,
	CONTENT_LVM,
	CONTENT_RAID,
	CONTENT_SWAP,
	CONTENT_SQUASHFS,
};

/* -1: the disk cannot be read. */
int partition_identify(
	struct gate_disk *disk, const struct partition *partition, enum partition_content *content);
