/* The policies that a simulation is about. Everything lies in the call's arena, which releases the compiled ones. */
#pragma once

#include "svc/iam/policies.h"

struct simulated_policy {
	struct policy *policy;
	const char *id, *type; /* as MatchedStatements has them: "PolicyInputList.1", "none" */
};

struct simulated_list {
	struct simulated_policy *items;
	size_t count;
};

struct simulation {
	struct call *call;
	struct simulated_list identity, boundary, resource;
	bool has_boundary;
	struct policy_list *organization; /* a list for each level */
	size_t organization_count;
	/* of whom: the principal's record (kind NULL: nobody's) */
	struct iam_entity source;
};

/* Adds a document: ERROR_INVALID if it does not compile; the message names it by `id`. */
int simulation_add(struct simulation *simulation, struct simulated_list *list, enum policy_kind kind,
	const char *document, const char *id, const char *type, struct error *err);
/* Adds a list of documents of a request, "NAME.1", ... */
int simulation_add_input(struct simulation *simulation, struct simulated_list *list,
	const struct iam_SimulationPolicyListType *documents, const char *name, struct error *err);
/* Adds all that a user, group or role of the account has (of a user its groups' too), its boundary included. ERROR_NO_SUCH_ENTITY, ERROR_INVALID for another ARN. */
int simulation_add_principal(struct simulation *simulation, const char *arn, struct error *err);

/* Adds the service control policies of the account's organization, where they hold: not for its management account. */
int simulation_add_organization(struct simulation *simulation, struct error *err);
/* A list as policy_evaluate takes it; names are the ids. */
struct policy_list simulation_named(struct call *call, const struct simulated_list *list);
