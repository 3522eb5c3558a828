/*
 * What a compiled policy is made of, and the pieces that compile and evaluate it. For this folder only.
 *
 * All of a policy lies in its own arena and does not change once policy_compile has returned. Evaluation keeps its state in a struct evaluation on the caller's stack.
 */
#pragma once

#include <stdatomic.h>
#include <jansson.h>

#include "policy/policy.h"

/* ---- patterns (pattern.c) ---- */

enum token_kind { TOKEN_LITERAL, TOKEN_STAR, TOKEN_QUESTION, TOKEN_VARIABLE };
struct token {
	enum token_kind kind;
	uint32_t length;
	const char *text; /* the literal; of a variable, its default value, or NULL */
	uint32_t key;     /* of a variable: index into the policy's keys */
};

enum pattern_kind { PATTERN_ALL, PATTERN_LITERAL, PATTERN_PREFIX, PATTERN_GENERAL };
struct pattern {
	enum pattern_kind kind;
	bool fold;       /* ASCII case does not matter */
	bool variables;  /* it has some */
	uint32_t length; /* of the literal, or prefix */
	const char *text;
	const struct token *tokens; /* PATTERN_GENERAL */
	uint32_t token_count;
};

struct evaluation;
struct compiler;
/* Where a variable's value comes from; NULL where no pattern has any. */
struct scope {
	struct evaluation *evaluation;
	const struct policy *policy;
};

enum {
	PATTERN_WILDCARDS = 1, /* * and ? are */
	PATTERN_VARIABLES = 2, /* ${...} is, in the language's later version */
	PATTERN_LOWER = 4,     /* the text that it will be compared with is in lower case */
	PATTERN_ARN = 16,      /* variables stand behind the fifth colon only, as in Resource */
	PATTERN_FOLD = 8,      /* compare without regard to case; not with wildcards */
};
int pattern_compile(
	struct compiler *compiler, const char *text, size_t length, unsigned flags, struct pattern *pattern);
/* *unresolved (may be NULL) becomes true if a variable has no value; the pattern then matches nothing. */
bool pattern_match(const struct pattern *pattern, const struct scope *scope, const char *text, size_t length,
	bool *unresolved);

/* ---- constants (value.c) ---- */

struct number {
	bool whole; /* and `integer` is exact */
	int64_t integer;
	double real;
};
struct address {
	int family; /* AF_INET, AF_INET6 */
	unsigned prefix;
	unsigned char bytes[16];
};
int value_parse_number(const char *text, struct number *number);
int value_compare_numbers(const struct number *a, const struct number *b);
/* ISO 8601 or seconds since the epoch. */
int value_parse_date(const char *text, int64_t *ms);
int value_parse_bool(const char *text, bool *value);
/* "ADDRESS" or "ADDRESS/PREFIX"; IPv4 addresses mapped into IPv6 become IPv4. */
int value_parse_address(const char *text, struct address *address);
bool value_address_within(const struct address *address, const struct address *range);

/* ---- conditions (compile_condition.c, condition.c) ---- */

enum condition_type {
	CONDITION_STRING,
	CONDITION_NUMERIC,
	CONDITION_DATE,
	CONDITION_BOOL,
	CONDITION_BINARY,
	CONDITION_ADDRESS,
	CONDITION_ARN,
	CONDITION_NULL
};
enum comparison {
	COMPARE_EQUAL,
	COMPARE_EQUAL_FOLD,
	COMPARE_LIKE,
	COMPARE_LESS,
	COMPARE_LESS_EQUAL,
	COMPARE_GREATER,
	COMPARE_GREATER_EQUAL
};
enum condition_set { SET_NONE, SET_ALL, SET_ANY };

enum { ARN_PARTS = 6 };
union constant {
	struct pattern pattern; /* STRING; BOOL, whose values may be variables */
	struct {
		struct pattern *parts;
		uint32_t count; /* ARN_PARTS; 1: a variable holds colons, so the whole; 0: "*" */
	} arn;
	struct number number;
	int64_t date_ms;
	bool boolean; /* NULL */
	struct address address;
	const char *base64; /* BINARY, in canonical form */
};
struct condition {
	enum condition_type type;
	enum comparison comparison;
	enum condition_set set;
	bool negated;
	bool if_exists;
	uint32_t key; /* index into the policy's keys */
	uint32_t constant_count;
	const union constant *constants;
};
int condition_compile(struct compiler *compiler, const char *operator_name, const char *key, json_t *values);
bool condition_holds(const struct condition *condition, const struct scope *scope);

