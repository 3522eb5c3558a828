/*
 * AssumeRole. The role's trust policy decides, together with the caller's own policies where it hands over to the caller's account; so does it about tags (sts:TagSession) and a source identity (sts:SetSourceIdentity). A role
 * that is not there is refused in the same words. Runs on the thread of the call.
 */
#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "svc/authorize/authorize.h"
#include "svc/sts/common.h"
#include "base/banned.h"

static int deny(const struct call *call, const char *action, const char *role_arn, struct error *err)
{
	return error_set(err, ERROR_ACCESS_DENIED_QUERY,
		"User: %.150s is not authorized to perform: %s on resource: %.150s", call->principal->arn,
		action, role_arn);
}

/* The account and the name in "arn:aws:iam::ACCOUNT:role/PATH/NAME". */
static int parse_arn(
	const char *arn, struct arena *arena, const char **account, const char **name, struct error *err)
{
	static const char prefix[] = "arn:aws:iam::", kind[] = ":role/";
	const char *at = arn + sizeof prefix - 1, *slash = strrchr(arn, '/');
	if (strncmp(arn, prefix, sizeof prefix - 1) != 0 || strspn(at, "0123456789") != 12 ||
		strncmp(at + 12, kind, sizeof kind - 1) != 0 || !slash[1])
		return error_set(err, ERROR_VALIDATION_QUERY, "%.200s is invalid", arn);
	*account = arena_strndup(arena, at, 12);
	*name = slash + 1;
	return 0;
}

static const char *arn_of(const struct iam_role_record *role, struct arena *arena)
{
	return arena_printf(arena, "arn:aws:iam::%s:role%s%s", role->record.account,
		role->path ? role->path : "/", role->name);
}

