/* Where the trail goes on after a start: the end of what is whole. For log.c. */
#pragma once

#include "audit/format.h"

struct audit_end {
	struct audit_head head;
	bool fresh;     /* there was no trail */
	bool truncated; /* less is there than was synced: the next line will refer to the line that is missing, so that audit_verify sees it */
};

/*
 * Reads on from the head: lines behind it that belong to the chain are taken, a torn end is cut off (files and parts of files behind it too). Changes nothing else.
 */
int audit_recover(const char *folder, struct audit_end *end, struct error *err);
