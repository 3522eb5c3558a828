/*
 * A thread that enters counts itself in, then looks whether the gate is closed; a holder closes it, then looks at the counts. In that order, one of the two sees the other (all of it
 * sequentially consistent). A hold that nobody releases ends at its deadline: whoever waits ends it, so no timer thread is needed.
 */
#include "volume/gate.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/banned.h"

unsigned gate_stripe(void)
{
	static _Atomic unsigned next;
	static _Thread_local unsigned mine;
	if (!mine)
		mine = 1 + atomic_fetch_add(&next, 1) % GATE_STRIPES;
	return mine - 1;
}

void gate_init(struct gate *gate)
{
	pthread_condattr_t attributes;
	*gate = (struct gate){ .state = GATE_OPEN };
	pthread_mutex_init(&gate->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&gate->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void gate_destroy(struct gate *gate)
{
	pthread_mutex_destroy(&gate->lock);
	pthread_cond_destroy(&gate->changed);
}

/* Ends a hold that is past its deadline. The caller holds the lock. */
static void expire(struct gate *gate)
{
	if (gate->state == GATE_HELD && clock_monotonic_ms() >= gate->deadline_ms) {
		gate->state = GATE_EXPIRED;
		atomic_store(&gate->closed, false);
		pthread_cond_broadcast(&gate->changed);
	}
}

static void wait_until_deadline(struct gate *gate)
{
	struct timespec until = { .tv_sec = gate->deadline_ms / 1000,
		.tv_nsec = gate->deadline_ms % 1000 * 1000000 };
	pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
	expire(gate);
}

unsigned gate_enter(struct gate *gate)
{
	unsigned stripe = gate_stripe();
	for (;;) {
		atomic_fetch_add(&gate->running[stripe].count, 1);
		if (!atomic_load(&gate->closed))
			return stripe;
		gate_leave(gate, stripe);
		pthread_mutex_lock(&gate->lock);
		while (gate->state == GATE_HELD)
			wait_until_deadline(gate);
		pthread_mutex_unlock(&gate->lock);
	}
}

void gate_leave(struct gate *gate, unsigned stripe)
{
	atomic_fetch_sub(&gate->running[stripe].count, 1);
	if (atomic_load(&gate->closed)) {
		pthread_mutex_lock(&gate->lock);
		pthread_cond_broadcast(&gate->changed);
		pthread_mutex_unlock(&gate->lock);
	}
}

static bool is_empty(struct gate *gate)
{
	for (unsigned i = 0; i < GATE_STRIPES; i++)
		if (atomic_load(&gate->running[i].count))
			return false;
	return true;
}

int gate_hold(struct gate *gate, unsigned limit_ms, struct error *err)
{
	int result = 0;
	pthread_mutex_lock(&gate->lock);
	expire(gate);
	if (gate->state == GATE_HELD) {
		pthread_mutex_unlock(&gate->lock);
		return error_set(err, ERROR_CONFLICT, "the volume is held already");
	}
	gate->state = GATE_HELD;
	gate->deadline_ms = clock_monotonic_ms() + limit_ms;
	atomic_store(&gate->closed, true);
	while (gate->state == GATE_HELD && !is_empty(gate))
		wait_until_deadline(gate);
	if (gate->state != GATE_HELD) {
		gate->state = GATE_OPEN;
		result = error_set(err, ERROR_TIMEOUT, "writes have not ended within %u ms", limit_ms);
	}
	pthread_mutex_unlock(&gate->lock);
	return result;
}

void gate_release(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->state = GATE_OPEN;
	atomic_store(&gate->closed, false);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

bool gate_lock_held(struct gate *gate, bool *expired)
{
	pthread_mutex_lock(&gate->lock);
	expire(gate);
	*expired = gate->state == GATE_EXPIRED;
	if (gate->state == GATE_HELD)
		return true;
	pthread_mutex_unlock(&gate->lock);
	return false;
}

void gate_unlock(struct gate *gate)
{
	pthread_mutex_unlock(&gate->lock);
}
