/* Block tokens: what ListSnapshotBlocks and ListChangedBlocks give for a block, and GetSnapshotBlock takes. */
#pragma once

#include "aws/call.h"
#include "base/digest.h"

enum { TOKEN_LIFETIME_MS = 7 * 24 * 3600 * 1000 };

/* A token for one block of one snapshot, good for the caller's account and region until `expires_ms`. */
const char *token_make(const struct call *call, const char *snapshot_id, uint64_t index,
	const struct digest *block, int64_t expires_ms);
/* Fills *block from a token for that block of that snapshot. ERROR_VALIDATION_BLOCK_TOKEN: it is not one, or it has expired. */
int token_read(const struct call *call, const char *token, const char *snapshot_id, uint64_t index,
	struct digest *block, struct error *err);
