/* amid's side of a scan: starts the scanner's process, serves it the disk, takes down what it finds. Safe from every thread; blocks until the scan is over. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "gate/disk.h"
#include "gate/rules.h"

/* Where blocks come from. *zeros may be set instead of filling `block` (GATE_BLOCK_SIZE bytes, less in the last one). */
struct gate_source {
	uint64_t size; /* bytes of the disk */
	int (*read)(void *context, uint64_t index, void *block, bool *zeros, struct error *err);
	void *context;
};

struct gate_report {
	struct gate_finding *findings; /* the arena's; paths are printable UTF-8 */
	size_t count;
	uint64_t files, bytes_read;
};

/*
 * Scans. `stop_fd` ends it when it becomes readable (-1: nothing does): ERROR_UNAVAILABLE. A block that the source does not have ends it with the source's error: half a disk is no disk. A scanner that dies, or says what makes no sense,
 * or takes longer than it may, is a finding (GATE_REASON_SCANNER) beside what it had found. Other errors: it could not be started.
 */
int gate_scanner_run(const char *program, const struct gate_source *source, int stop_fd, struct arena *arena,
	struct gate_report *report, struct error *err);
