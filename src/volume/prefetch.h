/*
 * Recording a boot's trace, and reading ahead by the trace of an earlier one; both in threads of their own, in a volume server. They end by themselves, at the latest with the process. For the
 * volume folder only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct volume;

/*
 * For `ms` from now on (at most ten minutes) notes which blocks of the base are read, then writes the trace of `root` into `folder`, unless an earlier one has as many blocks. ERROR_CONFLICT if the volume stands on another root, or
 * one is being recorded.
 */
int prefetch_record(
	struct volume *volume, const char *folder, const struct digest *root, uint64_t ms, struct error *err);
/* Reads and verifies the blocks of the trace of `root`, in its order, at most `limit`. ERROR_NOT_FOUND if there is no trace. */
int prefetch_start(struct volume *volume, const char *folder, const struct digest *root, uint64_t limit,
	struct error *err);
/* Waits until neither is under way; with `end` both come to theirs at once, and none begins any more. */
void prefetch_wait(struct volume *volume, bool end);
