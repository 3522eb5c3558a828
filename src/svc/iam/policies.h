/* Policies of users, groups and roles, and managed policies, for the files of this folder. */
#pragma once

#include "policy/policy.h"
#include "svc/iam/common.h"
#include "svc/iam_managed.h"

/* A managed policy: AWS's or the account's. */
struct iam_policy {
	const char *arn, *name, *path, *id, *description, *default_version;
	struct shape_timestamp created, updated;
	const struct iam_managed_policy *managed; /* AWS's; else NULL */
	struct iam_policy_record *record;         /* the account's; else NULL */
};

void iam_policy_of_managed(const struct iam_managed_policy *managed, struct iam_policy *policy);
void iam_policy_of_record(struct iam_policy_record *record, struct iam_policy *policy);
/* By its ARN: ERROR_NO_SUCH_ENTITY, ERROR_INVALID for one that is no policy's. */
int iam_find_policy(struct call *call, const char *arn, struct iam_policy *policy, struct error *err);
/* The same; *policy is zeroed if there is none. */
int iam_look_up_policy(struct call *call, const char *arn, struct iam_policy *policy, struct error *err);
/* The text of its default version. */
const char *iam_policy_document(const struct iam_policy *policy);
/* The account's own, or ERROR_ACCESS_DENIED_QUERY: nobody changes AWS's. */
int iam_find_own_policy(
	struct call *call, const char *arn, struct iam_policy_record **policy, struct error *err);

/* Whether a document is one that IAM takes; `kind` is what it is for. */
int iam_check_document(enum policy_kind kind, const char *document, struct error *err);
/* The same of a managed policy, which has a size of its own and the language's later version. */
int iam_check_managed_document(const char *document, struct error *err);
/* Its size as quotas count it: without white space. */
size_t iam_document_size(const char *document);

/* Makes a managed policy the permissions boundary; puts what that touches into the batch, but not the entity. */
int iam_set_boundary(struct call *call, struct iam_entity *entity, const char *arn, struct meta_batch *batch,
	struct error *err);
/* ERROR_DELETE_CONFLICT while anything has policies. */
int iam_check_bare(const struct iam_entity *entity, struct error *err);
/* ERROR_UNMODIFIABLE_ENTITY: a service's own role changes only through that service. */
int iam_check_modifiable(const struct iam_entity *entity, struct error *err);

/* Who has a policy: in how many users, groups and roles it is attached, or (boundary) is the boundary. */
int iam_count_attachments(
	struct call *call, const char *arn, int64_t *attached, int64_t *boundaries, struct error *err);

struct iam_attachedPoliciesListType iam_show_attached(
	struct call *call, const struct record_string_list *arns);
struct iam_policyDetailListType iam_show_inline(
	struct call *call, const struct record_inline_policy_list *policies);
