/* What the files of this folder share: kinds of resources, the table of operations, the targets of a call, condition keys. */
#pragma once

#include "api/records.h"
#include "svc/amid.h"
#include "svc/authorize/authorize.h"

/* ---- kinds of resources, as ARNs name them (resource.c) ---- */

enum resource_type {
	RESOURCE_ANY, /* "*": the action knows no resources */
	RESOURCE_IMAGE,
	RESOURCE_INSTANCE,
	RESOURCE_KEY_PAIR,
	RESOURCE_NETWORK_INTERFACE, /* has no record: a subnet's stands for one that is to be made */
	RESOURCE_REPLACE_TASK,
	RESOURCE_SECURITY_GROUP,
	RESOURCE_SECURITY_GROUP_RULE,
	RESOURCE_SNAPSHOT,
	RESOURCE_SUBNET,
	RESOURCE_VOLUME,
	RESOURCE_VPC,
	RESOURCE_RETENTION_RULE,
	RESOURCE_USER,
	RESOURCE_GROUP,
	RESOURCE_ROLE,
	RESOURCE_POLICY,
	RESOURCE_INSTANCE_PROFILE,
	RESOURCE_TYPE_COUNT
};

struct resource_kind {
	const char *name;    /* in ARNs and tag specifications: "security-group" */
	const char *service; /* in ARNs; global services have no region there */
	bool global;
	bool public_arn; /* images and snapshots: the account's field of the ARN is empty */
	const struct record_kind *record;
	const char *prefix; /* of ids: "ami"; NULL: named by name */
	const char *index;  /* by which a name is found; NULL: only ids */
	const char *
		arn_member; /* what of the record the ARN ends with; NULL: its id. "path": the path and the name */
};
extern const struct resource_kind resource_kinds[RESOURCE_TYPE_COUNT];

/* The kind whose ids begin as this one does; RESOURCE_ANY: none. */
enum resource_type resource_type_of_id(const char *id);
enum resource_type resource_type_of_name(const char *name);

/* ---- what a call acts on (target.c) ---- */

/* One resource, and the action on it that must be allowed. */
struct target {
	const char *action;
	enum resource_type type;
	const char *arn;
	const char *id;            /* or name, as asked for; NULL: to be made */
	const char *region;        /* where it is; NULL: the call's */
	const char *create_action; /* ec2:CreateAction, of tags that come with something new; else NULL */
	const char *passed_to;     /* iam:PassedToService; else NULL */
	/* Of an existing one its record, read at most once, when something asks for it; of one to be made, what is asked for, as the record that it would become. NULL: none. */
	bool loaded;
	const void *record;
};

struct target_list {
	struct call *call;
	const struct operation *operation;
	const char *service; /* prefix of actions: "ec2" */
	const void *input;
	struct target *items;
	size_t count;
};

/* ---- the table of operations (table*.c) ---- */

enum rule_how {
	RULE_END,
	RULE_ID,           /* each id at `member` */
	RULE_ID_OR_EVERY,  /* likewise; without any: TYPE and a star */
	RULE_NAME,         /* each name at `member` */
	RULE_NAME_OR_SELF, /* the user named at `member`, or else the caller */
	RULE_ARN,          /* each ARN at `member` */
	RULE_NEW,          /* one to be made: TYPE and a star */
	RULE_NEW_NAMED,    /* one to be made, whose name is at `member` */
	RULE_TAGGED,       /* each id at `member`, of whatever type */
	RULE_EVERY,        /* "*" */
	RULE_TAGS_WITH,    /* if `member` is there: `action` too, on what the rules before have found */
	RULE_FIND,         /* `find` adds what there is */
	RULE_FREE,         /* needs no permission */
	RULE_BY_HANDLER, /* the handler asks authorize_check, when it has read the resource with its policy */
};

struct rule {
	enum rule_how how;
	enum resource_type type;
	const char *member; /* a path in the request: "BlockDeviceMappings.Ebs.SnapshotId" */
	const char *action; /* NULL: the operation's own */
	int (*find)(struct target_list *list, struct error *err);
};

