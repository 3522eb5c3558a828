/* UTF-8: what every text that comes in or goes out has to be. No state; safe from every thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The size (1 to 4) of the well-formed character that text[0..size) begins with; 0 if there is none: overlong forms, surrogates and what is above U+10FFFF are malformed.
 * *code (may be NULL) is its code point.
 */
size_t utf8_character(const char *text, size_t size, uint32_t *code);
/* Whether all of text[0..size) is well-formed. */
bool utf8_valid(const char *text, size_t size);
/* Writes the character at `out` (room for 4) and returns its size. */
size_t utf8_encode(uint32_t code, char *out);
