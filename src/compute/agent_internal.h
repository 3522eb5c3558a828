/* How bytes from the guest become answers, apart from sockets: for agent.c, unit tests and the fuzz target. */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "compute/agent.h"

/* Longest answer: guest-exec-status carries captured output in Base64 (at most 16 MiB by the agent; we take 1 MiB). */
enum { AGENT_ANSWER_LIMIT = 1 << 20 };

struct agent_reader {
	struct buffer line;
	bool overlong;         /* the current line passed the limit: dropped up to its end */
	bool waiting_sentinel; /* everything up to a byte 0xFF is old */
};

/*
 * Takes in bytes until a whole answer (a JSON object) is there: *used of `size` bytes were taken, *answer is owned by the caller or NULL if more are needed. Lines that are no JSON objects are
 * skipped, as is all that comes before the sentinel while one is awaited.
 */
void agent_reader_feed(
	struct agent_reader *reader, const char *data, size_t size, size_t *used, json_t **answer);
