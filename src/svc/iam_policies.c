/*
 * The cache of principals' policies. Bundles (iam_policies_bundle.c) lie in shards of hash chains, each with a lock that is held for a look only, never while reading the metadata or compiling: two
 * threads that miss at once make the same bundle twice, and the later one stays. A bundle that is replaced lives on while a call's arena refers to it. A shard that is full is emptied, which costs
 * time only.
 */
#include "svc/iam_policies.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "svc/amid.h"
#include "svc/iam_policies_internal.h"
#include "base/banned.h"

enum { SHARD_MAX = 256 /* bundles */ };

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL; /* FNV-1a */
	return (hash ^ 0xff) * 0x100000001b3ULL; /* the end, so that no two tuples read the same */
}

#define HASH_BEGIN 0xcbf29ce484222325ULL

struct iam_policies *iam_policies_open(void)
{
	struct iam_policies *policies = memory_alloc(sizeof *policies);
	for (size_t i = 0; i < POLICIES_SHARDS; i++)
		pthread_mutex_init(&policies->shards[i].lock, NULL);
	policies_documents_open(policies);
	return policies;
}

static void empty_shard(struct bundle_shard *shard)
{
	for (size_t i = 0; i < POLICIES_BUCKETS; i++)
		while (shard->buckets[i]) {
			struct bundle *bundle = shard->buckets[i];
			shard->buckets[i] = bundle->next;
			bundle_release(bundle);
		}
	shard->count = 0;
}

void iam_policies_close(struct iam_policies *policies)
{
	if (!policies)
		return;
	for (size_t i = 0; i < POLICIES_SHARDS; i++) {
		empty_shard(&policies->shards[i]);
		pthread_mutex_destroy(&policies->shards[i].lock);
	}
	policies_documents_close(policies);
	free(policies);
}

uint32_t policies_counter_of(const char *kind, const char *account, const char *id)
{
	uint64_t hash = hash_text(hash_text(hash_text(HASH_BEGIN, kind), account), id);
	return (uint32_t)((hash ^ hash >> 32) % POLICIES_COUNTERS);
}

static void raise_counter(
	struct iam_policies *policies, const char *kind, const char *account, const char *id)
{
	atomic_fetch_add(&policies->counters[policies_counter_of(kind, account, id)], 1);
}

/* Those whose ARN named nothing when they were read wait for any policy of the account. */
void iam_policies_note(struct iam_policies *policies, const struct meta_change *change)
{
	if (!text_starts_with(change->kind, "iam_"))
		return;
	raise_counter(policies, change->kind, change->account, change->id);
	if (strcmp(change->kind, "iam_policy") == 0)
		raise_counter(policies, change->kind, change->account, "");
}

static bool is_current(struct iam_policies *policies, const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->dependency_count; i++) {
		const struct dependency *dependency = &bundle->dependencies[i];
		if (atomic_load(&policies->counters[dependency->counter]) != dependency->seen)
			return false;
	}
	return true;
}

/* Under the shard's lock. Its place, so that it can be taken out. */
static struct bundle **find_bundle(struct bundle_shard *shard, uint64_t hash, const char *key)
{
	struct bundle **place = &shard->buckets[hash / POLICIES_SHARDS % POLICIES_BUCKETS];
	while (*place && strcmp((*place)->key, key) != 0)
		place = &(*place)->next;
	return place;
}

/* With a reference for the caller; NULL: there is none, or it is out of date. */
static struct bundle *take_bundle(struct iam_policies *policies, uint64_t hash, const char *key)
{
	struct bundle_shard *shard = &policies->shards[hash % POLICIES_SHARDS];
	pthread_mutex_lock(&shard->lock);
	struct bundle *bundle = *find_bundle(shard, hash, key);
	if (bundle)
		atomic_fetch_add(&bundle->references, 1);
	pthread_mutex_unlock(&shard->lock);
	if (!bundle || is_current(policies, bundle))
		return bundle;
	bundle_release(bundle);
	return NULL;
}

