/*
 * The audit trail being written: records are appended from many threads, one thread chains, writes and syncs them in groups. Append-only: what is in a file is never changed; a torn end is cut off when it is
 * opened.
 *
 * Who appends a record of something that must not be lost waits for audit_log_sync before the world hears of it; the others' records follow within AUDIT_DELAY_MS.
 *
 * If the disk is full or fails, nothing is dropped: records stay in memory, writing is tried again every second, and audit_log_admit refuses what would make more of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct audit_log;

enum { AUDIT_DELAY_MS = 1000, AUDIT_WORDS_MAX = 128 };

/* The time and the words of a record, from its JSON: for what was appended and not indexed before a crash. -1: it has none. */
typedef int audit_describe(
	const char *event, size_t size, int64_t *time_ms, uint64_t words[AUDIT_WORDS_MAX], size_t *count);

/* `keep_days`: files of days before that are removed; 0: never. One opener at a time (the caller holds the data folder's lock). */
int audit_log_open(const char *folder, unsigned keep_days, audit_describe *describe, struct audit_log **log,
	struct error *err);
/* Writes what is left. NULL is legal. */
void audit_log_close(struct audit_log *log);

/*
 * Whether something may be done that has to be recorded: asked before it is done. ERROR_UNAVAILABLE or ERROR_NO_SPACE. While the disk is full, what only reads (`writing` false) is admitted as long as there is
 * room for its record in memory.
 */
int audit_log_admit(struct audit_log *log, bool writing, struct error *err);
/* Appends a record: one JSON object without newlines, at most AUDIT_EVENT_MAX bytes. Returns its number. Does not wait, cannot fail. */
uint64_t audit_log_append(struct audit_log *log, int64_t time_ms, const char *event, size_t size,
	const uint64_t *words, size_t word_count);
/* Returns when the record of that number and all before it are durable; -1 if they cannot be written (they are still tried). 0 means the newest one. */
int audit_log_sync(struct audit_log *log, uint64_t number, struct error *err);
const char *audit_log_folder(const struct audit_log *log);
