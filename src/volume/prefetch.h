/*
 * Recording a boot's trace, and reading ahead: by the trace of an earlier one, or what was just captured; all in threads of their own, in a volume server. They end by themselves, at the latest with the process. For the
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
/*
 * After a capture. What a guest wrote lately is in the page cache as part of layers that the rebase drops, and lies in packs then, written past the cache. prefetch_note, before the rebase, notes the first 256 blocks or so that the
 * layers up to `layer` have in the cache; prefetch_noted, after it, reads and verifies them, and takes `noted`. `rebased` false: it does not.
 */
struct prefetch_task;
struct prefetch_task *prefetch_note(struct volume *volume, uint64_t layer);
void prefetch_noted(struct prefetch_task *noted, bool rebased);
/* Waits until none is under way; with `end` all come to theirs at once, and none begins any more. */
void prefetch_wait(struct volume *volume, bool end);
