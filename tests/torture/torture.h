/* What a scenario is, and what the torture's parts share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crash.h"
#include "simulated_disk.h"

/*
 * A piece of work on a disk, and what must be true of it after a crash. All runs of the same seed do the same. The folder given to `run` is empty but for an empty folder RECORDING_TMPFS; what `run` does below
 * it is recorded. It goes on after errors as amid would, and notes what was acknowledged, and at which position of the recording.
 */
struct scenario {
	const char *name;
	/* What has to be expected; freed by `destroy`. */
	void *(*run)(const char *folder, uint64_t seed);
	/* Opens what a crash left in `folder`, and looks whether all is there that was promised before `position`. Fails with what is wrong. The seed decides what else is tried then. */
	int (*verify)(void *expected, const char *folder, uint64_t position, enum crash_kind kind,
		uint64_t seed, struct error *err);
	void (*destroy)(void *expected);
	/* The first position worth a crash; NULL: the first. */
	uint64_t (*first)(void *expected);
};

extern const struct scenario scenario_volume, scenario_snapshot, scenario_store, scenario_import,
	scenario_copy, scenario_index, scenario_metadata, scenario_migration;

/* While set, threads cannot be started, so that a recording does not depend on their order; those who would like to have some do without. */
void torture_set_single_threaded(bool single);

/* A report of faults for store_check and its like: *context is a struct error that takes the first line. */
void torture_report(void *context, const char *line);
