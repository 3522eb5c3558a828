/*
 * What trees take in a store, exactly, in bytes on the disk (objects with their headers). ERROR_UNAVAILABLE: the store is counting its references (after an unclean end, until the next collection is done); try again later.
 */
#pragma once

#include "store/store.h"

/*
 * What would be freed if these roots were the only ones to go: what they reach and nothing else in the store refers to. The caller leaves out roots that somebody else has published too. Takes the time that reading the pages that
 * would be freed takes. What is deleted already, and not freed yet, still refers.
 */
int store_account_alone(
	struct store *store, const struct digest *roots, size_t count, uint64_t *bytes, struct error *err);
/* All that these roots reach, each object once. Takes the time of reading all their pages. */
int store_account_full(
	struct store *store, const struct digest *roots, size_t count, uint64_t *bytes, struct error *err);
/* What the tree of `root` has where that of `parent` has something else, each object once: skips what is alike. A block that the parent has at another place counts. */
int store_account_added(struct store *store, const struct digest *root, const struct digest *parent,
	uint64_t *bytes, struct error *err);
