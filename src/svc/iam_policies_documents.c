/*
 * Compiled documents, found by the SHA-256 of their text and what they are for: so they cannot be out of date. When there are too many all are forgotten; who uses one keeps it. The lock is not held
 * while compiling: two threads may compile the same, and the later one's is dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "svc/iam_policies_internal.h"
#include "base/banned.h"

enum { BUCKETS = 1024, DOCUMENTS_MAX = 8192 };

struct document {
	struct document *next;
	struct digest digest;
	enum policy_kind kind;
	struct policy *policy;
};

void policies_documents_open(struct iam_policies *policies)
{
	pthread_mutex_init(&policies->documents_lock, NULL);
	policies->documents = memory_alloc(BUCKETS * sizeof(struct document *));
}

static void forget_all(struct iam_policies *policies)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (policies->documents[i]) {
			struct document *document = policies->documents[i];
			policies->documents[i] = document->next;
			policy_release(document->policy);
			free(document);
		}
	policies->document_count = 0;
}

void policies_documents_close(struct iam_policies *policies)
{
	forget_all(policies);
	free(policies->documents);
	pthread_mutex_destroy(&policies->documents_lock);
}

/* Under the lock. */
static struct document **find_document(
	struct iam_policies *policies, enum policy_kind kind, const struct digest *digest)
{
	struct document **place = &policies->documents[(digest->bytes[0] | digest->bytes[1] << 8) % BUCKETS];
	while (*place && ((*place)->kind != kind || !digest_equal(&(*place)->digest, digest)))
		place = &(*place)->next;
	return place;
}

static struct policy *take(struct iam_policies *policies, enum policy_kind kind, const struct digest *digest)
{
	pthread_mutex_lock(&policies->documents_lock);
	struct document *found = *find_document(policies, kind, digest);
	struct policy *policy = found ? policy_retain(found->policy) : NULL;
	pthread_mutex_unlock(&policies->documents_lock);
	return policy;
}

static void store(struct iam_policies *policies, enum policy_kind kind, const struct digest *digest,
	struct policy *policy)
{
	pthread_mutex_lock(&policies->documents_lock);
	if (policies->document_count >= DOCUMENTS_MAX)
		forget_all(policies);
	struct document **place = find_document(policies, kind, digest);
	if (!*place) {
		*place = memory_alloc(sizeof **place);
		**place =
			(struct document){ .digest = *digest, .kind = kind, .policy = policy_retain(policy) };
		policies->document_count++;
	}
	pthread_mutex_unlock(&policies->documents_lock);
}

int iam_policies_compile(struct iam_policies *policies, enum policy_kind kind, const char *document,
	struct policy **policy, struct error *err)
{
	struct digest digest;
	digest_sha256(document, strlen(document), &digest);
	*policy = take(policies, kind, &digest);
	if (*policy)
		return 0;
	if (policy_compile(kind, document, strlen(document), policy, err))
		return -1;
	store(policies, kind, &digest, *policy);
	return 0;
}
