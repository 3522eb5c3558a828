/*
 * Moving objects to other places in the packs, beside readers and writers. For compaction and for changes of encoding; used by one thread that holds the store's maintenance lock.
 */
#pragma once

#include "store/store_internal.h"

struct mover;

/* `punch`: the old places are given back to the disk one by one; else they are only marked dead, since their packs are about to be removed. */
struct mover *mover_create(struct store *store, bool punch);
void mover_destroy(struct mover *mover); /* marks copies that were not switched to as dead; NULL is legal */
/*
 * Copies an object in the encoding wanted. *moved: whether it was; an object that does not get smaller by compression is not. ERROR_CORRUPT: it is damaged and stays where it is.
 * ERROR_NO_SPACE.
 */
int mover_add(struct mover *mover, const struct index_entry *object, uint8_t encoding, bool *moved,
	struct error *err);
/* How much was copied since the last switch: bytes of the copies on disk. */
uint64_t mover_pending(const struct mover *mover);
/* Makes the copies durable, has the index point to them, and gives up the old places. After a failure the store has to be opened again. */
int mover_switch(struct mover *mover, struct error *err);
