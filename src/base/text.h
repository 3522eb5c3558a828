/* Text helpers: encodings, wildcards, numbers, random ids. No state; safe from every thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* Lower-case hexadecimal of `size` bytes into `out`, which has room for 2 * size + 1. Returns out. */
char *text_hex(const void *data, size_t size, char *out);
/* Reads exactly 2 * size hexadecimal digits and the end of the text; 0, or -1. */
int text_unhex(const char *text, void *data, size_t size);
/* Base64 (RFC 4648, padded). */
char *text_base64(struct arena *arena, const void *data, size_t size);
/* Decodes padded Base64, white space allowed; NULL if malformed. The result is NUL-terminated behind *size. */
uint8_t *text_unbase64(struct arena *arena, const char *text, size_t *size);
/* Whether `text` matches `pattern`, in which * stands for any run of characters, ? for one, and \ takes the next literally. */
bool text_match(const char *pattern, const char *text);
bool text_starts_with(const char *text, const char *prefix);
bool text_equal(const char *a, const char *b); /* NULL equals only NULL */
/* A decimal integer, whole text; 0, or -1 if malformed or out of int64. */
int text_parse_int64(const char *text, int64_t *value);
/* "PREFIX-" and 17 random hexadecimal digits, as AWS's long ids. */
char *text_random_id(struct arena *arena, const char *prefix);
/* A random (version 4) UUID, 36 characters, into `out` (37 bytes). Returns out. */
char *text_uuid(char *out);
/* Fills with the kernel's random bytes; ends the process if there are none. */
void text_random_bytes(void *data, size_t size);
/* Splits at each `separator`; *count pieces. */
char **text_split(struct arena *arena, const char *text, char separator, size_t *count);
