/*
 * What a volume's writes may take from the disk: nothing of its reserve. For the volume folder only. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/space.h"

struct volume_space {
	struct space_reserve reserve; /* set before the first write */
	_Atomic int64_t budget;       /* bytes that may be taken before the disk is asked again */
	_Atomic bool refusing;
};

/* Before a write that takes up to `bytes` more. ERROR_NO_SPACE if that would touch the reserve; the first such refusal is logged, and the first write that passes after it. */
int volume_space_take(struct volume_space *space, const char *folder, const char *volume, uint64_t bytes,
	struct error *err);
