/*
 * Whom a policy names. A user or role of an account of this amid is kept by its unique id, so that somebody who is given the same name later is not trusted in its place; it is shown by its ARN
 * again as long as there is one of that id. Accounts, services, and users and roles of accounts that are not here stay as they are written.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

struct amid;

/* The unique id of a user or role by its ARN; NULL: nobody here has that ARN, or it is that of something else. */
int policy_principal_id(
	struct amid *amid, struct arena *arena, const char *arn, const char **id, struct error *err);
/* *kept is the document, or one with ids in place of ARNs. ERROR_MALFORMED_POLICY_DOCUMENT: it names a user or role that is not there. The document compiles. */
int policy_principals_keep(
	struct amid *amid, struct arena *arena, const char *document, const char **kept, struct error *err);
/* *shown is the document with ARNs in place of ids; ids of what is gone stay. */
int policy_principals_show(
	struct amid *amid, struct arena *arena, const char *document, const char **shown, struct error *err);
