/*
 * IAM's policy language: documents are compiled once, and requests are evaluated against sets of them, as the IAM User Guide's "Policy evaluation logic" says. Knows no record, no account's
 * data and no service: who attached what to whom is the caller's business (src/svc/authorize).
 *
 * Compiled policies are immutable, counted, and may be used by many threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* What a document is for decides what it may and must say: only resource and trust policies have Principal, trust policies no Resource. */
enum policy_kind {
	POLICY_IDENTITY, /* attached to or inline in a user, group or role; also permission boundaries and session policies */
	POLICY_RESOURCE,     /* on a key or another resource: has Principal */
	POLICY_TRUST,        /* of a role: who may assume it */
	POLICY_ORGANIZATION, /* a service control policy */
};

struct policy;

/*
 * Compiles a document. -1 with ERROR_MALFORMED_POLICY_DOCUMENT, and a message that names the statement and the element at fault, if it is not one that IAM would take.
 */
int policy_compile(
	enum policy_kind kind, const char *document, size_t size, struct policy **policy, struct error *err);
struct policy *policy_retain(struct policy *policy);
void policy_release(struct policy *policy); /* NULL is legal */
/* Its Version element, or NULL: it has none, and is of the language's first version. Managed policies must have the later one. */
const char *policy_language_version(const struct policy *policy);

/* Who asks, for Principal elements. */
enum policy_caller_type {
	POLICY_CALLER_ROOT,
	POLICY_CALLER_USER,
	POLICY_CALLER_ROLE_SESSION,
	POLICY_CALLER_FEDERATED_USER,
	POLICY_CALLER_WEB_IDENTITY,
	POLICY_CALLER_SERVICE,
	POLICY_CALLER_ANONYMOUS
};
struct policy_caller {
	enum policy_caller_type type;
	const char *
		account; /* 12 digits; not looked at for services, web identities and anonymous callers, which are of none */
	const char *arn; /* of the user, root, or assumed-role session */
	const char *
		id; /* its unique id: a user's AIDA..., a role's AROA... without the session's name; what a Principal that named it has become */
	const char *issuer_arn; /* the role (arn:aws:iam::A:role/...) behind a session; else NULL */
	const char *service;    /* "ec2.amazonaws.com" or a web identity's provider; else NULL */
};

/* A context key with its values; several values make it multivalued (aws:TagKeys). Names are compared without regard to case. */
struct policy_context_key {
	const char *name; /* "aws:SourceIp", "ec2:ResourceTag/Stage" */
	const char *const *values;
	size_t value_count;
};

struct policy_request {
	const char *action;           /* "ec2:RunInstances" */
	const char *resource;         /* an ARN, or "*" for actions that have none */
	const char *resource_account; /* who owns it; NULL: the caller's account */
	struct policy_caller caller;
	const struct policy_context_key *context;
	size_t context_count;
};

/* A list of policies, with names for the result. */
struct policy_named {
	struct policy *policy;
	const char *name; /* an ARN or "inline:NAME"; shown in results */
};
struct policy_list {
	const struct policy_named *items;
	size_t count;
};

/*
 * What governs a request. A list that does not apply has `present` unset, which is not the same as one that is empty: an empty boundary allows nothing.
 */
struct policy_set {
	struct policy_list identity;
	struct policy_list resource; /* of the resource, usually one */
	bool resource_decides_alone; /* KMS keys, role trust: identity policies count only where the resource policy hands over to the account (its root as Principal) */
	bool resource_reaches_out; /* a KMS grant: whom the resource's policies name themselves needs no identity policy in another account either */
	bool has_boundary, has_session;
	struct policy_list boundary;
	struct policy_list session;
	const struct policy_list
		*organization; /* one list for each level: root, OUs, account; each level must allow */
	size_t organization_count;
};

enum policy_decision { POLICY_IMPLICIT_DENY, POLICY_EXPLICIT_DENY, POLICY_ALLOWED };

/* Which policies decided: for encoded messages, the audit trail, and explanations. */
enum policy_source {
	POLICY_SOURCE_NONE,
	POLICY_SOURCE_IDENTITY,
	POLICY_SOURCE_RESOURCE,
	POLICY_SOURCE_BOUNDARY,
	POLICY_SOURCE_SESSION,
	POLICY_SOURCE_ORGANIZATION,
	POLICY_SOURCE_ROOT
};
struct policy_match {
	enum policy_source source; /* implicit denials: where an Allow was missing */
	const char *policy;        /* name of the policy, NULL: none */
	unsigned statement;        /* index, from 0 */
	const char *sid;           /* NULL: none */
};
struct policy_result {
	enum policy_decision decision;
	struct policy_match match; /* of the deciding Allow or Deny */
	/* For SimulateCustomPolicy and explanations; collected in `arena` of the call if that is not NULL: */
	const char **missing_keys; /* context keys that conditions asked for and the request lacks */
	size_t missing_count;
	struct policy_match *
		matches; /* every statement that applies: the Denies of an explicit denial, else the Allows, of all lists */
	size_t match_count;
};

/*
 * Evaluates a request: explicit denies of any policy first; then each level of the organization's policies; then, within an account, resource policies or (boundary and session and identity) policies; across accounts both.
 * The account's root is allowed what no organization policy denies, but for resources that decide alone. A federated user without session policies is allowed nothing but what a resource's policy
 * allows it by name. A caller without an account (a service, a web identity, anybody) is allowed what the resource's policy allows. `arena` may be NULL: then nothing is collected, and nothing allocated.
 * Cannot fail.
 */
void policy_evaluate(const struct policy_set *set, const struct policy_request *request, struct arena *arena,
	struct policy_result *result);

/* Where a statement stands in its document, from its brace to behind the other one: lines and columns count from 1. -1: there is no such statement. */
struct policy_position {
	unsigned line, column;
};
int policy_locate_statement(const struct policy *policy, unsigned statement, struct policy_position *start,
	struct policy_position *end);

/* For other gates that speak this language: wildcards `*` and `?`, which cross colons; actions without regard to case. No variables. */
bool policy_match_action(const char *pattern, const char *action);
bool policy_match_arn(const char *pattern, const char *arn);
/* The keys that a policy's conditions and variables ask for, without repetition: GetContextKeysForCustomPolicy. */
void policy_list_context_keys(
	const struct policy *policy, struct arena *arena, const char ***keys, size_t *count);
