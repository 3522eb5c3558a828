/* Reading the trail, newest first, by words. Any thread, while it is written: what has been written when the search begins is seen. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "audit/format.h"

/* Where a record stands; the search goes on before it. */
struct audit_place {
	char file[AUDIT_NAME_SIZE]; /* "": behind the newest */
	uint64_t offset;
};

struct audit_search {
	const uint64_t *words; /* all of them must be words of a record (may be: the caller looks closely) */
	size_t word_count;
	int64_t from_ms, to_ms; /* of its time, both included; to 0: no limit */
	struct audit_place before;
	/* Is given each record that may be wanted (others too); false: enough. `event` is JSON, not ended by NUL, and gone afterwards. */
	bool (*found)(void *context, const char *event, size_t size, const struct audit_place *place);
	void *context;
};

int audit_search(const char *folder, const struct audit_search *search, struct error *err);
