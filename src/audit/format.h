/*
 * The audit trail on disk (docs/design/audit.md): names of its files, lines, the head file. Pure text; any thread.
 *
 *	DATA/audit/2026-11-21.0001.log     a line a record: {"previous":"SHA-256 of the line before","event":{...}}
 *	DATA/audit/2026-11-21.0001.index   which words stand where (block.h); can be lost
 *	DATA/audit/head                    where the trail began and how far it was synced, with the digest of the last line
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"

enum {
	AUDIT_NAME_SIZE = 20,         /* of "2026-11-21.0001.log" with its NUL */
	AUDIT_EVENT_MAX = 256 * 1024, /* of a record's JSON */
	AUDIT_LINE_MAX = AUDIT_EVENT_MAX + 128,
	AUDIT_FILE_MAX = 64 * 1024 * 1024, /* then the next file begins */
	AUDIT_HEAD_SIZE = 512,
};

/* A name of day and number; names compare as texts in the order of the trail. */
void audit_name_make(int64_t day_ms, unsigned number, char name[AUDIT_NAME_SIZE]);
/* 0, and the day's text's number; -1: it is no such name. */
int audit_name_parse(const char *name, unsigned *number);
/* The names in a folder, oldest first. */
int audit_name_list(const char *folder, struct arena *arena, char ***names, size_t *count, struct error *err);

struct audit_line {
	struct digest previous;
	const char *event; /* not ended by NUL */
	size_t event_size;
};
/* Appends a line with its newline, and makes *digest that of this line. `digest` on entry is that of the line before. */
void audit_line_make(struct buffer *out, const char *event, size_t size, struct digest *digest);
/* A line without its newline. -1: it is none of ours. */
int audit_line_parse(const char *line, size_t size, struct audit_line *parsed);
void audit_line_digest(const char *line, size_t size, struct digest *digest);

struct audit_head {
	char first[AUDIT_NAME_SIZE]; /* the oldest file that was kept; "" with no file yet */
	struct digest base;          /* what the first line of that file has as its previous one */
	char file[AUDIT_NAME_SIZE];  /* the file written last; "" with no file yet */
	uint64_t size;               /* how much of it was synced */
	struct digest last;          /* of the line that ends there */
};
/* Always AUDIT_HEAD_SIZE bytes of text. */
void audit_head_make(const struct audit_head *head, char text[AUDIT_HEAD_SIZE]);
/* -1: damaged. */
int audit_head_parse(const char *text, size_t size, struct audit_head *head);
/* *found false: there is none. ERROR_CORRUPT: it is damaged. */
int audit_head_read(const char *folder, struct audit_head *head, bool *found, struct error *err);
