/* What the operations that give out credentials share. Errors are STS's. */
#pragma once

#include "api/sts.h"
#include "aws/call.h"
#include "svc/session.h"

enum {
	STS_HOUR = 3600,
	STS_TOKEN_SECONDS =
		12 * 3600, /* of GetSessionToken and GetFederationToken, unless asked for otherwise */
};

/* Whether `text` is made of letters, digits and _+=,.@- only, as names of sessions are. ERROR_VALIDATION_QUERY names the parameter. */
int sts_check_name(const char *parameter, const char *text, struct error *err);
/* Nobody has a device for a second factor: ERROR_ACCESS_DENIED_QUERY if one is claimed. */
int sts_refuse_mfa(const char *serial_number, const char *token_code, struct error *err);
/* Credentials from long-term ones only: ERROR_ACCESS_DENIED_QUERY for callers with temporary ones. */
int sts_refuse_temporary(const struct call *call, const char *operation, struct error *err);

/* What a caller may give to a session. */
struct sts_restrictions {
	const char *policy;
	const struct sts_policyDescriptorListType *policy_arns;
	const struct sts_tagListType *tags;
	const struct sts_tagKeyListType *transitive_tag_keys; /* NULL: not in this operation */
};
/*
 * Checks them and puts them into the principal that the session is to be, together with the transitive tags that it has inherited already. *packed_percent: how much of what a session may hold that takes. Policies that are
 * none: ERROR_MALFORMED_POLICY_DOCUMENT; too much: ERROR_PACKED_POLICY_TOO_LARGE; wrong tags: ERROR_INVALID_PARAMETER_VALUE.
 */
int sts_restrict(struct call *call, const struct sts_restrictions *restrictions, struct principal *session,
	struct shape_integer *packed_percent, struct error *err);

/* Makes the session, as an answer has it. */
int sts_give_credentials(struct call *call, const struct principal *session, int64_t seconds,
	struct sts_Credentials **credentials, struct error *err);
