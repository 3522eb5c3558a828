/* A record kind to test with, tables written by hand: `thing` has every sort of index path there is. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "meta/meta.h"

struct part {
	const char *disk;
	struct shape_integer size;
};
struct thing_record {
	struct record record;
	const char *name;            /* unique */
	const char *state;           /* indexed */
	struct shape_integer number; /* indexed */
	struct shape_boolean flag;   /* indexed */
	struct shape_timestamp time; /* indexed */
	struct shape_blob bytes;
	struct part *origin; /* origin.disk is indexed */
	struct {
		struct part *items;
		size_t count;
		bool set;
	} parts; /* parts.disk is indexed */
	struct {
		const char **items;
		size_t count;
		bool set;
	} labels; /* indexed */
};
extern const struct record_kind record_thing;
/* `thing` as an older program declared it: no index but the name's, not unique. */
extern const struct record_kind record_thing_before;
/* A kind without members' indexes. */
struct note_record {
	struct record record;
	const char *text;
};
extern const struct record_kind record_note;

/* A folder for one test, removed with all in it by the teardown; *state is a struct scratch. */
struct scratch {
	char folder[64];
	char path[96]; /* of the database in it */
	struct arena *arena;
	struct meta *meta; /* open, unless the test closed it and set it NULL */
	struct error err;
};
int scratch_setup(void **state);
int scratch_teardown(void **state);
void scratch_reopen(struct scratch *scratch);
/* Runs SQL against the file by a connection of its own, and gives the first number it answers (0 if none). */
int64_t scratch_sql(struct scratch *scratch, const char *sql);

struct thing_record *thing_create(
	struct scratch *scratch, const char *id, const char *name, const char *state);
/* Commits one put; 0, or the error's code. */
enum error_code thing_put(struct scratch *scratch, const struct thing_record *thing);
/* The stored thing of account "1", region "r"; NULL if there is none. */
struct thing_record *thing_get(struct scratch *scratch, const char *id);
/* The ids found, with a space behind each. */
const char *thing_ids(struct scratch *scratch, const struct meta_query *query);
/* How many faults meta_check finds; each is printed. */
uint64_t scratch_faults(struct scratch *scratch);

#define assert_done(call, err) \
	do { \
		if (call) \
			fail_msg("%s: %s", #call, (err).message); \
	} while (0)
#define SCRATCH_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
