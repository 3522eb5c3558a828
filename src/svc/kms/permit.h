/*
 * May this caller do that with this key? Its key policy and its grants, and IAM where the key policy hands over to the account, decide together: a grant that lists the operation, and whose constraints hold, counts as one more
 * statement of the key's policies, that allows its grantee.
 */
#pragma once

#include "policy/policy.h"
#include "svc/kms/common.h"

/* Condition keys of a request, as they are put together. Zeroed: none. */
struct kms_conditions {
	struct policy_context_key *items;
	size_t count;
};
/* NULL: no value, nothing is added. Texts are not copied. */
void kms_condition(
	struct arena *arena, struct kms_conditions *conditions, const char *name, const char *value);
void kms_condition_list(struct arena *arena, struct kms_conditions *conditions, const char *name,
	const char *const *values, size_t count);

/* What is asked for. */
struct kms_use {
	const char *action;                              /* "Decrypt" */
	bool grantable;                                  /* a grant can allow it */
	bool through_ec2;                                /* EC2 does it for the caller: kms:ViaService */
	const struct kms_EncryptionContextType *context; /* NULL: not an operation that has one */
	const struct kms_GrantTokenList *tokens;         /* NULL: none */
	const struct kms_grant_record *grant;            /* CreateGrant: what is asked for; else NULL */
	const struct kms_grant_record *retired; /* RetireGrant: which; its principals may; else NULL */
	struct kms_conditions conditions;       /* further ones */
};

/* -1: ERROR_ACCESS_DENIED, InvalidGrantTokenException; ValidationException: a context that is too large. */
int kms_permit(struct call *call, const struct kms_key *key, const struct kms_use *use, struct error *err);
/* The same for what has neither encryption context nor grants: kms_permit_action(call, &key, "EnableKey", err). */
int kms_permit_action(struct call *call, const struct kms_key *key, const char *action, struct error *err);
/* What is about no key: "ListKeys" on "*", "CreateAlias" on the alias. `conditions` may be NULL. IAM alone decides. */
int kms_permit_plain(struct call *call, const char *action, const char *resource,
	const struct kms_conditions *conditions, struct error *err);
/*
 * Whether a document is a key policy (MalformedPolicyDocumentException) and, if `safe`, the caller could change it again under it. *kept is what goes into the key's record: the document with the ids of users and roles in place of
 * their ARNs, see svc/policy_principals.h.
 */
int kms_check_policy(struct call *call, const struct kms_key *key, const char *document, bool safe,
	const char **kept, struct error *err);
