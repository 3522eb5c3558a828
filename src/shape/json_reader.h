/* What reading JSON is made of: a place in a text, and the grammar's pieces. For this folder only. Functions that fail return -1 and have filled the reader's error. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum { JSON_DEPTH_MAX = 64, JSON_NUMBER_SIZE = 64 };

struct json_reader {
	struct arena *arena;
	const char *start, *at, *end;
	const char *member; /* being read, for messages; NULL: outside all */
	unsigned depth;     /* of open objects and lists, at most JSON_DEPTH_MAX */
	bool lenient;
	struct error *err;
};

/* ERROR_SERIALIZATION with the member and the place. Returns -1. */
int json_fault(struct json_reader *reader, const char *what);
/* What comes next behind white space; 0 at the end. */
char json_peek(struct json_reader *reader);
/* Whether c (not 0), or the word, comes next; it is then behind us. */
bool json_take(struct json_reader *reader, char c);
bool json_take_word(struct json_reader *reader, const char *word);
/* A string, decoded, in the arena. */
int json_read_text(struct json_reader *reader, const char **text);
/* A number as it is written; *whole: it has neither fraction nor exponent. */
int json_read_number(struct json_reader *reader, char text[JSON_NUMBER_SIZE], bool *whole);
/* Any value, checked as if it were wanted. */
int json_skip_value(struct json_reader *reader);
