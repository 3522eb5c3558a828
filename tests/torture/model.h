/*
 * What a guest may find on its disk: every change it made, what was acknowledged and what was flushed, each with its position in the recording. From that, for a crash at any position, the contents
 * that each sector may have.
 *
 * A change fills each sector with a word of its own, repeated; so a sector tells who wrote it, and half a sector is found out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crash.h"

struct model_change {
	uint64_t begin, end; /* positions */
	bool failed;
	uint64_t offset, size; /* bytes, multiples of a sector */
	uint32_t id;           /* 0: zeros */
};

struct model_flush {
	uint64_t end;
	size_t changes; /* those before it */
};

struct model {
	struct model_change *changes;
	size_t change_count;
	struct model_flush *flushes;
	size_t flush_count;
};

/* The data of the next change, into `data`; NULL: zeros. Followed by model_end when it was tried. */
void model_begin(struct model *model, void *data, uint64_t offset, uint64_t size);
void model_end(struct model *model, bool failed);
/* A flush that succeeded; all changes so far are durable. */
void model_flushed(struct model *model, size_t changes);
/* A sync failed: of what was not flushed before nothing is certain any more, as the kernel may have dropped it. */
void model_sync_failed(struct model *model);
void model_free(struct model *model);

/* Whether `data`, read at `offset`, is something that may be found after a crash at `position`. */
int model_check(const struct model *model, uint64_t position, enum crash_kind kind, const void *data,
	uint64_t offset, uint64_t size, struct error *err);
/* The same for a snapshot taken after the first `changes` of them, without a crash. */
int model_check_snapshot(const struct model *model, size_t changes, const void *data, uint64_t offset,
	uint64_t size, struct error *err);
