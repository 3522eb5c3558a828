/* The volume's parts, for this folder only. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "volume/gate.h"
#include "volume/manifest.h"
#include "volume/space.h"
#include "volume/stack.h"
#include "volume/volume.h"

enum { FILL_STRIPES = 32, FILL_REGION = 1 << 20 };

/*
 * Lock order: maintenance, gate, stack_lock; readers and fill stripes inside the gate. What must stay true:
 *  - the stack is read within a reader stripe; whoever frees layers or a base that were in it has taken all stripes for writing since it was replaced;
 *  - the top layer changes only while the gate is held and empty;
 *  - every layer of the stack is in the manifest, or `unsynced` is set and its live map is marked active.
 */
struct volume {
	struct gate gate; /* first: it is aligned to cache lines */
	struct {
		_Alignas(64) pthread_rwlock_t lock;
	} readers[GATE_STRIPES];
	char *folder, *runtime_folder, *name;
	struct layer_place place;
	struct volume_space space;
	struct store *store;
	int lock_fd;
	_Atomic uint64_t size;
	struct stack *_Atomic stack;
	_Atomic bool unsynced;  /* a frozen layer is not durable, or the manifest lacks a layer */
	_Atomic bool recording; /* a boot trace: see prefetch.c */
	_Atomic bool failed;    /* a sync failed: nothing can be promised any more */

	/* syncing frozen layers, rebasing, growing: one at a time, slow */
	pthread_mutex_t maintenance;
	struct manifest *manifest; /* as on disk; guarded by maintenance, like the two below */
	pthread_t dropper;         /* closes the layers that a rebase has dropped */
	bool dropping;             /* to be joined */

	/* replacing the stack, taking and making the spare: short */
	pthread_mutex_t stack_lock;
	struct layer *spare;   /* the next top layer, or NULL */
	struct stack *retired; /* replaced; readers may still look at them until the next drain */

	/* boot traces: prefetch.c */
	pthread_mutex_t prefetch_lock;
	pthread_cond_t prefetch_changed;
	unsigned prefetch_tasks; /* threads under way */
	bool prefetch_ending;

	/* serialize filling a grain with first writes to the same region */
	pthread_mutex_t fill[FILL_STRIPES];
};

/* The stack within a reader stripe. */
struct stack *volume_stack_enter(struct volume *volume, unsigned stripe);
void volume_stack_leave(struct volume *volume, unsigned stripe);
/* Waits until no reader looks at a stack that was replaced before. */
void volume_drain_readers(struct volume *volume);
/* Frees stacks that were replaced, when nobody looks at them any more. The caller holds no lock of the volume but maintenance. */
void volume_free_retired(struct volume *volume);
/* Makes the frozen layers durable and brings the manifest up to the stack. */
int volume_sync_stack(struct volume *volume, struct error *err);
/* Makes the spare if there is none; a failure is only logged. */
void volume_prepare_spare(struct volume *volume);
/* Waits until the layers that a rebase has dropped are closed. The caller holds maintenance, or is alone. */
void volume_await_dropped(struct volume *volume);
/* Makes room for `size` bytes in the layers that are written, now and next. */
int volume_extend_top(struct volume *volume, uint64_t size, struct error *err);
/* Opens the stack that manifest and runtime folder say. */
int volume_open_stack(struct volume *volume, struct error *err);
/* The last flush of a server that ends while requests are still coming: they stay outside for ever. */
int volume_retire(struct volume *volume, struct error *err);
