/* What collection shares with compaction, within this folder; the contract of compaction is in store.h. */
#pragma once

#include "store/store_internal.h"

/* Removes pack files in which nothing is left. The caller holds `maintenance`. */
int store_remove_empty_packs(struct store *store, struct error *err);
