/*
 * What a crash leaves: builds, from a recording, the folder as it is found after a crash behind any of its operations.
 *
 * The death of the process loses nothing of what was done. A loss of power keeps what was synced; of what was not, the seed decides for each operation of its own:
 *  - data (writes, holes, lengths, stores into mapped files): kept, lost, or torn, a part of its sectors of 512 bytes on the disk and the rest not; so of two writes to one place the older may be found, and a later
 *    operation without an earlier one;
 *  - names (made, renamed, removed): kept or lost whole. They become durable when the folder is synced, and by nothing else: that of the file is not enough;
 *  - the folder that stands for a tmpfs is empty.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "recording.h"

enum crash_kind { CRASH_PROCESS, CRASH_POWER };

struct crash_builder;

struct crash_builder *crash_builder_create(const struct recording *recording);
void crash_builder_destroy(struct crash_builder *builder);
/* Goes on to the crash behind the first `position` operations; never back. */
void crash_builder_advance(struct crash_builder *builder, size_t position);
/* Decides what is lost. Two plans for the same position whose fingerprints are equal leave the same. */
uint64_t crash_builder_plan(struct crash_builder *builder, enum crash_kind kind, uint64_t seed);
/* Writes what the plan says into a folder, which must be empty. */
void crash_builder_build(const struct crash_builder *builder, const char *folder);

/* Makes a file, open for writing, what it is when only the disk has it: durable, and after that what is yet to be written. */
void crash_builder_restore(const struct crash_builder *builder, uint32_t node, int fd);

/* A small generator: the next number of a seed. */
uint64_t random_next(uint64_t *seed);
