/*
 * Scanning a whole disk: partitions, file systems, files. Runs in a process of its own (main.c) and, over files, in tests. Reads hostile bytes; one thread; memory is bounded by the limits below and by what libext2fs needs for one
 * file system.
 */
#pragma once

#include "gate/disk.h"
#include "gate/rules.h"

enum {
	GATE_FINDINGS_MAX = 1000,
	GATE_PATHS_MAX = 256 *
		1024, /* bytes of all findings' paths: they go into one record, of at most 1 MiB of JSON */
	GATE_ENTRIES_MAX = 4000000, /* names that are looked at, of the whole disk */
	GATE_FOLDERS_MAX = 500000,  /* of a file system */
	GATE_DEPTH_MAX = 64,
	GATE_PARTITION_MAX = 1024,
};
#define GATE_READ_MAX (4ULL << 30) /* bytes of files, of the whole disk */

/* Called for each finding, as they come. */
typedef void gate_found(void *context, const struct gate_finding *finding);

struct gate_scan {
	struct gate_disk *disk;
	gate_found *found;
	void *context;
	uint64_t files, entries, bytes_read;
	unsigned findings;
	size_t path_bytes;
	bool stopped; /* a limit is reached; it has been reported */
};

/* Scans the disk; whatever happens ends up as findings. */
void gate_scan_run(struct gate_scan *scan);

/* For those who look into a file system. `path` NULL: the whole file system. */
void gate_scan_report(
	struct gate_scan *scan, unsigned partition, unsigned rule, enum gate_reason reason, const char *path);
void gate_scan_unreadable(
	struct gate_scan *scan, unsigned partition, enum gate_reason reason, const char *path);
/* Reports that a limit was reached, and stops the scan. */
void gate_scan_stop(struct gate_scan *scan, unsigned partition, const char *path);