/* What an operation acts on: everything that its rules find must be allowed. */
struct table_row {
	const char *operation;
	const struct rule *rules; /* ended by RULE_END */
};

/* clang-format off */
#define ROW(operation, ...) { #operation, (const struct rule[]){ __VA_ARGS__, { RULE_END } } }
#define ID(type, member) { RULE_ID, RESOURCE_##type, member }
#define ID_OR_EVERY(type, member) { RULE_ID_OR_EVERY, RESOURCE_##type, member }
#define NAME(type, member) { RULE_NAME, RESOURCE_##type, member }
#define NAME_OR_SELF(member) { RULE_NAME_OR_SELF, RESOURCE_USER, member }
#define ARN(type, member) { RULE_ARN, RESOURCE_##type, member }
#define NEW(type) { RULE_NEW, RESOURCE_##type }
#define NEW_NAMED(type, member) { RULE_NEW_NAMED, RESOURCE_##type, member }
#define TAGGED(path) { RULE_TAGGED, .member = path }
#define EVERY { RULE_EVERY }
#define FREE { RULE_FREE }
#define BY_HANDLER { RULE_BY_HANDLER }
#define FIND(function) { RULE_FIND, .find = function }
#define TAGS_WITH(path, with) { RULE_TAGS_WITH, .member = path, .action = with }
/* clang-format on */

struct table {
	const char *service;          /* as struct service names it */
	const char *prefix;           /* of its actions */
	const struct table_row *rows; /* in order of name */
	size_t count;
};
extern const struct table table_ec2, table_ebs, table_rbin, table_sts, table_iam, table_kms,
	table_organizations, table_cloudtrail;
/* NULL: the service has no table. */
const struct table *table_of_service(const char *service);
/* NULL: none. */
const struct table_row *table_find(const struct table *table, const char *operation);

/* ---- finding targets (target.c, target_ec2.c, target_launch.c) ---- */

/* What an operation acts on, by its rules; nothing: it needs no permission here. */
int targets_collect(struct target_list *list, const struct table_row *row, struct error *err);
/* Adds one. `id` NULL: to be made, `record` tells as what. */
struct target *target_add(
	struct target_list *list, enum resource_type type, const char *id, const void *record);
/* Adds an existing one by its name. */
int target_add_name(struct target_list *list, enum resource_type type, const char *name, struct error *err);
/* The record of an existing target, or NULL in target->record. */
int target_load(struct call *call, struct target *target, struct error *err);
/* Who owns it, as far as that is known; NULL: nobody knows. */
const char *target_owner(struct call *call, const struct target *target);
char *target_make_arn(
	struct call *call, enum resource_type type, const char *region, const char *owner, const char *id);

int target_find_launch(struct target_list *list, struct error *err);
int target_find_copied_image(struct target_list *list, struct error *err);
int target_find_copied_snapshot(struct target_list *list, struct error *err);
int target_find_new_volume(struct target_list *list, struct error *err);
int target_find_new_snapshot(struct target_list *list, struct error *err);
int target_find_instance_volumes(struct target_list *list, struct error *err);
int target_find_vpc(struct target_list *list, struct error *err);
int target_find_detached(struct target_list *list, struct error *err);
int target_find_associated(struct target_list *list, struct error *err);
int target_find_associated_snapshots(struct target_list *list, struct error *err);
int target_find_key_owner(struct target_list *list, struct error *err);
int target_find_renamed(struct target_list *list, struct error *err);
int target_find_instance_role(struct target_list *list, struct error *err);

/* ---- values in requests and records (walk.c) ---- */

struct texts {
	const char **items;
	size_t count;
};
/* Appends the text of every value at a path ("A.B.C", through structures and lists) of a structure. */
void walk_texts(const struct shape *shape, const void *structure, const char *path, struct arena *arena,
	struct texts *texts);
