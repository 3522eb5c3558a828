/*
 * Client tokens: a request that is sent again with the token of one that was carried out makes nothing new, and is answered with what that one made.
 *
 *	struct idempotency once;
 *	if (idempotency_begin(call, meta, request, ERROR_IDEMPOTENT_MISMATCH, &once, err) < 0)
 *		return -1;
 *	if (once.done)
 *		return answer_with(call, once.resource_ids, once.resource_count, result, err);
 *	... put the new resources into the batch ...
 *	idempotency_record(&once, batch, ids, count);
 *	return idempotency_commit(&once, batch, err);
 *
 * The token is remembered in the transaction that makes the resources, for a day. Two equal requests at the same time: one wins, the other is run again (ERROR_CONFLICT) and
 * finds what the first made. Without a token all of this does nothing but commit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "aws/call.h"
#include "base/error.h"
#include "meta/meta.h"

struct idempotency {
	bool done; /* carried out before, with the same parameters: */
	const char *const *resource_ids;
	size_t resource_count;
	/* private */
	struct call *call;
	struct meta *meta;
	struct client_token_record *record; /* NULL: the request has no token */
};

/*
 * Looks the request's token up: it is the member that the tables call so. The same token with other parameters (the token and DryRun apart) is an error with the code `mismatch`. A token that
 * is too long: ERROR_INVALID_PARAMETER_VALUE.
 */
int idempotency_begin(struct call *call, struct meta *meta, const void *request, enum error_code mismatch,
	struct idempotency *idempotency, struct error *err);
/* Puts the token with the ids of what the request makes into the batch. */
void idempotency_record(
	struct idempotency *idempotency, struct meta_batch *batch, const char *const *ids, size_t count);
/* meta_commit, which says ERROR_CONFLICT if meanwhile another request with this token was carried out. */
int idempotency_commit(struct idempotency *idempotency, struct meta_batch *batch, struct error *err);
/* Deletes the tokens of all accounts that have expired. To be called now and then. */
int idempotency_sweep(struct meta *meta, struct error *err);
