/* Relays: TCP connections of which the host's side and the guest's are joined byte for byte, on the loop's thread, until both have ended. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"

struct relay_set;

struct relay_set *relay_set_create(struct loop *loop);
/* All its relays have been ended (relay_end_unless with NULL). */
void relay_set_destroy(struct relay_set *set);

/* The functions below are called with the loop's lock held. */

/*
 * Joins an accepted connection to one under way (connect has been called on the non-blocking `guest_fd`). Owns both descriptors in any case. `public_address` and `guest_address` say between
 * what it runs.
 */
int relay_start(struct relay_set *set, int client_fd, int guest_fd, uint32_t public_address,
	uint32_t guest_address, struct error *err);
/* Whether there is room for one more. */
bool relay_has_room(const struct relay_set *set);
/* Cuts those off for which `keeps` says no; NULL: all. */
void relay_end_unless(struct relay_set *set,
	bool (*keeps)(void *context, uint32_t public_address, uint32_t guest_address), void *context);
