/*
 * A client of QEMU's machine protocol (QMP): one JSON object a line over a Unix socket; commands carry ids, events come in between.
 * What QEMU sends is not trusted (its guest may have taken it over): lines are bounded, anything malformed ends the connection, unknown replies are dropped.
 * Safe from every thread; several commands may be under way at once.
 */
#pragma once

#include <stddef.h>
#include <jansson.h>

#include "base/error.h"
#include "compute/compute_loop.h"

struct qmp;

struct qmp_listener {
	/* On the loop's thread, in order. `data` (an object, or NULL) is borrowed. Must not wait for a command's reply. */
	void (*event)(void *context, const char *name, json_t *data);
	/* Once, when nothing calls the listener any more. May be NULL. */
	void (*release)(void *context);
};

/*
 * Takes over a connected socket (also on failure; `release` is then called), waits for the greeting and leaves negotiation mode. Everything within timeout_ms.
 * ERROR_TIMEOUT; ERROR_UNAVAILABLE if the other side closes or speaks something else.
 */
int qmp_open(struct compute_loop *loop, int fd, int timeout_ms, const struct qmp_listener *listener,
	void *context, struct qmp **qmp, struct error *err);
/* Commands under way fail with ERROR_UNAVAILABLE. No event is delivered after a call of the listener that may be running. NULL is legal. */
void qmp_close(struct qmp *qmp);

/*
 * Runs a command. `arguments` (NULL: none) is consumed. *result (may be NULL) is the caller's to json_decref: what came in "return".
 * An error that QEMU answers is ERROR_NOT_FOUND for its classes DeviceNotFound and DeviceNotActive, else ERROR_INVALID, with its text. ERROR_TIMEOUT: it may
 * still be carried out. ERROR_UNAVAILABLE: the connection is gone.
 */
int qmp_command(struct qmp *qmp, const char *name, json_t *arguments, int timeout_ms, json_t **result,
	struct error *err);
