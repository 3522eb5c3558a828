/* Who called, as CloudTrail's userIdentity element says it. No state. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "shape/json.h"
#include "svc/audit.h"
#include "base/banned.h"

static void add_text(struct buffer *out, const char *name, const char *value)
{
	if (!value)
		return;
	buffer_append(out, ",\"", 2);
	buffer_append_text(out, name);
	buffer_append(out, "\":", 2);
	json_encode_text(out, value);
}

static const char *type_name(enum principal_type type)
{
	static const char *const names[] = { [PRINCIPAL_ROOT] = "Root",
		[PRINCIPAL_USER] = "IAMUser",
		[PRINCIPAL_ROLE_SESSION] = "AssumedRole",
		[PRINCIPAL_FEDERATED_USER] = "FederatedUser",
		[PRINCIPAL_SERVICE] = "AWSService" };
	return names[type];
}

/* "arn:aws:iam::123456789012:role/path/name" -> its account and name. */
static void add_issuer(struct buffer *out, const struct principal *principal)
{
	bool role = principal->type == PRINCIPAL_ROLE_SESSION;
	const char *arn = principal->issuer_arn, *slash = strrchr(arn, '/');
	buffer_printf(out, "\"sessionIssuer\":{\"type\":\"%s\"", role ? "Role" : "IAMUser");
	add_text(out, "principalId", principal->issuer_id);
	add_text(out, "arn", arn);
	add_text(out, "accountId", principal->account);
	add_text(out, "userName", slash ? slash + 1 : NULL);
	buffer_append_text(out, "},\"webIdFederationData\":{},");
}

static void add_session(struct buffer *out, const struct principal *principal)
{
	char created[32];
	clock_format_iso8601(principal->issued_ms, created);
	buffer_append_text(out, ",\"sessionContext\":{");
	if (principal->issuer_arn)
		add_issuer(out, principal);
	buffer_printf(out, "\"attributes\":{\"creationDate\":\"%.19sZ\",\"mfaAuthenticated\":\"%s\"}",
		created, principal->mfa ? "true" : "false");
	add_text(out, "sourceIdentity", principal->source_identity);
	buffer_append_char(out, '}');
}

void audit_write_identity(struct buffer *out, const struct door_outcome *outcome)
{
	const struct principal *principal = outcome->call->principal;
	buffer_append_text(out, "\"userIdentity\":{\"type\":");
	if (!principal) { /* the key is what the request claims */
		buffer_append_text(out, "\"Unknown\"");
		add_text(out, "accountId", outcome->claimed_account);
		add_text(out, "accessKeyId", outcome->claimed_key);
		buffer_append_char(out, '}');
		return;
	}
	json_encode_text(out, type_name(principal->type));
	add_text(out, "principalId", principal->id);
	add_text(out, "arn", principal->arn);
	add_text(out, "accountId", principal->account);
	add_text(out, "accessKeyId", principal->access_key_id);
	add_text(out, "userName", principal->user_name);
	if (principal->temporary)
		add_session(out, principal);
	if (principal->type == PRINCIPAL_SERVICE)
		add_text(out, "invokedBy", principal->id);
	buffer_append_char(out, '}');
}

const char *audit_username(const struct door_outcome *outcome)
{
	const struct principal *principal = outcome->call->principal;
	if (!principal)
		return NULL;
	if (principal->user_name)
		return principal->user_name;
	if (principal->type == PRINCIPAL_ROOT)
		return "root";
	const char *colon = principal->id ? strchr(principal->id, ':') : NULL;
	return colon ? colon + 1 : NULL;
}
