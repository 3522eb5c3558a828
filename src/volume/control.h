/*
 * The language of a volume server's control socket: a line a command, a line an answer. Parsing and formatting only, total on any bytes; the server's side is
 * control_server.c, the client's server.c.
 *
 *   hold MS | freeze | sync LAYER | release | rebase LAYER ROOT | grow BYTES | record MS ROOT | prefetch BLOCKS ROOT | let-go | status | shutdown
 *   ok [WORDS...] | error CODE MESSAGE
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

enum { CONTROL_LINE_LIMIT = 1024 };

enum control_verb {
	CONTROL_HOLD,
	CONTROL_FREEZE,
	CONTROL_SYNC,
	CONTROL_RELEASE,
	CONTROL_REBASE,
	CONTROL_GROW,
	CONTROL_RECORD,
	CONTROL_PREFETCH,
	CONTROL_LET_GO,
	CONTROL_STATUS,
	CONTROL_SHUTDOWN
};

struct control_command {
	enum control_verb verb;
	uint64_t number;    /* of hold, sync, rebase, grow, record, prefetch */
	struct digest root; /* of rebase, record, prefetch */
};

/* `line` is NUL-terminated and without its newline. ERROR_INVALID. */
int control_parse(const char *line, struct control_command *command, struct error *err);
/* The line without newline; returns out. */
char *control_format(const struct control_command *command, char out[CONTROL_LINE_LIMIT]);
char *control_format_error(const struct error *err, char out[CONTROL_LINE_LIMIT]);
/* Reads an answer: 0 and what follows "ok " in *words; or -1 and the error that it carries, or ERROR_INTERNAL if it is neither. */
int control_parse_answer(const char *line, const char **words, struct error *err);
