/*
 * Which objects this process has verified where they lie, so that comparing trees need not hash the same pages again and again. A place never holds another object, so what was verified there is forgotten only when
 * it makes room for others. What is damaged on the disk afterwards is found by the scrub, or by a read that verifies. Any thread, no locks.
 */
#pragma once

#include <stdbool.h>

#include "store/index.h"

struct verified;

struct verified *verified_create(void);           /* takes its memory, 512 KiB, with the first note */
void verified_destroy(struct verified *verified); /* NULL is legal */
void verified_note(struct verified *verified, const struct index_entry *entry);
bool verified_has(struct verified *verified, const struct index_entry *entry);
