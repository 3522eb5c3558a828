/*
 * Which IAM policies govern a principal, compiled: its own and attached ones, those of its groups, its boundary, those of its session. A change of any of them holds from the call that follows it.
 *
 * What a principal has is remembered (a bundle), with the state of everything that it was made of. That state is a counter for each record (a table of counters, by hash), which the metadata's
 * listener raises after a change has been committed and before the commit returns. A bundle is made by reading the counter first and the record after it, and is used only while all its counters
 * stand as they were read: nothing is told to the cache, so nothing can be lost on the way to it. Documents are compiled once, and found by their SHA-256.
 */
#pragma once

#include "aws/principal.h"
#include "base/arena.h"
#include "base/error.h"
#include "meta/meta.h"
#include "policy/policy.h"

struct amid;
struct iam_policies;

struct iam_policies *iam_policies_open(void);
void iam_policies_close(struct iam_policies *policies); /* NULL is legal; nobody collects any more */
/* For the metadata's listener, of every change. Quick; does not call meta. */
void iam_policies_note(struct iam_policies *policies, const struct meta_change *change);

/*
 * Fills identity, boundary and session of *set (all else is left alone) with what governs the principal; the policies live as long as the arena. Nothing for root users and services: they have none. A principal that is
 * gone has no policies. A boundary that is gone allows nothing. -1: the metadata could not be read, or a stored document does not compile; then nothing is allowed. Safe from every thread.
 */
int iam_policies_collect(struct amid *amid, const struct principal *principal, struct arena *arena,
	struct policy_set *set, struct error *err);
/* A compiled document, from the cache; to be released by the caller. Safe from every thread. */
int iam_policies_compile(struct iam_policies *policies, enum policy_kind kind, const char *document,
	struct policy **policy, struct error *err);
