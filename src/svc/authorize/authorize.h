/*
 * May this caller do that? Collects what governs a request (IAM policies of the caller, its boundary and session, the organization's, the resource's own) and has src/policy evaluate it.
 *
 * The door asks authorize_call before every handler, before it tells about DryRun; there is no way around it. Handlers of resources with policies of their own (keys, roles) ask authorize_check
 * when they have read the resource.
 */
#pragma once

#include "aws/call.h"
#include "policy/policy.h"

/* One action on one resource. */
struct authorize_request {
	const char *action;           /* "kms:Decrypt" */
	const char *resource;         /* ARN, or "*" */
	const char *resource_account; /* NULL: the caller's */
	struct policy_list resource_policies;
	bool resource_decides_alone, resource_reaches_out; /* see policy_set */
	const struct policy_context_key *
		context; /* of the resource and the request; the keys of the caller and the connection (aws:...) are added */
	size_t context_count;
};

/*
 * The door's question, made by the generated tables and the resources that the decoded `input` names. -1: ERROR_UNAUTHORIZED (ec2, with an encoded message), ERROR_ACCESS_DENIED_QUERY (query) or
 * ERROR_ACCESS_DENIED (json), in the words of the service.
 */
int authorize_call(struct call *call, const void *input, struct error *err);
/* Whether the caller is the operator: the root of the account made at the first start; with --auth any, everybody. */
int authorize_is_operator(struct call *call, bool *is_operator, struct error *err);
/* 0: allowed; -1 as above. */
int authorize_check(struct call *call, const struct authorize_request *request, struct error *err);
/* The same without an error: what was decided and why, for explanations, simulations and the audit trail. `principal` may be somebody else than the caller. -1: it could not be found out. */
int authorize_evaluate(struct amid *amid, const struct principal *principal, const struct call *call,
	const struct authorize_request *request, struct arena *arena, struct policy_result *result,
	struct error *err);
