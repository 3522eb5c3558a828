/*
 * Reading qcow2 files (versions 2 and 3), bounded: everything in a file is taken as hostile. Refused from the header alone, before anything else is read: a backing file, an external data file, encryption, an
 * unknown incompatible feature, a size over QCOW2_SIZE_MAX, tables that do not fit. No other program or file is opened.
 *
 * Read-only and without state after opening, so safe from every thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct qcow2;

#define QCOW2_SIZE_MAX (UINT64_C(64) << 40) /* bytes: 64 TiB */

/* Whether a file that begins with these bytes says it is qcow2. */
bool qcow2_is(const void *start, size_t size);
/* `fd` stays the caller's and must outlive it. ERROR_UNSUPPORTED: a kind of qcow2 that is refused; ERROR_CORRUPT: not a sound one. */
int qcow2_open(int fd, struct qcow2 **qcow2, struct error *err);
void qcow2_close(struct qcow2 *qcow2);          /* NULL is legal */
uint64_t qcow2_size(const struct qcow2 *qcow2); /* of the disk, in bytes */
/* The first offset at or after `offset` that may hold data; the disk's size if there is none. Looks at the top table only. */
uint64_t qcow2_next(const struct qcow2 *qcow2, uint64_t offset);
/* Reads `size` bytes at `offset` of the disk, zeros behind its end. *empty: they are all zeros because nothing is there, and `data` was not touched. */
int qcow2_read(
	const struct qcow2 *qcow2, uint64_t offset, void *data, size_t size, bool *empty, struct error *err);
