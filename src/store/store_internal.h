/* The store's parts, for this folder only. */
#pragma once

#include <pthread.h>

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
/* Makes what was appended durable, or has the next to open distrust it. */
int store_sync_packs(struct store *store, struct error *err);
/* ERROR_UNAVAILABLE after a collection or a move that failed half way: the mark it left must stay until the store is opened again. The caller holds `maintenance`. */
int store_check_movable(struct store *store, struct error *err);
struct store *store_session_store(const struct store_session *session);
/* The same if enough was appended since the last one. A failure of it takes nothing from what was synced, and is only logged. */
void store_checkpoint_if_due(struct store *store);
/* Reads and verifies the object of an entry. ERROR_NOT_FOUND if its pack is gone. */
int store_read_entry(struct store *store, const struct index_entry *entry, void *data, struct error *err);
/* The same, and its bytes as they are stored, if they are not plain: room for STORE_BLOCK_SIZE each. */
int store_read_stored(struct store *store, const struct index_entry *entry, uint8_t *stored, uint8_t *plain,
	struct error *err);
/* What an object takes on the disk, with its header. */
uint64_t store_entry_bytes(const struct index_entry *entry);