/* *role is NULL if there is none of exactly that ARN, or its account is suspended. */
static int find_role(struct call *call, const char *arn, struct iam_role_record **role, struct error *err)
{
	const char *account = NULL, *name = NULL;
	struct meta_rows rows;
	struct account_record *owner;
	*role = NULL;
	if (parse_arn(arn, call->arena, &account, &name, err))
		return -1;
	char *key = arena_strdup(call->arena, name);
	for (char *p = key; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	struct meta_query query = { .account = account, .region = "", .index = "key", .value = key };
	if (meta_get(call->amid->meta, &record_account, "", "", account, call->arena, &owner, err) ||
		meta_list(call->amid->meta, &record_iam_role, &query, call->arena, &rows, err))
		return -1;
	if (rows.count && owner && !boolean_or(owner->suspended, false) &&
		strcmp(arn_of(rows.items[0], call->arena), arn) == 0)
		*role = rows.items[0];
	return 0;
}

/* ---- what the trust policy is asked ---- */

struct context {
	struct policy_context_key *keys;
	size_t count;
	struct arena *arena;
};

static void add_values(struct context *context, const char *name, const char *const *values, size_t count)
{
	*ARENA_APPEND(context->arena, context->keys, context->count) =
		(struct policy_context_key){ .name = name, .values = values, .value_count = count };
}

static void add_value(struct context *context, const char *name, const char *value)
{
	const char **values = arena_alloc(context->arena, sizeof *values);
	if (!value)
		return;
	values[0] = value;
	add_values(context, name, values, 1);
}

static void add_tags(struct context *context, const struct principal *session)
{
	size_t count = session->session_tag_count, transitive = 0;
	const char **keys = arena_alloc_array(context->arena, count + 1, sizeof *keys);
	const char **handed_on = arena_alloc_array(context->arena, count + 1, sizeof *handed_on);
	for (size_t i = 0; i < count; i++) {
		const struct principal_tag *tag = &session->session_tags[i];
		keys[i] = tag->key;
		if (tag->transitive)
			handed_on[transitive++] = tag->key;
		add_value(context, arena_printf(context->arena, "aws:RequestTag/%s", tag->key), tag->value);
	}
	if (count)
		add_values(context, "aws:TagKeys", keys, count);
	if (transitive)
		add_values(context, "sts:TransitiveTagKeys", handed_on, transitive);
}

static int check_action(struct call *call, const char *action, const struct iam_role_record *role,
	struct policy *trust, const struct context *context, struct error *err)
{
	const struct policy_named named = { .policy = trust, .name = "trust" };
	const struct authorize_request request = {
		.action = action,
		.resource = arn_of(role, call->arena),
		.resource_account = role->record.account,
		.resource_policies = { .items = &named, .count = 1 },
		.resource_decides_alone = true,
		.context = context->keys,
		.context_count = context->count,
	};
	if (authorize_check(call, &request, err) == 0)
		return 0;
	/* in the words that a role has which is not there: whether it is, is nobody's business who may not assume it */
	return err->code == ERROR_ACCESS_DENIED_QUERY ? deny(call, action, request.resource, err) : -1;
}

static int check_trust(struct call *call, const struct sts_AssumeRoleRequest *request,
	const struct iam_role_record *role, const struct principal *session, struct error *err)
{
	struct context context = { .arena = call->arena };
	struct policy *trust;
	if (!role->trust_policy ||
		policy_compile(POLICY_TRUST, role->trust_policy, strlen(role->trust_policy), &trust, err))
		return deny(call, "sts:AssumeRole", request->role_arn, err);
	add_value(&context, "sts:ExternalId", request->external_id);
	add_value(&context, "sts:RoleSessionName", request->role_session_name);
	add_value(&context, "sts:SourceIdentity", session->source_identity);
	add_tags(&context, session);
	int result = check_action(call, "sts:AssumeRole", role, trust, &context, err);
	if (result == 0 && session->session_tag_count)
		result = check_action(call, "sts:TagSession", role, trust, &context, err);
	if (result == 0 && session->source_identity)
		result = check_action(call, "sts:SetSourceIdentity", role, trust, &context, err);
	policy_release(trust);
	return result;
}

/* ---- the session ---- */

static bool is_chained(const struct call *call)
{
	return call->principal->type == PRINCIPAL_ROLE_SESSION;
}

static int check_duration(const struct call *call, const struct iam_role_record *role,
	struct shape_integer asked, int64_t *seconds, struct error *err)
{
	*seconds = integer_or(asked, STS_HOUR);
	if (is_chained(call) && *seconds > STS_HOUR)
		return error_set(err, ERROR_VALIDATION_QUERY,
			"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.");
	if (*seconds > integer_or(role->max_session_seconds, STS_HOUR))
		return error_set(err, ERROR_VALIDATION_QUERY,
			"The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
	return 0;
}

/* Transitive tags and the source identity follow from role to role. */
static void inherit(const struct call *call, struct principal *session)
{
	const struct principal *caller = call->principal;
	struct principal_tag *tags =
		arena_alloc_array(call->arena, caller->session_tag_count + 1, sizeof *tags);
	size_t count = 0;
	for (size_t i = 0; i < caller->session_tag_count; i++)
		if (caller->session_tags[i].transitive)
			tags[count++] = caller->session_tags[i];
	session->session_tags = tags;
	session->session_tag_count = count;
	session->source_identity = caller->source_identity;
}

static int set_source_identity(const char *asked, struct principal *session, struct error *err)
{
	if (!asked)
		return 0;
	if (sts_check_name("sourceIdentity", asked, err))
		return -1;
	if (session->source_identity && strcmp(session->source_identity, asked) != 0)
		return error_set(err, ERROR_ACCESS_DENIED_QUERY,
			"The session has a source identity already, and it cannot be changed.");
	session->source_identity = asked;
	return 0;
}

static struct principal session_of(
	struct call *call, const struct iam_role_record *role, const char *session_name)
{
	return (struct principal){
		.type = PRINCIPAL_ROLE_SESSION,
		.account = role->record.account,
		.arn = arena_printf(call->arena, "arn:aws:sts::%s:assumed-role/%s/%s", role->record.account,
			role->name, session_name),
		.id = arena_printf(call->arena, "%s:%s", role->record.id, session_name),
		.issuer_arn = arn_of(role, call->arena),
		.issuer_id = role->record.id,
		.session_name = session_name,
		.mfa = false,
	};
}

/* With --auth any everybody is the root of one account, which assumes whatever role there is. */
static bool passes_as_any(const struct call *call)
{
	return call->amid->config->auth_any && strcmp(call->account, ACCOUNT_ANY) == 0 &&
		call->principal->type == PRINCIPAL_ROOT;
}

static int check_request(
	const struct call *call, const struct sts_AssumeRoleRequest *request, struct error *err)
{
	if (request->provided_contexts.count)
		return error_set(err, ERROR_VALIDATION_QUERY, "There are no context providers here.");
	if (sts_check_name("roleSessionName", request->role_session_name, err) ||
		sts_refuse_mfa(request->serial_number, request->token_code, err))
		return -1;
	if (call->principal->type == PRINCIPAL_ROOT && !passes_as_any(call))
		return error_set(
			err, ERROR_ACCESS_DENIED_QUERY, "Roles may not be assumed by root accounts.");
	return 0;
}

int sts_assume_role(struct call *call, const struct sts_AssumeRoleRequest *request,
	struct sts_AssumeRoleResponse *result, struct error *err)
{
	struct iam_role_record *role;
	int64_t seconds;
	const struct sts_restrictions restrictions = { .policy = request->policy,
		.policy_arns = &request->policy_arns,
		.tags = &request->tags,
		.transitive_tag_keys = &request->transitive_tag_keys };
	if (check_request(call, request, err) || find_role(call, request->role_arn, &role, err))
		return -1;
	if (!role)
		return deny(call, "sts:AssumeRole", request->role_arn, err);
	struct principal session = session_of(call, role, request->role_session_name);
	inherit(call, &session);
	if (set_source_identity(request->source_identity, &session, err) ||
		sts_restrict(call, &restrictions, &session, &result->packed_policy_size, err) ||
		(!passes_as_any(call) && check_trust(call, request, role, &session, err)) ||
		check_duration(call, role, request->duration_seconds, &seconds, err))
		return -1;
	result->assumed_role_user = arena_alloc(call->arena, sizeof *result->assumed_role_user);
	*result->assumed_role_user =
		(struct sts_AssumedRoleUser){ .assumed_role_id = session.id, .arn = session.arn };
	result->source_identity = session.source_identity;
	return sts_give_credentials(call, &session, seconds, &result->credentials, err);
}
