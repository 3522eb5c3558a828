/* What the snapshot controller does, a file for each; nobody else includes this. */
#pragma once

#include "svc/amid.h"
#include "api/records.h"

struct snapshot_view {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct snapshot_record *snapshot;
};

/* Puts the record as it is now. The view must not be used again: the change brings another look. */
int snapshot_view_commit(struct snapshot_view *view, struct error *err);

/* copy.c: brings some more blocks of a copy, or completes it. */
int snapshot_copy_step(struct snapshot_view *view, struct error *err);
