/* Checking that the trail is whole: each line refers to the one before, from the oldest file that is kept to beyond where the head says it was synced. Reads only; the server may run. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "audit/format.h"

struct audit_verdict {
	bool whole;
	char fault[512]; /* if not: the first fault, with file and line */
	uint64_t lines;  /* that are good, up to there */
	size_t files;
	struct digest
		last; /* of the last good line: noted elsewhere, it shows whether somebody has written the whole trail anew */
	bool torn; /* the last line is not complete: the server is writing it, or a crash came between and the next start cuts it off */
};

/* -1: it cannot be read. A folder that has never had a trail is whole. */
int audit_verify(const char *folder, struct audit_verdict *verdict, struct error *err);
