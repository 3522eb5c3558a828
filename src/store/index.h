/*
 * The index: where each object lies. A hash table in a file that is mapped by the one writer and by any number of readers in other processes; see index.c for how they
 * go together. It can be made again from the packs, so it is never the only place that knows something.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "store/format.h"

struct index;

struct index_entry {
	struct digest digest;
	uint32_t pack;
	uint64_t offset; /* of the object's header */
	uint32_t size;
	uint32_t stored_size;
	uint8_t kind;
	uint8_t encoding;
	uint32_t generation; /* of the last put */
};

/* A position in the packs of one class: everything before it is on disk and in the index. pack 0: nothing at all. */
struct index_position {
	uint32_t pack;
	uint64_t offset;
};

/* How the last writer left it. */
enum index_condition {
	INDEX_CLEAN, /* closed: exact */
	INDEX_INTERRUPTED, /* its process died; the machine has been up since: exact up to what the packs hold beyond the checkpoint */
	INDEX_LOST_POWER, /* the machine went down: exact up to the checkpoint, unless it was collecting */
	INDEX_COLLECTING, /* died during a collection: has to be made again, the checkpoint counts */
	INDEX_ABSENT      /* missing or damaged: has to be made again */
};

int index_open_writer(
	const char *folder, struct index **index, enum index_condition *condition, struct error *err);
int index_open_reader(const char *folder, struct index **index, struct error *err);
void index_close(struct index *index); /* NULL is legal; marks nothing */

/* Lock-free beside a writer in another process. A reader whose file was replaced maps the new one and looks again. */
bool index_find(struct index *index, const struct digest *digest, struct index_entry *entry);

/* For the writer. Of one digest, the caller serializes find, insert, touch and remove; different digests may go on at once. */
uint64_t index_insert(struct index *index, const struct index_entry *entry); /* returns its slot */
bool index_touch(struct index *index, const struct digest *digest, uint32_t generation);
/* Removes the entry of `digest` if it lies in `slot`. */
bool index_remove(struct index *index, uint64_t slot, const struct digest *digest);

/*
 * The object that lies at `from` lies at `to` now, with the generation it had: both places must hold it. False, and nothing changed, if it does not lie there any more. Lookups never miss
 * it. Takes a slot more, for ever, if the encodings differ.
 */
bool index_move(struct index *index, const struct index_entry *from, const struct index_entry *to);
/* Removes the entry of an object at just this place, if there is one. */
bool index_remove_at(struct index *index, const struct index_entry *place);
/*
 * Places that were looked up since the epoch had this value are right as long as it has. Whoever moves objects advances it between the switch and giving up the old places.
 */
uint64_t index_epoch(struct index *index);
void index_advance_epoch(struct index *index);
/* After index_rebuild without entries, or an index that was absent: all entries are in, readers may follow. */
void index_mark_built(struct index *index);
/* A reader's: looks whether the file was replaced or removed, which lookups notice only when they miss. */
void index_refresh(struct index *index);

/* Slots, for whoever walks the whole index; false for a slot without an entry. The numbers hold until index_rebuild. */
uint64_t index_slot_count(const struct index *index);
bool index_read_slot(struct index *index, uint64_t slot, struct index_entry *entry);
bool index_find_slot(struct index *index, const struct digest *digest, uint64_t *slot);

/* How full the table is, in percent. Above 60 it should be rebuilt; it must be at 85. */
unsigned index_load_percent(struct index *index);
/*
 * Replaces the file by a new one with room for twice the entries (without any entry if `empty`), which readers then follow. Nothing else may change the index meanwhile.
 */
int index_rebuild(struct index *index, bool empty, struct error *err);
/*
 * Whoever keeps something beside the index, by slot, follows its rebuilding: `begin` (which may refuse it) before the first entry is moved, `move` for each, then `end`, when the new slots hold, or when
 * nothing has changed (!done). `shift`: apart from that, an object has got another slot, `to`, and is about to lose the old one; under its digest's stripe.
 * For the writer; one follower, set before there are other threads.
 */
struct index_follower {
	void *context;
	int (*begin)(void *context, uint64_t slots, struct error *err);
	void (*move)(void *context, uint64_t from, uint64_t to);
	void (*end)(void *context, bool done);
	void (*shift)(void *context, uint64_t from, uint64_t to);
};
void index_set_follower(struct index *index, const struct index_follower *follower);
/* Counts again and forgets entries at or after the checkpoint; after a loss of power. */
void index_forget_after_checkpoint(struct index *index);
void index_recount(struct index *index);

/* From any thread, also while the index is rebuilt. */
uint64_t index_object_count(struct index *index);
uint64_t index_byte_count(struct index *index);
uint32_t index_generation(struct index *index);
uint32_t index_advance_generation(struct index *index);
struct index_position index_checkpoint(const struct index *index, enum pack_class group);
/* The index as it is now becomes durable together with the positions. The packs up to there must be durable already. */
int index_write_checkpoint(
	struct index *index, const struct index_position positions[PACK_CLASS_COUNT], struct error *err);
/* Durable marks. While a writer is open the index is marked unclean, from its first change on. */
/* A sync of the file failed: every later one fails, until index_rebuild has made a new file. */
bool index_has_failed(const struct index *index);
/* Takes its name from a file that could not be synced, so that the next to open makes one from the packs: what it would read is only in memory. */
void index_abandon(struct index *index);
/* Packs could not be synced: the next to open it treats entries behind the checkpoint as after a loss of power. */
void index_distrust(struct index *index);
bool index_is_collecting(const struct index *index);
int index_mark_collecting(struct index *index, bool collecting, struct error *err);
int index_mark_clean(struct index *index, struct error *err);
