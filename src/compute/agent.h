/*
 * A client of the QEMU guest agent, over the host's end of its virtio-serial channel. What comes back was written by the GUEST: it is bounded in size and time, and nothing in it is believed further than its type.
 * A conversation belongs to one thread at a time; two at once on one channel are not possible.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "base/error.h"

struct agent;

/*
 * Connects to the channel's Unix socket and synchronises (guest-sync-delimited), so that answers to questions of an earlier conversation are
 * not taken for ours. ERROR_TIMEOUT if nobody answers in time; ERROR_NOT_FOUND if there is no such socket.
 */
int agent_open(const char *socket_path, int timeout_ms, struct agent **agent, struct error *err);
/* The same over a connected socket, which is taken over also on failure. */
int agent_open_fd(int fd, int timeout_ms, struct agent **agent, struct error *err);
/* NULL is legal. */
void agent_close(struct agent *agent);

/*
 * Runs a command. `arguments` (NULL: none) is consumed. *result (may be NULL) is the caller's to json_decref. An error that the agent answers is ERROR_INVALID with
 * its text made printable. After ERROR_TIMEOUT or ERROR_UNAVAILABLE the conversation is out of step: close it.
 */
int agent_command(struct agent *agent, const char *name, json_t *arguments, int timeout_ms, json_t **result,
	struct error *err);
