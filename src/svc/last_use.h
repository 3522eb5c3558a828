/*
 * When access keys and roles were last used, for which service and region, and images last launched. Uses are gathered in memory and written to the records (access_key, iam_role, image) a minute after the first of them, in one
 * commit, and when the server ends; a crash loses a minute at most. So calls that use the same thing do not wait for each other, nor conflict. Whoever shows a time of last use looks here first.
 *
 * Safe from every thread. NULL for `uses` is legal everywhere: nothing is noted, nothing found.
 */
#pragma once

#include <stdbool.h>

#include "meta/meta.h"

struct last_uses;

enum { LAST_USE_SERVICE_SIZE = 32, LAST_USE_REGION_SIZE = 32 };

struct last_use {
	int64_t time_ms;
	char service[LAST_USE_SERVICE_SIZE]; /* "ec2" */
	char region[LAST_USE_REGION_SIZE];
};

/* Starts the thread that writes. */
int last_use_open(struct meta *meta, struct last_uses **uses, struct error *err);
/* Writes what there is. */
void last_use_close(struct last_uses *uses);
/* Now, by amid's clock. `kind` is &record_access_key, &record_iam_role or &record_image; quick. */
void last_use_note(struct last_uses *uses, const struct record_kind *kind, const char *id,
	const char *service, const char *region);
/* A use that the record may not have yet; false: the record tells. */
bool last_use_find(
	struct last_uses *uses, const struct record_kind *kind, const char *id, struct last_use *use);
/* Writes what was noted so far. */
int last_use_write(struct last_uses *uses, struct error *err);
