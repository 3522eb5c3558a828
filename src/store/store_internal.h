/* The store's parts, for this folder only. */
#pragma once

#include <pthread.h>

#include "store/damage.h"
#include "store/index.h"
#include "store/packs.h"
#include "store/store.h"

enum { STRIPE_COUNT = 64 };

struct store {
	char *folder;
	bool writer;
	int lock_fd;
	struct index *index;
	struct packs *packs;

	/* serializes put, touch and sweep of one digest */
	pthread_mutex_t stripes[STRIPE_COUNT];
	/* puts hold it shared; exclusively it means that no object is being appended: for checkpoints and growth of the index */
	pthread_rwlock_t quiet;
	/* one collection, growth, check or checkpoint at a time; taken before `quiet` */
	pthread_mutex_t maintenance;
	_Atomic uint64_t appended; /* bytes since the last checkpoint */

	struct damage *damage; /* writers only */
	struct scrub *scrub;   /* the same */

	pthread_mutex_t session_lock; /* the list of sessions, and the generation when it changes */
	struct store_session *sessions;
};

struct store_session {
	struct store *store;
	uint32_t
		generation; /* of the time it was opened; nothing of this or a later one is collected while it is open */
	struct store_session *next, *previous;
};

pthread_mutex_t *store_stripe(struct store *store, const struct digest *digest);
/* Brings index and packs together after opening. */
int store_recover(struct store *store, enum index_condition condition, struct error *err);
/* Makes packs and index durable and notes how far. The caller holds `maintenance`. */
int store_checkpoint(struct store *store, struct error *err);
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
/* Reads and verifies the object of an entry. */
int store_read_entry(struct store *store, const struct index_entry *entry, void *data, struct error *err);
