/*
 * The pack files of a store: appending objects, reading them, marking them dead and giving their space back, and scanning for what is there. Knows nothing of the index.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/space.h"
#include "store/format.h"
#include "store/index.h"

struct packs;

/* Reads which packs there are; a writer makes the folder if it is missing. ERROR_UNSUPPORTED if they are of another version. */
int packs_open(const char *folder, bool writer, struct packs **packs, struct error *err);
/* A writer gives back what was reserved beyond the last object. NULL is legal. */
void packs_close(struct packs *packs);

/* The descriptor of a pack, for whoever keeps it from being removed: appends to it, or holds the store's maintenance lock. */
int packs_descriptor(struct packs *packs, uint32_t number, int *fd, struct error *err);
/* Lets a pack be read from the disk, not from memory: see disk_forget_cached. */
void packs_forget_cached(struct packs *packs, uint32_t number);
/* The same for everybody else, until it is given back. ERROR_NOT_FOUND when the pack was removed: the objects that were looked for lie elsewhere, or nowhere. */
int packs_lease(struct packs *packs, uint32_t number, int *fd, struct error *err);
void packs_return(struct packs *packs, uint32_t number);
/* Reads aligned bytes past the page cache. -1: not done; to be read in the ordinary way, and be it because they are in the cache. */
int packs_read_past_cache(struct packs *packs, uint32_t number, void *data, uint32_t size, uint64_t offset);
/* In a reader: closes the descriptors of packs that were removed, as soon as no lease of them is left. */
void packs_let_go(struct packs *packs);
/* How long a pack is, and how much of the disk it takes, without what is reserved for what will be appended. */
int packs_measure(
	struct packs *packs, uint32_t number, uint64_t *length, uint64_t *allocated, struct error *err);
/* Reads a pack's header. ERROR_NOT_FOUND if whoever made the file died before it wrote one; ERROR_CORRUPT. */
int packs_read_header(struct packs *packs, uint32_t number, struct pack_header *header, struct error *err);

enum packs_way {
	PACKS_CACHED,     /* through the page cache, where readers will find it */
	PACKS_PAST_CACHE, /* straight to the disk, if it is a block, aligned to 4096, and the file system can do that: see direct_file.h */
};
/*
 * Appends an object (its checksum is made here) and fills where it lies into *entry. Safe from every thread. ERROR_NO_SPACE when the disk has no more than its reserve left.
 */
int packs_append(struct packs *packs, const struct object_header *object, const void *payload,
	enum packs_way way, struct index_entry *entry, struct error *err);
/* Makes everything appended or marked before the call durable. After a failure, every later call fails too: see disk_sync. */
int packs_sync(struct packs *packs, struct error *err);
/* Notes that a pack has to be synced, whoever wrote to it. */
void packs_note_dirty(struct packs *packs, uint32_t number);
/* The positions behind the last objects appended so far. The caller sees to it that none is being appended. */
void packs_positions(struct packs *packs, struct index_position positions[PACK_CLASS_COUNT]);
/* After a scan: where appending goes on. */
void packs_set_position(struct packs *packs, enum pack_class group, struct index_position position);

/* Rewrites the header as dead. Not durable until packs_sync. */
int packs_mark_dead(struct packs *packs, const struct index_entry *entry, struct error *err);
/* Frees objects' space on the disk; sorts them. They must be durably dead before. Whole pages of the disk only, so up to two may stay of objects that lie one behind another. */
int packs_punch(struct packs *packs, struct index_entry *entries, size_t count, struct error *err);
/* Appending goes on in a new pack of that class. The caller sees to it that nothing is being appended. */
int packs_begin_new(struct packs *packs, enum pack_class group, struct error *err);
/* Removes a pack file without live objects, to which nothing is being appended any more. Refuses, without an error, one that is appended to or has the highest number (numbers are never used again). */
int packs_remove(struct packs *packs, uint32_t number, bool *removed, struct error *err);

/* The numbers of all packs in ascending order; *numbers is the caller's to free. */
void packs_list(struct packs *packs, uint32_t **numbers, uint32_t *count);
/*
 * Calls `visit` for every object header, live or dead, in a pack from offset `from` (0: the beginning) on, in order. Skips what is no header. *end gets the end of the last object.
 */
typedef int packs_visit(void *context, const struct index_entry *entry, bool live, struct error *err);
int packs_scan(struct packs *packs, uint32_t number, uint64_t from, packs_visit *visit, void *context,
	uint64_t *end, struct error *err);

/* What appending leaves free on the disk. */
void packs_set_reserve(struct packs *packs, const struct space_reserve *reserve);
/* Bytes that may still be appended. */
uint64_t packs_available(struct packs *packs);