/* The first of them; NULL: none. */
const char *walk_text(
	const struct shape *shape, const void *structure, const char *path, struct arena *arena);
/* The field at a path without lists; NULL: absent. *field_shape is its shape. */
const void *walk_field(
	const struct shape *shape, const void *structure, const char *path, const struct shape **field_shape);

/* ---- condition keys (keys.c, keys_ec2.c, keys_request.c) ---- */

/* Who asks for what: from this every key can be answered. */
struct asking {
	struct amid *amid;
	struct arena *arena;
	const struct principal *principal;
	struct call *call; /* of the connection and the region; NULL: simulated, those keys are absent */
	const struct target_list *list;         /* NULL: asked by a handler */
	struct target *target;                  /* likewise */
	const char *resource_account;           /* likewise */
	const struct policy_context_key *given; /* by the handler */
	size_t given_count;
};

struct key {
	const char *name; /* one that ends in / has a name behind it: "aws:RequestTag/" */
	unsigned types;   /* bits of enum resource_type; 0: whatever it is */
	/* Appends its values; none: the key is absent. `name` is what is behind the /. */
	int (*read)(const struct asking *asking, const struct key *key, const char *name,
		struct texts *values, struct error *err);
	const char *member; /* for `read` */
};
#define ON(type) (1U << RESOURCE_##type)

extern const struct key keys_global[], keys_ec2[]; /* ended by a NULL name */
extern const struct key keys_request[];

/* The values of a key, whatever its case; none: absent. */
int keys_read(const struct asking *asking, const char *name, struct texts *values, struct error *err);
/* Of the names asked for, those that are there. */
int keys_context(const struct asking *asking, const struct texts *names, struct policy_context_key **context,
	size_t *count, struct error *err);
/* Every key that there is, for those who look for the reason of a denial. */
int keys_context_all(
	const struct asking *asking, struct policy_context_key **context, size_t *count, struct error *err);

/* ---- what governs (policies.c) ---- */

/* What applies to a principal, and which keys its conditions ask for. Zeroed before use. */
struct governing {
	struct policy_set set;
	struct texts keys;
	bool unrestricted;        /* root of an account that no organization restricts */
	struct policy_list owned; /* let go of by governing_release */
};
int governing_collect(struct amid *amid, const struct principal *principal, struct arena *arena,
	struct governing *governing, struct error *err);
/* Adds the keys that the policies of a list ask for. */
void governing_add_keys(struct governing *governing, const struct policy_list *list, struct arena *arena);
void governing_release(struct governing *governing);
#define GOVERNING_SCOPED __attribute__((cleanup(governing_release)))

/* ---- deciding (authorize.c) ---- */

/* The first of a call's targets that is refused; target NULL: all are allowed. */
struct refusal {
	struct asking asking;
	struct policy_request request;
	struct policy_result result;
};
int targets_decide(struct target_list *list, const struct governing *governing, struct refusal *refusal,
	struct error *err);
/* Finds the targets of a call by its operation's row. ERROR_INTERNAL if it is in no table: then it is nobody's but root's. */
int targets_find(struct call *call, const void *input, struct target_list *list, struct error *err);

/* ---- what was decided, for the audit trail (decision.c) ---- */

/* Notes it on the call; what it says is copied into the call's arena. A question that was asked before is not noted again. */
void decision_note(
	struct call *call, const struct policy_request *request, const struct policy_result *result);
/* The same for a caller whom nothing restricts. */
void decision_note_unrestricted(struct call *call, const char *source);

/* ---- denials (denial.c) ---- */

/* Sets the error that the caller is answered, in the words of the service; returns -1. */
int denial_set(const struct asking *asking, const struct policy_request *request,
	const struct policy_result *result, struct error *err);
/* "because no identity-based policy allows the ec2:RunInstances action": the same reason for people, without who and what. */
char *denial_reason(
	const struct policy_request *request, const struct policy_result *result, struct arena *arena);
