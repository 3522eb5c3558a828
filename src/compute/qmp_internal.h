/* The part of the QMP client that takes in bytes, apart from its socket: for qmp.c, unit tests and the fuzz target. */
#pragma once

#include "base/buffer.h"
#include "compute/qmp.h"

/* The longest line that is taken. query-pci of a machine with 32 ports is about 20 KiB; a chatty monitor is cut off long before it costs memory. */
enum { QMP_LINE_LIMIT = 256 << 10 };

struct qmp_lines {
	struct buffer partial; /* what came of a line that has not ended */
};

/*
 * Splits what comes in at line ends and hands on every line that is a JSON object (owned by the callee). -1 if a line is too long or no JSON object,
 * or if `take` says so: the connection is then of no use any more.
 */
int qmp_lines_feed(struct qmp_lines *lines, const char *data, size_t size,
	int (*take)(void *context, json_t *message), void *context);
void qmp_lines_free(struct qmp_lines *lines);

/* One message from QEMU, handed to `qmp`: greeting, reply or event. 0, or -1 if it is none of them. Takes the message. */
int qmp_take_message(struct qmp *qmp, json_t *message);

/* A client without socket or loop, on which qmp_take_message may be called; ended by qmp_destroy_detached. */
struct qmp *qmp_create_detached(const struct qmp_listener *listener, void *context);
void qmp_destroy_detached(struct qmp *qmp);
