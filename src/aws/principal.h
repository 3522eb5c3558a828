/* Who calls: what a signature has proved, as policies, condition keys and the audit trail need it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum principal_type {
	PRINCIPAL_ROOT,
	PRINCIPAL_USER,
	PRINCIPAL_ROLE_SESSION,   /* AssumeRole and its like; an instance's role */
	PRINCIPAL_FEDERATED_USER, /* GetFederationToken */
	PRINCIPAL_SERVICE,        /* amid itself, on behalf of an account: instances, backups */
};

struct principal_tag {
	const char *key, *value;
	bool transitive; /* handed on to the sessions that this one assumes */
};

/* The instance whose metadata service has given credentials out. */
struct principal_instance {
	const char *arn;
	const char *vpc, *private_address;
	const char *delivery; /* "1.0" or "2.0": the version of the metadata service */
};

/* Texts live as long as the call's arena. */
struct principal {
	enum principal_type type;
	const char *account; /* 12 digits */
	const char *
		arn; /* "arn:aws:iam::A:user/path/bob", "arn:aws:sts::A:assumed-role/ROLE/SESSION", "arn:aws:iam::A:root" */
	const char *id; /* UserId of GetCallerIdentity: AIDA..., AROA...:SESSION, the account for its root */
	const char *access_key_id; /* NULL: --auth any without a signature */
	const char *user_name;     /* users, and their GetSessionToken sessions; else NULL */
	const char
		*issuer_arn; /* the role behind a role session, the user behind a federated one; else NULL */
	const char *issuer_id;    /* its AROA... or AIDA... */
	const char *session_name; /* of role sessions; else NULL */
	bool temporary;           /* its credentials expire */
	bool mfa;                 /* they were given out after a second factor */
	int64_t issued_ms;        /* of temporary credentials */
	int64_t expires_ms;
	const char *const *session_policies; /* documents given with AssumeRole; each restricts */
	size_t session_policy_count;
	const char *const *session_policy_arns; /* managed ones, the same way */
	size_t session_policy_arn_count;
	const struct principal_tag *session_tags;
	size_t session_tag_count;
	const char *source_identity;               /* NULL: none */
	const struct principal_instance *instance; /* NULL: the credentials are no instance's */
};