static void store_bundle(struct iam_policies *policies, uint64_t hash, struct bundle *bundle)
{
	struct bundle_shard *shard = &policies->shards[hash % POLICIES_SHARDS];
	atomic_fetch_add(&bundle->references, 1);
	pthread_mutex_lock(&shard->lock);
	if (shard->count >= SHARD_MAX)
		empty_shard(shard);
	struct bundle **place = find_bundle(shard, hash, bundle->key), *old = *place;
	bundle->next = old ? old->next : NULL;
	*place = bundle;
	shard->count += !old;
	pthread_mutex_unlock(&shard->lock);
	if (old)
		bundle_release(old);
}

static void release_deferred(void *bundle)
{
	bundle_release(bundle);
}

/* The bundle of a key, from the cache or made; it lives as long as the arena. */
static int get_bundle(struct amid *amid, const struct principal *principal, bool session, const char *key,
	struct arena *arena, struct bundle **bundle, struct error *err)
{
	struct iam_policies *policies = amid->iam_policies;
	uint64_t hash = hash_text(HASH_BEGIN, key);
	*bundle = take_bundle(policies, hash, key);
	if (!*bundle) {
		if (bundle_make(amid, principal, session, key, bundle, err))
			return -1;
		store_bundle(policies, hash, *bundle);
	}
	arena_defer(arena, release_deferred, *bundle);
	return 0;
}

/* Whose record has the principal's policies; NULL: nobody's. */
static const char *identity_of(const struct principal *principal)
{
	switch (principal->type) {
	case PRINCIPAL_USER:
		return principal->id;
	case PRINCIPAL_ROLE_SESSION:
	case PRINCIPAL_FEDERATED_USER:
		return principal->issuer_id;
	case PRINCIPAL_ROOT:
	case PRINCIPAL_SERVICE:
		break;
	}
	return NULL;
}

/* Session policies have no record, so they are told apart by what they say. */
static const char *session_key(const struct principal *principal, struct arena *arena)
{
	struct digest_stream stream;
	struct digest digest;
	char hex[2 * DIGEST_SIZE + 1];
	digest_stream_begin(&stream);
	for (size_t i = 0; i < principal->session_policy_count; i++)
		digest_stream_add(
			&stream, principal->session_policies[i], strlen(principal->session_policies[i]) + 1);
	digest_stream_add(&stream, "", 1); /* no document is empty: here the ARNs begin */
	for (size_t i = 0; i < principal->session_policy_arn_count; i++)
		digest_stream_add(&stream, principal->session_policy_arns[i],
			strlen(principal->session_policy_arns[i]) + 1);
	digest_stream_end(&stream, &digest);
	return arena_printf(
		arena, "session/%s/%s", principal->account, text_hex(digest.bytes, sizeof digest.bytes, hex));
}

int iam_policies_collect(struct amid *amid, const struct principal *principal, struct arena *arena,
	struct policy_set *set, struct error *err)
{
	struct bundle *bundle;
	const char *identity = identity_of(principal);
	assert(amid->iam_policies);
	set->identity = set->boundary = set->session = (struct policy_list){ 0 };
	set->has_boundary = set->has_session = false;
	if (identity) {
		const char *key = arena_printf(arena, "%s/%s", principal->account, identity);
		if (get_bundle(amid, principal, false, key, arena, &bundle, err))
			return -1;
		set->identity = (struct policy_list){ bundle->policies, bundle->policy_count };
		set->boundary = (struct policy_list){ bundle->boundary, bundle->boundary_count };
		set->has_boundary = bundle->has_boundary;
	}
	if (principal->session_policy_count + principal->session_policy_arn_count == 0)
		return 0;
	if (get_bundle(amid, principal, true, session_key(principal, arena), arena, &bundle, err))
		return -1;
	set->session = (struct policy_list){ bundle->policies, bundle->policy_count };
	set->has_session = true;
	return 0;
}
