/*
 * Whether a machine has a process, and which: a lock in the machine's folder that the process itself holds for as long as it lives, and a file in which it wrote
 * its own identity before it became QEMU. So a crash of amid at any point between fork and bookkeeping leaves nothing unknown.
 */
#pragma once

#include "base/error.h"
#include "base/process.h"

/*
 * Takes the lock for a new process. *fd is to be among the descriptors that the process keeps; then close it: the lock goes on with the process. ERROR_CONFLICT if a
 * process has it. The identity of an earlier process is forgotten.
 */
int process_lock_take(const char *folder, int *fd, struct error *err);
/*
 * Finds the process that holds the lock. ERROR_NOT_FOUND if none does. ERROR_UNAVAILABLE if one does but has not written its identity within a second, in which it writes it
 * unless the host is at a standstill.
 */
int process_lock_find(const char *folder, struct process *process, struct error *err);
/* The name, in the machine's folder, of the file with the identity: the line of /proc/PID/stat. */
extern const char process_lock_identity_file[];
