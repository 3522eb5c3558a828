/*
 * How often each object of the index is referred to by pages and roots that are in the store: a number per slot of the index, in a mapped file beside it. A cache of what the packs say: after an
 * unclean end, or when in doubt, the numbers are not known until they have been counted again. See count.c for who changes them; references.c for when they are believed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct references;

enum references_state {
	REFERENCES_UNKNOWN,  /* the numbers mean nothing; nobody need keep them */
	REFERENCES_COUNTING, /* being counted: whoever enters a page claims it and counts its children */
	REFERENCES_EXACT
};

/* What the index is at the moment, to see whether the file speaks of it. */
struct references_index {
	uint64_t slots;
	uint64_t objects;
	uint32_t generation;
};

/* Roots that nobody may need any more when the store is closed; more are not kept, and the numbers then not believed at the next opening. */
enum { REFERENCES_RETIRED_LIMIT = 100 };
struct references_retired {
	uint32_t count;
	struct digest roots[REFERENCES_RETIRED_LIMIT];
};

/* Opens or makes the file. `clean`: the index was closed in order. EXACT if the file was saved together with exactly this index, or there are no objects; *retired is what was saved then. */
int references_open(const char *folder, const struct references_index *index, bool clean,
	struct references **references, struct references_retired *retired, struct error *err);
/* Makes the numbers durable and believable, if they are exact. The index must be durable, and be marked clean only after this. */
int references_save(struct references *references, const struct references_index *index,
	const struct references_retired *retired, struct error *err);
void references_close(struct references *references); /* NULL is legal; saves nothing */

enum references_state references_state(const struct references *references);
/* Everything back to 0, to be counted; and the end of counting: EXACT, unless spoiled meanwhile. `loose`: see references_loose. No put may be under way. */
void references_begin_counting(struct references *references);
void references_end_counting(struct references *references, int64_t loose);
/* The numbers cannot be right any more. From any thread, at any time. */
void references_spoil(struct references *references);
/* While counting: true for the one who has to count the children of the page in this slot. */
bool references_claim(struct references *references, uint64_t slot);

uint32_t references_get(const struct references *references, uint64_t slot);
/* One more. A number that has become too large stays what it is. */
void references_add(struct references *references, uint64_t slot);
/* One less; returns what is left. ERROR: it was 0 (the numbers are spoiled then). */
int references_drop(struct references *references, uint64_t slot, uint32_t *left);
/* An object has come into a slot, or is about to leave it. Slots without an object have the number 0. */
void references_enter(struct references *references, bool is_root);
void references_leave(struct references *references, uint64_t slot, bool is_root);
/* Blocks and pages that nothing refers to: being put, or left over by a session. Exact when nobody is changing anything. */
int64_t references_loose(const struct references *references);
/* Changes with every change of the numbers. */
uint64_t references_version(const struct references *references);

/* For an index_follower: slots move to new places, under nobody's eyes. */
int references_begin_moving(struct references *references, uint64_t slots, struct error *err);
void references_move(struct references *references, uint64_t from, uint64_t to);
void references_end_moving(struct references *references, bool done);
void references_shift(struct references *references, uint64_t from, uint64_t to);
