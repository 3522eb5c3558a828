/*
 * The disk that store, volumes and metadata are tortured on: base/disk.h with a recording of every change, calls that fail when told to, and boots that differ when told to. It works on
 * real files, in a folder on a tmpfs. One for the process, since disk.h has no place for another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "recording.h"

enum fault_kind {
	FAULT_NONE,
	FAULT_EIO,
	FAULT_ENOSPC,
	FAULT_SHORT,     /* a write that puts the first half, then fails; other calls: EIO */
	FAULT_ENOSPC_ON, /* the disk is full from then on; what needs no space works */
};

/* From here on changes are recorded: of recording_create or recording_fork, which simulated_disk_stop gives back. */
void simulated_disk_record(struct recording *recording);
/* Ends that; the recording is the caller's to destroy. */
struct recording *simulated_disk_stop(void);
/* How many operations there are: what was done before has its effects among them. 0 when nothing is recorded. */
uint64_t simulated_disk_position(void);

/* The call number `number` from now (the first is 0) fails, or all those from it on. */
void simulated_disk_fail(enum fault_kind kind, uint64_t number);
/* Calls counted since, and whether one failed. */
uint64_t simulated_disk_calls(void);
bool simulated_disk_has_failed(void);
/* Which boot of the machine this is. */
void simulated_disk_set_boot(unsigned boot);

/*
 * For those who change files by other ways (SQLite's): what a call is about to do counts as one, and may have to fail; whether it has to. Notes then say what was done; the path must be in the
 * folder that is recorded, else nothing is noted.
 */
enum call_kind { CALL_READ, CALL_WRITE, CALL_ALLOCATE, CALL_NAME, CALL_SYNC };
bool simulated_disk_must_fail(enum call_kind kind, int *error);
void simulated_disk_note_write(const char *path, uint64_t offset, const void *data, size_t size);
void simulated_disk_note_change(const char *path, enum operation_kind kind, uint64_t size);
void simulated_disk_note_name(const char *path, bool removed);
