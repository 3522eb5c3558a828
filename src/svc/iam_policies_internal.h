/* The parts of the cache of principals' policies, for its own files: iam_policies.c, iam_policies_bundle.c, iam_policies_documents.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "svc/iam_policies.h"

enum {
	POLICIES_COUNTERS = 4096, /* two records may share one: then a change of either costs both a look */
	POLICIES_SHARDS = 16,
	POLICIES_BUCKETS = 64,
};

/* The state of a record when it was read: its counter, and how that stood before. */
struct dependency {
	uint32_t counter;
	uint64_t seen;
};

/* What governs a principal; immutable but for `references` and `next`, all in its own arena. */
struct bundle {
	struct arena *arena;
	atomic_uint references;
	struct bundle *next; /* of its bucket */
	const char *key;
	struct policy_named *policies; /* of the identity or of the session */
	size_t policy_count;
	struct policy_named *boundary; /* one or none */
	size_t boundary_count;
	bool has_boundary;
	struct dependency *dependencies;
	size_t dependency_count;
};

struct bundle_shard {
	pthread_mutex_t lock;
	struct bundle *buckets[POLICIES_BUCKETS];
	size_t count;
};

struct document;

struct iam_policies {
	atomic_ullong counters[POLICIES_COUNTERS];
	struct bundle_shard shards[POLICIES_SHARDS];
	pthread_mutex_t documents_lock;
	struct document **documents; /* hash chains */
	size_t document_count;
};

/* documents.c: the compiled documents. */
void policies_documents_open(struct iam_policies *policies);
void policies_documents_close(struct iam_policies *policies);

/* Which counter a record has. id "": any record of the kind in the account. */
uint32_t policies_counter_of(const char *kind, const char *account, const char *id);

/* bundle.c: makes the bundle of a principal, or (session) of its session's policies, from the metadata. The caller has the only reference. */
int bundle_make(struct amid *amid, const struct principal *principal, bool session, const char *key,
	struct bundle **bundle, struct error *err);
void bundle_release(struct bundle *bundle);