/* ---- principals (principal.c) ---- */

enum named_kind {
	NAMED_ANYONE,
	NAMED_ACCOUNT,
	NAMED_ARN,
	NAMED_ID,
	NAMED_SERVICE,
	NAMED_FEDERATED,
	NAMED_CANONICAL
};
struct named_principal {
	enum named_kind kind;
	const char *text;
};
/* How closely a Principal element names a caller: what it grants is limited accordingly (evaluate.c). */
enum grade {
	GRADE_NONE,
	GRADE_ACCOUNT, /* its account: hands over to the account's own policies */
	GRADE_ISSUER,  /* the role or user behind its session: within boundary and session policies */
	GRADE_SELF,    /* itself, or anyone */
};
/* Users, roles and root are of an account; services, web identities and everybody else are of none, even when they act on behalf of one. */
bool principal_has_account(const struct policy_caller *caller);
struct statement;
int principal_compile(struct compiler *compiler, json_t *element, struct statement *statement);
enum grade principal_match(
	const struct statement *statement, const struct policy_caller *caller, bool has_boundary);

/* ---- documents (compile.c, compile_element.c) ---- */

struct pattern_list {
	const struct pattern *items;
	uint32_t count;
	bool negated; /* NotAction, NotResource */
};
struct statement {
	bool deny;
	bool any_resource; /* it has no Resource: trust policies */
	bool has_principal, not_principal;
	const char *sid;
	struct pattern_list actions, resources;
	const struct named_principal *principals;
	uint32_t principal_count;
	const struct condition *conditions;
	uint32_t condition_count;
};
/* A context key that conditions or variables ask for. */
struct key {
	const char *name;
	uint32_t hash; /* key_hash of the name */
};
struct policy {
	unsigned magic;
	atomic_uint references;
	struct arena *arena;
	enum policy_kind kind;
	const char *version;
	const struct statement *statements;
	uint32_t statement_count;
	struct key *keys;
	size_t key_count;
	const char *document; /* as it was given, for positions in it */
	size_t document_size;
};
enum { POLICY_MAGIC = 0x504f4c49 };

/* What is being compiled. Functions that fail return -1 and have filled err. */
struct compiler {
	struct policy *policy;
	struct arena *arena;
	bool variables;               /* the language's version has them */
	unsigned statement;           /* counted from 1, for messages; 0: none */
	struct condition *conditions; /* of the statement at hand */
	size_t condition_count;
	struct error *err;
};
/* ERROR_MALFORMED_POLICY_DOCUMENT: `sentence`, IAM's own, and in parentheses the statement and what is wrong there. Returns -1. */
int compile_refuse(struct compiler *compiler, const char *sentence, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define SYNTAX_ERRORS "Syntax errors in policy."
#define LEGACY_PARSING "The policy failed legacy parsing"
#define PREFACED_BY_VENDOR "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
/* The index of a context key, which is added if it is new. */
uint32_t compile_intern_key(struct compiler *compiler, const char *name, size_t length);
/* Action and NotAction, Resource and NotResource: lists of patterns, checked as IAM does. */
int compile_actions(struct compiler *compiler, json_t *element, bool negated, struct pattern_list *list);
int compile_resources(struct compiler *compiler, json_t *element, bool negated, struct pattern_list *list);
/* A string, or the strings of a list: the next one of them, or NULL. */
const char *compile_list_item(json_t *element, size_t index);
size_t compile_list_count(json_t *element);

/* ---- evaluation (evaluate.c) ---- */

enum { CONTEXT_HASHED = 128, ACTION_SIZE = 256 };
struct evaluation {
	const struct policy_set *set;
	const struct policy_request *request;
	struct policy_result *result;
	struct arena *arena;      /* NULL: nothing is collected */
	char action[ACTION_SIZE]; /* in lower case */
	size_t action_length, resource_length;
	uint32_t hashes[CONTEXT_HASHED]; /* of the names of the request's first context keys */
};
/* Of a key's name, without regard to case. */
uint32_t key_hash(const char *name, size_t length);
/* The request's value of a policy's key; NULL: it has none. */
const struct policy_context_key *evaluation_find(const struct scope *scope, uint32_t key);
