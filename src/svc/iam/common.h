/*
 * What the files of IAM share: users, groups, roles, policies and instance profiles seen as one kind of thing with a name, a path, tags and policies; checks of names; pages; how parts of them are
 * shown. Everything runs on the thread of a call and lies in its arena.
 *
 * IAM is global: its records have no region. Every change of a thing puts its record, and whatever comes to refer to a thing puts that thing's record too (iam_touch): so of a deletion and a
 * reference that are made at the same time one meets a conflict and is run again.
 */
#pragma once

#include <stddef.h>

#include "api/iam.h"
#include "api/records.h"
#include "aws/call.h"
#include "aws/page.h"
#include "svc/amid.h"

/* A kind of named thing. Offsets are those in its record's struct; 0: the kind has no such member. */
struct iam_kind {
	const struct record_kind *records;
	const char *noun;      /* "user", as messages have it */
	const char *parameter; /* "userName" */
	const char *arn_type;  /* "user", as ARNs have it */
	const char *id_prefix; /* "AIDA" */
	size_t name, key, path, created, boundary, inline_policies, attached_policies, tags;
	/* quotas */
	unsigned in_account;  /* how many an account may have ... */
	const char *quota;    /* ... and what that is called */
	unsigned inline_size; /* of all inline policies together, white space apart */
};
extern const struct iam_kind iam_users, iam_groups, iam_roles, iam_policies, iam_profiles;

enum {
	IAM_TAGS_MAX = 50,
	IAM_ATTACHED_MAX = 10,
	IAM_GROUPS_OF_USER_MAX = 10,
	IAM_KEYS_OF_USER_MAX = 2,
	IAM_VERSIONS_MAX = 5,
	IAM_POLICY_SIZE = 6144, /* of a managed policy, white space apart */
	IAM_TRUST_SIZE = 2048,
};

/* A record of any of the kinds, with pointers to what they have in common, and (NULL: the kind has none) to what most have. */
struct iam_entity {
	const struct iam_kind *kind;
	struct record *record; /* the kind's C struct */
	const char **name, **key, **path;
	struct shape_timestamp *created;
	const char **boundary;
	struct record_inline_policy_list *inline_policies;
	struct record_string_list *attached_policies;
	struct record_tag_list *tags;
};
struct iam_entity iam_entity_of(const struct iam_kind *kind, void *record);

/* Names, paths, documents: ERROR_VALIDATION_QUERY. The tables have checked their lengths. */
int iam_check_name(const char *parameter, const char *name, struct error *err);
int iam_check_path(const char *path, struct error *err);
int iam_check_path_prefix(const char *prefix, struct error *err);

/* By its name; ERROR_NO_SUCH_ENTITY. */
int iam_find(struct call *call, const struct iam_kind *kind, const char *name, struct iam_entity *found,
	struct error *err);
/* By its id; found->record is NULL if there is none. */
int iam_find_id(struct call *call, const struct iam_kind *kind, const char *id, struct iam_entity *found,
	struct error *err);
/* Every record of a kind in the account, or those with a value of an index, in order of their names. */
int iam_list(struct call *call, const struct iam_kind *kind, const char *index, const char *value,
	struct meta_rows *rows, struct error *err);
/*
 * Makes a new thing of `record` (the kind's struct, else empty): id, name, key, path ("/" for NULL), creation. Checks name, path, that the name is free (ERROR_ENTITY_EXISTS) and the account's
 * quota (ERROR_LIMIT_EXCEEDED).
 */
int iam_begin(struct call *call, const struct iam_kind *kind, const char *name, const char *path,
	void *record, struct error *err);
/* Gives a thing another name and path; NULL: as it is. */
int iam_rename(
	struct call *call, struct iam_entity *entity, const char *name, const char *path, struct error *err);

/* A new id: the prefix and 17 letters and digits. */
char *iam_make_id(struct arena *arena, const char *prefix);
/* "arn:aws:iam::111122223333:user/path/name" */
const char *iam_arn(struct call *call, const struct iam_entity *entity);

/* Batches. iam_commit turns a name that was taken meanwhile into a conflict, so that the handler is run again and says so. */
struct meta_batch *iam_batch(struct call *call);
void iam_touch(struct meta_batch *batch, const struct iam_entity *entity);
int iam_commit(struct call *call, struct meta_batch *batch, struct error *err);
/* Puts one thing and commits. */
int iam_store(struct call *call, const struct iam_entity *entity, struct error *err);

/* A list answer: items are offered in order of their sort texts. */
int iam_page_open(struct call *call, struct shape_integer max_items, const char *marker, struct page *page,
	struct error *err);
/* Whether the item belongs on this page; *full: neither it nor any behind it. */
bool iam_page_take(struct page *page, const char *sort, bool *full);
/* IsTruncated and Marker of an answer. */
#define IAM_PAGE_CLOSE(page, result) \
	do { \
		(result)->marker = page_close(page); \
		(result)->is_truncated = some_boolean((result)->marker != NULL); \
	} while (0)

/* Tags: keys are unique without regard to case, at most 50. */
int iam_add_tags(struct call *call, const struct iam_tagListType *tags, struct record_tag_list *list,
	struct error *err);
struct iam_tagListType iam_show_tags(struct call *call, const struct record_tag_list *tags);

/* A document as answers have it: percent-encoded (RFC 3986). */
const char *iam_encode_document(struct arena *arena, const char *document);
struct iam_AttachedPermissionsBoundary *iam_show_boundary(struct call *call, const char *arn);

struct iam_User iam_show_user(struct call *call, struct iam_user_record *user);
struct iam_Group iam_show_group(struct call *call, struct iam_group_record *group);
int iam_show_role(struct call *call, struct iam_role_record *role, struct iam_Role *shown, struct error *err);
int iam_show_profile(struct call *call, struct instance_profile_record *profile,
	struct iam_InstanceProfile *shown, struct error *err);
