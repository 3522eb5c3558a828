/* Checks of what is given to a session, and the session made. Runs on the thread of the call. */
#include "svc/sts/common.h"

#include <string.h>
#include <strings.h>

#include "api/records.h"
#include "base/text.h"
#include "policy/policy.h"
#include "base/banned.h"

enum {
	POLICY_ARNS_MAX = 10,
	POLICY_SIZE_MAX = 2048,
	TAGS_MAX = 50,    /* inherited ones included */
	PACKED_MAX = 8192 /* bytes of policies, ARNs and tags: a token then still fits into a header */
};

int sts_check_name(const char *parameter, const char *text, struct error *err)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-";
	if (text[strspn(text, allowed)] == '\0')
		return 0;
	return error_set(err, ERROR_VALIDATION_QUERY,
		"1 validation error detected: Value '%.64s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
		text, parameter);
}

int sts_refuse_mfa(const char *serial_number, const char *token_code, struct error *err)
{
	if (!serial_number && !token_code)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED_QUERY,
		"MultiFactorAuthentication failed with invalid MFA one time pass code.");
}

int sts_refuse_temporary(const struct call *call, const char *operation, struct error *err)
{
	if (!call->principal->temporary)
		return 0;
	return error_set(
		err, ERROR_ACCESS_DENIED_QUERY, "Cannot call %s with session credentials", operation);
}

static int take_policy(const char *document, struct principal *session, struct arena *arena, size_t *packed,
	struct error *err)
{
	struct policy *policy;
	if (!document)
		return 0;
	if (strlen(document) > POLICY_SIZE_MAX)
		return error_set(err, ERROR_PACKED_POLICY_TOO_LARGE,
			"The policy has %zu characters; %d are allowed.", strlen(document), POLICY_SIZE_MAX);
	if (policy_compile(POLICY_IDENTITY, document, strlen(document), &policy, err))
		return -1;
	policy_release(policy);
	const char **documents = arena_alloc_array(arena, 1, sizeof *documents);
	documents[0] = document;
	session->session_policies = documents;
	session->session_policy_count = 1;
	*packed += strlen(document);
	return 0;
}

/* Those of AWS are known to whoever evaluates them; one that is not there allows nothing. */
static int check_policy_arn(struct call *call, const char *arn, const char *account, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = account, .index = "arn", .value = arn };
	if (text_starts_with(arn, "arn:aws:iam::aws:policy/"))
		return 0;
	if (meta_list(call->amid->meta, &record_iam_policy, &query, call->arena, &rows, err))
		return -1;
	return rows.count ? 0
			  : error_set(err, ERROR_MALFORMED_POLICY_DOCUMENT,
				    "The policy %.200s is none of account %s.", arn, account);
}

static int take_policy_arns(struct call *call, const struct sts_policyDescriptorListType *list,
	struct principal *session, size_t *packed, struct error *err)
{
	if (!list->count)
		return 0;
	if (list->count > POLICY_ARNS_MAX)
		return error_set(err, ERROR_PACKED_POLICY_TOO_LARGE,
			"There are %zu PolicyArns; %d are allowed.", list->count, POLICY_ARNS_MAX);
	const char **arns = arena_alloc_array(call->arena, list->count, sizeof *arns);
	for (size_t i = 0; i < list->count; i++) {
		arns[i] = list->items[i].arn;
		if (!arns[i])
			return error_set(
				err, ERROR_VALIDATION_QUERY, "PolicyArns.member.%zu.arn is missing", i + 1);
		if (check_policy_arn(call, arns[i], session->account, err))
			return -1;
		*packed += strlen(arns[i]);
	}
	session->session_policy_arns = arns;
	session->session_policy_arn_count = list->count;
	return 0;
}

static struct principal_tag *find_tag(struct principal_tag *tags, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(tags[i].key, key) == 0)
			return &tags[i];
	return NULL;
}

static int mark_transitive(
	const struct sts_tagKeyListType *keys, struct principal_tag *tags, size_t count, struct error *err)
{
	for (size_t i = 0; keys && i < keys->count; i++) {
		struct principal_tag *tag = find_tag(tags, count, keys->items[i]);
		if (!tag)
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"The specified transitive tag key must be included in the requested tags: %.128s",
				keys->items[i]);
		tag->transitive = true;
	}
	return 0;
}

/* `session` comes with what it has inherited. */
static int take_tags(const struct sts_restrictions *restrictions, struct principal *session,
	struct arena *arena, size_t *packed, struct error *err)
{
	const struct sts_tagListType *asked = restrictions->tags;
	size_t inherited = session->session_tag_count, count = inherited;
	if (inherited + asked->count > TAGS_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"A session has at most %d tags, inherited ones included.", TAGS_MAX);
	struct principal_tag *tags = arena_alloc_array(arena, inherited + asked->count + 1, sizeof *tags);
	for (size_t i = 0; i < inherited; i++)
		tags[i] = session->session_tags[i];
	for (size_t i = 0; i < asked->count; i++) {
		const struct sts_Tag *tag = &asked->items[i];
		if (strncasecmp(tag->key, "aws:", 4) == 0)
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Tag keys that begin with aws: are reserved: %.128s", tag->key);
		if (find_tag(tags, count, tag->key))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Duplicate tag keys found, or one that is inherited. Tag keys are case insensitive: %.128s",
				tag->key);
		tags[count++] = (struct principal_tag){ .key = tag->key, .value = tag->value };
	}
	if (mark_transitive(restrictions->transitive_tag_keys, tags + inherited, asked->count, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		*packed += strlen(tags[i].key) + strlen(tags[i].value);
	session->session_tags = tags;
	session->session_tag_count = count;
	return 0;
}

int sts_restrict(struct call *call, const struct sts_restrictions *restrictions, struct principal *session,
	struct shape_integer *packed_percent, struct error *err)
{
	size_t packed = 0;
	if (take_policy(restrictions->policy, session, call->arena, &packed, err) ||
		take_policy_arns(call, restrictions->policy_arns, session, &packed, err) ||
		take_tags(restrictions, session, call->arena, &packed, err))
		return -1;
	if (packed > PACKED_MAX)
		return error_set(err, ERROR_PACKED_POLICY_TOO_LARGE,
			"Packed size of session tags and policies consumes %zu%% of allotted space.",
			packed * 100 / PACKED_MAX);
	if (packed)
		*packed_percent = some_integer((int64_t)((packed * 100 + PACKED_MAX - 1) / PACKED_MAX));
	return 0;
}

int sts_give_credentials(struct call *call, const struct principal *session, int64_t seconds,
	struct sts_Credentials **credentials, struct error *err)
{
	struct session_credentials made;
	if (session_make(call->amid, session, seconds, call->arena, &made, err))
		return -1;
	*credentials = arena_alloc(call->arena, sizeof **credentials);
	**credentials = (struct sts_Credentials){ .access_key_id = made.access_key_id,
		.secret_access_key = made.secret,
		.session_token = made.token,
		.expiration = some_timestamp(made.expires_ms) };
	return 0;
}
