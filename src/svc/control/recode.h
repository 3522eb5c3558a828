/* Trees encrypted, or encrypted under another key, block by block. For twin.c and copy.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "volume/cipher.h"

/*
 * One step: at most STEP_BLOCKS blocks of the source, from `next` on. The caller fills the first part, runs the step, publishes `root`, and closes the step, in this order: what was put is protected until
 * then. A step that was not published is made again.
 */
struct recode_step {
	struct store *from, *to;
	struct cipher *open; /* of the source; NULL: it is plain */
	struct cipher *seal; /* of the result */
	struct digest source;
	const struct digest *present; /* the result of the steps before; NULL: there were none */
	uint64_t next;                /* the block to go on with; afterwards: with the next step */
	/* what came of it */
	struct digest root;
	uint64_t blocks; /* seen, that are not all zeros */
	uint64_t total;  /* such blocks of the source */
	uint64_t bytes;  /* added on disk */
	bool more;       /* false: that was the last */
	struct store_session *session;
};
int recode_run(struct recode_step *step, struct error *err);
void recode_close(struct recode_step *step);

/* The root digest of what a tree's disk holds in plain; `open` NULL: it is plain, and in that order as it is. Reads everything. */
int recode_plain_root(struct store *store, const struct digest *root, struct cipher *open,
	struct digest *plain, struct error *err);
/* After the last step: reads both disks, and requires that they hold the same. ERROR_CORRUPT otherwise. */
int recode_verify(const struct recode_step *step, struct digest *plain_root, struct error *err);
