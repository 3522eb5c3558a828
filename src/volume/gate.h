/*
 * The gate that writes pass: they may be held, so that a layer can be frozen between two of them. Entering and leaving cost an atomic addition each, on a cache line of the
 * thread's own group.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { GATE_STRIPES = 16 };

enum gate_state { GATE_OPEN, GATE_HELD, GATE_EXPIRED };

struct gate {
	struct {
		_Alignas(64) _Atomic int count;
	} running[GATE_STRIPES];
	_Atomic bool closed; /* what entering threads look at; true while state is GATE_HELD */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum gate_state state;
	int64_t deadline_ms; /* monotonic */
};

void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);
/* Returns the stripe to leave by; waits while the gate is held. */
unsigned gate_enter(struct gate *gate);
void gate_leave(struct gate *gate, unsigned stripe);

/* Keeps new ones waiting and waits until none is inside. ERROR_CONFLICT if it is held; ERROR_TIMEOUT if they are not through after limit_ms. */
int gate_hold(struct gate *gate, unsigned limit_ms, struct error *err);
/* Lets them in again. Nothing happens if it is not held. */
void gate_release(struct gate *gate);
/*
 * Locks the gate in its state, so that a hold cannot expire during a short step. False if it is not held; *expired says whether it was.
 */
bool gate_lock_held(struct gate *gate, bool *expired);
void gate_unlock(struct gate *gate);

/* A number for the calling thread, below GATE_STRIPES. */
unsigned gate_stripe(void);
