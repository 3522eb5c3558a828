/*
 * What the secret gate looks for: the table of rules, by a file's path and content. docs/design/secret-gate.md shows it. No state; safe from every thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Goes up whenever a rule is added or finds more: what was scanned under an older version is scanned again. */
enum { GATE_RULES_VERSION = 1 };

enum {
	GATE_CONTENT_SIZE = 64 * 1024, /* bytes of a file that are looked at; larger files are no key files */
	GATE_PATH_SIZE = 1024,         /* of a path within its file system, with its NUL */
};

enum gate_severity {
	GATE_UNREADABLE, /* nothing was found, but nobody has looked */
	GATE_LOW,        /* says who worked there, and how */
	GATE_MEDIUM,     /* lets somebody in, or lets passwords be guessed */
	GATE_HIGH,       /* whoever has it can act as its owner */
};

struct gate_rule {
	const char *name;
	enum gate_severity severity;
	const char *advice; /* one line: what to do about it */
};

/* The rule of what could not be looked into; its findings have a reason. */
enum { GATE_RULE_UNREADABLE = 0 };

/* Why something was not looked into. */
enum gate_reason {
	GATE_REASON_NONE,
	GATE_REASON_XFS,
	GATE_REASON_BTRFS,
	GATE_REASON_FAT,
	GATE_REASON_NTFS,
	GATE_REASON_LUKS,
	GATE_REASON_LVM,
	GATE_REASON_RAID,
	GATE_REASON_SWAP,
	GATE_REASON_SQUASHFS,
	GATE_REASON_UNKNOWN, /* there are data, of no kind that is known */
	GATE_REASON_TABLE,   /* the partition table is damaged, or too long */
	GATE_REASON_DAMAGED, /* the file system, or the folder at `path` */
	GATE_REASON_JOURNAL, /* the journal has changes that are not in place yet: what they bring was not seen */
	GATE_REASON_ENCRYPTED, /* a folder or file that the file system encrypts */
	GATE_REASON_LIMIT,     /* too many files, folders, findings, or too deep */
	GATE_REASON_SCANNER,   /* the scanner has ended before it was through */
	GATE_REASON_COUNT,
};

/* One thing found; the path is the file's in its file system, never its content. */
struct gate_finding {
	unsigned rule;
	enum gate_reason reason;
	unsigned partition;        /* 0: the whole disk is one file system */
	char path[GATE_PATH_SIZE]; /* "": the whole file system */
};

size_t gate_rule_count(void);
const struct gate_rule *gate_rule(unsigned index);
const char *gate_severity_text(enum gate_severity severity);
const char *gate_reason_text(enum gate_reason reason);

/* Whether a folder is worth walking: not what packages and the kernel bring. */
bool gate_folder_is_walked(const char *path);
/*
 * What the rules want of a regular file of `size` bytes: GATE_WANT_CONTENT, its first GATE_CONTENT_SIZE bytes for gate_match; GATE_WANT_MATCH, no content, and gate_match tells by the path alone. `whole_is_home`: the file
 * system has no /etc, so all of it is data (a /home or /srv of its own).
 */
enum gate_want { GATE_WANT_NOTHING, GATE_WANT_MATCH, GATE_WANT_CONTENT };
enum gate_want gate_file_want(const char *path, uint64_t size, bool whole_is_home);
/* The first rule that a file breaks, or -1. `content` is NUL-terminated behind `content_size` bytes, "" if none was wanted. */
int gate_match(const char *path, uint64_t size, bool whole_is_home, const char *content, size_t content_size);
