/* What the handlers of Organizations share: the caller's organization, and its tree of root, units and accounts. */
#pragma once

#include "api/organizations.h"
#include "api/records.h"
#include "aws/call.h"
#include "aws/page.h"
#include "svc/amid.h"
#include "svc/organization.h"

enum org_reader { ORG_MEMBER, ORG_MANAGEMENT };

/* The caller's organization; ERROR_ORG_NOT_IN_USE. With ORG_MANAGEMENT for its management account only: ERROR_ACCESS_DENIED. */
int org_open(struct call *call, enum org_reader reader, struct organization_record **organization,
	struct error *err);
/*
 * Puts the organization into the batch and commits: so all changes of a tree come one after the other, and what a handler has read of it still holds when it commits. A handler that changes the root's policies or tags
 * changes them in the organization's record, and puts nothing else for it.
 */
int org_commit(struct call *call, struct meta_batch *batch, const struct organization_record *organization,
	struct error *err);

enum org_type { ORG_NONE, ORG_ROOT, ORG_UNIT, ORG_ACCOUNT };

/* The root, a unit or an account. What the pointers point at may be changed, then org_node_put. */
struct org_node {
	enum org_type type; /* ORG_NONE: there is no such thing */
	const char *id, *name, *arn;
	const char *parent; /* an id; NULL: it is the root */
	struct record_string_list *policies;
	struct record_tag_list *tags;
	struct organization_unit_record *unit; /* one of both, by type */
	struct account_record *account;
};
int org_node_find(struct call *call, struct organization_record *organization, const char *id,
	struct org_node *node, struct error *err);
/* The same of a root or unit only; any other: the error `missing`. */
int org_parent_find(struct call *call, struct organization_record *organization, const char *id,
	enum error_code missing, struct org_node *node, struct error *err);
/* Nothing for the root: org_commit puts it. */
void org_node_put(struct meta_batch *batch, const struct org_node *node);
struct org_node org_node_of_unit(struct call *call, const struct organization_record *organization,
	struct organization_unit_record *unit);
struct org_node org_node_of_account(
	struct call *call, const struct organization_record *organization, struct account_record *account);
struct org_node org_node_of_root(struct call *call, struct organization_record *organization);
/* All units, or all accounts, in order of id. */
int org_list_units(struct call *call, const struct organization_record *organization, struct meta_rows *rows,
	struct error *err);
int org_list_accounts(struct call *call, const struct organization_record *organization,
	struct meta_rows *rows, struct error *err);
/* "o-a/r-b/ou-c/": of a node, itself included. */
int org_path_of(struct call *call, struct organization_record *organization, const struct org_node *node,
	const char **path, size_t *depth, struct error *err);

/* Lists of texts in records. */
bool org_has(const struct record_string_list *list, const char *text);
void org_add(struct record_string_list *list, const char *text, struct arena *arena);
void org_remove(struct record_string_list *list, const char *text);

/* ARNs: "arn:aws:organizations::MANAGEMENT:KIND/ORGANIZATION/ID". */
char *org_arn(
	struct call *call, const struct organization_record *organization, const char *kind, const char *id);
/* `count` random small letters and digits behind `prefix`. */
char *org_random_id(struct arena *arena, const char *prefix, unsigned count);

/* Pages of 20. */
int org_page_open(struct call *call, struct shape_integer max_results, const char *next_token,
	struct page *page, struct error *err);

/* Tags as records have them; `old` NULL: none so far. ERROR_ORG_SYSTEM_TAG, ERROR_ORG_TAGS_MAX. */
int org_tags_merge(struct call *call, const struct organizations_Tags *added, struct record_tag_list *tags,
	struct error *err);

struct organizations_Account *org_show_account(struct call *call, struct organization_record *organization,
	struct account_record *account, struct error *err);
