/* The store's parts, for this folder only. */
#pragma once

#include <pthread.h>

#include "store/damage.h"
#include "store/index.h"
#include "store/packs.h"
#include "store/references.h"
#include "store/store.h"

enum { STRIPE_COUNT = 64 };

struct digest_list {
	struct digest *items;
	size_t count, capacity;
};

struct store {
	char *folder;
	bool writer;
	int lock_fd;
	struct index *index;
	struct packs *packs;
	struct references *references; /* NULL in a reader */

	/* serializes put, touch and sweep of one digest */
	pthread_mutex_t stripes[STRIPE_COUNT];
	/* puts hold it shared; exclusively it means that no object is being appended: for checkpoints and growth of the index */
	pthread_rwlock_t quiet;
	/* one collection, growth, check or checkpoint at a time; taken before `quiet` */
	pthread_mutex_t maintenance;
	_Atomic uint64_t appended; /* bytes since the last checkpoint */

	pthread_mutex_t
		session_lock; /* the list of sessions with their roots, retired roots, and the generation when it changes */
	struct damage *damage; /* writers only */
	struct scrub *scrub;   /* the same */
	struct store_session *sessions;
	struct digest_list retired; /* roots that may be in use no more: see release.c */
	_Atomic bool strays;        /* the oldest session ended while something was loose */
	/* under session_lock: */
	uint64_t protections_ended; /* how often a session ended that was the oldest */
	uint64_t ended_before;      /* the same when freeing last began */
	store_listener *listener;
	void *listener_context;
	uint64_t freed_since_packs; /* bytes; under `maintenance` */
};

struct store_session {
	struct store *store;
	uint32_t
		generation; /* of the time it was opened; nothing of this or a later one is collected while it is open */
	enum packs_way way;       /* how its blocks are written */
	struct digest_list roots; /* put or found */
	struct store_session *next, *previous;
};

pthread_mutex_t *store_stripe(struct store *store, const struct digest *digest);
/* Brings index and packs together after opening. */
int store_recover(struct store *store, enum index_condition condition, struct error *err);
/* Makes packs and index durable and notes how far. The caller holds `maintenance`. */
int store_checkpoint(struct store *store, struct error *err);
/* Makes what was appended durable, or has the next to open distrust it. */
int store_sync_packs(struct store *store, struct error *err);
/* ERROR_UNAVAILABLE after a collection or a move that failed half way: the mark it left must stay until the store is opened again. The caller holds `maintenance`. */
int store_check_movable(struct store *store, struct error *err);
struct store *store_session_store(const struct store_session *session);
/* Whether the header that an entry speaks of is sound, live, and says the same. */
bool store_header_matches(struct store *store, const struct index_entry *entry);
/* Scrubbing's part of opening and closing. */
void store_scrub_open(struct store *store);
void store_scrub_close(struct store *store);
/*
 * Looks at an object that seemed to be damaged, where it cannot be freed or replaced meanwhile: 1 if it is and was not known, which is noted; 0 if it is sound, gone, or was known; -1 if that cannot be
 * found out. `buffer` has room for STORE_BLOCK_SIZE; *err says what is wrong with it. The caller does not hold the digest's stripe.
 */
int store_confirm_damage(struct store *store, const struct digest *digest, void *buffer,
	struct index_entry *entry, struct error *err);

void digest_list_append(struct digest_list *list, const struct digest *digest);

/*
 * page_run.c: reads a page of a tree, whose checksum is enough; *verified says whether it was hashed all the same. For comparing trees: of 2^32 damages one would not show here, so what is stored because of it must be checked
 * as a whole (a copied tree by its root). `data` has room for PAGE_LIMIT. ERROR_INVALID: it is larger. `run` (NULL is legal) is the caller's alone meanwhile.
 */
struct page_run;
int store_get_page(struct store *store, struct page_run *run, const struct digest *digest, void *data,
	size_t *size, bool *verified, struct error *err);
struct page_run *page_run_create(void);
void page_run_destroy(struct page_run *run); /* NULL is legal */

/* count.c: keeping the reference counts. */
typedef int store_child(void *context, const struct digest *child, struct error *err);
/* Calls `visit` for each id in a page (an id as often as it stands there) or a root, until it fails. What is malformed has no children, whoever asks. */
int store_visit_children(
	uint8_t kind, const void *bytes, size_t size, store_child *visit, void *context, struct error *err);
/* Counts one more reference to `child`; `context` is the store. */
int store_count_child(void *context, const struct digest *child, struct error *err);
/* After an object has been entered into `slot`. The caller holds `quiet`, and no stripe. */
void store_count_put(struct store *store, uint64_t slot, uint8_t kind, const void *data, size_t size);
/* Counting everything anew; the caller holds `maintenance` from the one to the other. Afterwards the counts are exact, or unknown if a page could not be
 * read. */
void store_begin_counting(struct store *store);
void store_end_counting(struct store *store);

/* collect.c: what both ways of freeing share. The caller holds `maintenance`. */
enum { STORE_FREE_BATCH = 4096 };
/* Begins a new generation. Nothing of the generation returned or a later one may be freed: a session that is open, or opened from now on, may have put or found it. */
uint32_t store_begin_freeing(struct store *store);
/* After every store_begin_freeing. What was left for the sake of sessions that have ended meanwhile is to be looked at again: at their end nobody could know of it. */
void store_end_freeing(struct store *store);
/* Calls the listener. No lock is held. */
void store_tell(struct store *store);
/* Marks objects that are out of the index dead, durably, and gives their space back; sorts them. The index is marked `collecting`. */
int store_free_batch(struct store *store, struct index_entry *entries, unsigned count, struct error *err);
/* The same if enough was appended since the last one. A failure of it takes nothing from what was synced, and is only logged. */
void store_checkpoint_if_due(struct store *store);
/* Reads and verifies the object of an entry. ERROR_NOT_FOUND if its pack is gone. */
int store_read_entry(struct store *store, const struct index_entry *entry, void *data, struct error *err);
/* The same, and its bytes as they are stored, if they are not plain: room for STORE_BLOCK_SIZE each. */
int store_read_stored(struct store *store, const struct index_entry *entry, uint8_t *stored, uint8_t *plain,
	struct error *err);
/* What an object takes on the disk, with its header. */
uint64_t store_entry_bytes(const struct index_entry *entry);
