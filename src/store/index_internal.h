/* The index as it lies in the file and in memory, for index.c and index_moves.c only. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/disk.h"
#include "store/index.h"

enum { INDEX_HEADER_SIZE = 4096, SLOT_WORDS = 8, SLOT_SIZE = 64, INITIAL_CAPACITY = 1024, INDEX_VERSION = 1 };
enum { SLOT_EMPTY = 0, SLOT_LIVE = 1, SLOT_REMOVED = 2, SLOT_STATE_MASK = 3, SLOT_SEQUENCE_STEP = 4 };

struct index_header {
	char magic[8];
	uint32_t version;
	uint32_t slot_size;
	uint64_t capacity;
	_Atomic uint64_t used; /* slots that are not EMPTY */
	_Atomic uint64_t live;
	_Atomic uint64_t live_bytes;
	_Atomic uint32_t generation;
	_Atomic uint32_t superseded;
	_Atomic uint32_t clean;
	_Atomic uint32_t collecting;
	/* pack number and header offset / 64 in one word, so that no crash can tear them */
	_Atomic uint64_t checkpoint[PACK_CLASS_COUNT];
	char boot_id[DISK_BOOT_ID_SIZE];
	/* Advanced after objects were moved and before their old places are given up: whoever remembers places looks at it. */
	_Atomic uint64_t epoch;
	/* Advanced between the insertion of an object's new slot and the removal of its old one: a lookup that missed both looks again. */
	_Atomic uint64_t switches;
	/* Being made again from the packs: readers keep to the file they have. */
	_Atomic uint32_t building;
};

typedef _Atomic uint64_t index_slot[SLOT_WORDS];

struct index {
	char *path;
	bool writer;
	pthread_rwlock_t mapping_lock;
	struct index_header *header;
	index_slot *slots;
	uint64_t capacity;
	uint64_t map_size;
	ino_t inode;
	pthread_mutex_t insert_lock;
	struct index_follower follower; /* `begin` NULL: none */
	bool failed; /* a sync failed: what the file holds is not what is mapped. Changed while maintenance or insert_lock is held. */
};

/* The caller holds mapping_lock, for reading at least. */
bool index_lookup(
	struct index *index, const struct digest *digest, uint64_t *slot, struct index_entry *entry);
/* The caller holds mapping_lock and insert_lock, and there is room. */
/* Returns the slot. */
uint64_t index_put_entry(struct index *index, const struct index_entry *entry);
/* Takes an entry out of its slot. The caller holds both locks. */
void index_clear_slot(struct index *index, uint64_t slot, const struct index_entry *entry);
/* From the first change on the file is unclean. */
void index_note_change(struct index *index);
/* A reader's: maps the file that the path names now, if it is another. Whether it did. */
bool index_follow_replacement(struct index *index);
