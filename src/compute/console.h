/* A machine's serial console as a file that QEMU appends to (FOLDER/console.log), kept from growing without bound. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum {
	CONSOLE_KEEP = 256 << 10, /* at least so much of the newest output stays */
	CONSOLE_TRIM = 1 << 20,   /* trimmed when larger than this */
	/* QEMU itself stops writing here: reached only while no amid runs to trim. */
	CONSOLE_LIMIT = 16 << 20,
};

/* The path of the console's file, in the arena. */
const char *console_path(struct arena *arena, const char *folder);
/* The newest `limit` bytes, NUL-terminated behind *size, and when the last were written. No console yet: *size 0, *modified_ms 0. */
int console_read(const char *folder, size_t limit, struct arena *arena, char **data, size_t *size,
	int64_t *modified_ms, struct error *err);
/* Drops the oldest output if the file has passed CONSOLE_TRIM. */
int console_trim(const char *folder, struct error *err);
