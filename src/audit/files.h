/* The file that the trail is written to, its index and the head. For log.c: one thread. */
#pragma once

#include "audit/block.h"
#include "audit/log.h"
#include "audit/recover.h"

struct audit_files {
	char *folder;
	unsigned keep_days;
	struct audit_head head;
	int fd, index_fd, head_fd; /* fd -1: the next record begins a file */
	uint64_t allocated;        /* room made in the file beyond its end */
	struct audit_block block;  /* being filled */
	bool broken; /* a sync has failed: what is on the disk nobody knows, so nothing more is written */
};

/* One record on its way to the file. */
struct audit_record {
	struct audit_record *next;
	uint64_t number;
	int64_t time_ms;
	size_t size, word_count;
	uint64_t words[];
	/* behind the words: the JSON */
};
static inline char *audit_record_event(struct audit_record *record)
{
	return (char *)(record->words + record->word_count);
}

int audit_files_open(const char *folder, unsigned keep_days, audit_describe *describe,
	struct audit_files *files, struct error *err);
void audit_files_close(struct audit_files *files);
/*
 * Writes the first records of a list, as many as go into one file (at most `most` bytes), durably, and moves *list behind them. -1: none of them was written (or, files->broken, nobody knows).
 */
int audit_files_write(struct audit_files *files, struct audit_record **list, size_t most, struct error *err);
/* Makes room beyond the end, so that what is under way still finds a place on a full disk. Whether there is enough of it. */
bool audit_files_reserve(struct audit_files *files);
