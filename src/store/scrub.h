/*
 * Scrubbing: every object of a store is read and compared with its digest, one after another, while everything else goes on. What is damaged is remembered, also by the next process: a put of the same content stores it
 * anew, and damaged parts of trees can be asked for. Writers of a store only.
 */
#pragma once

#include "store/store.h"

struct store_scrub_state {
	uint64_t pass;              /* number of the last one begun; 0: none yet */
	bool running;               /* it has not come to its end */
	int64_t begun_ms, ended_ms; /* of that pass; what the caller said. 0: not yet */
	uint64_t objects, bytes;    /* read in it so far */
	uint64_t damaged;           /* objects known to be, now */
};
void store_scrub_get_state(struct store *store, struct store_scrub_state *state);

/* Begins a pass at the first object, whether or not one is under way. */
int store_scrub_begin(struct store *store, int64_t now_ms, struct error *err);

/* `line` names an object that was found damaged, and its pack and offset. */
typedef void store_scrub_report(void *context, const struct digest *digest, const char *line);
/*
 * Verifies the next object of the pass. *bytes gets how many were read, *ended whether it was the end of the pass (`now_ms` is noted then). How far the pass is, is saved now and then, and by
 * store_scrub_save. One thread at a time.
 */
int store_scrub_step(struct store *store, int64_t now_ms, store_scrub_report *report, void *context,
	uint64_t *bytes, bool *ended, struct error *err);
int store_scrub_save(struct store *store, struct error *err);

/*
 * Which parts of trees are damaged: looks through the trees of any number of roots, each shared page once. `visit` gets each range of the disk that cannot be read, in ascending order.
 */
struct store_damage_search;
typedef int store_damage_visit(void *context, uint64_t offset, uint64_t size, struct error *err);
struct store_damage_search *store_damage_search_create(struct store *store);
void store_damage_search_destroy(struct store_damage_search *search); /* NULL is legal */
int store_damage_search_root(struct store_damage_search *search, const struct digest *root,
	store_damage_visit *visit, void *context, struct error *err);
