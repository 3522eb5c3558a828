/* What is done inside of a VPC's namespace: rules, links and sockets, made as described. */
#pragma once

#include <stdbool.h>

#include "net/net.h"

struct setup_sockets {
	bool wanted;     /* in: make them */
	int dhcp_fd;     /* out, the caller's; -1: not made */
	int metadata_fd; /* listening on 169.254.169.254:80 */
};

/* Makes the namespace as described. When it fails, what was made of it may be repeated; the sockets are then closed. */
int setup_vpc(int namespace_fd, const struct net_vpc *vpc, struct setup_sockets *sockets, struct error *err);
/* Removes all taps: guests that still hold one are cut off, although they keep the namespace alive. */
int setup_clear(int namespace_fd, struct error *err);
/* Opens the tap of an interface: ERROR_NOT_FOUND if it is missing, ERROR_CONFLICT if it is open already (by a machine that runs). */
int setup_open_tap(int namespace_fd, const char *interface_id, int *tap_fd, struct error *err);
