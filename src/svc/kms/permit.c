/* Permissions on keys: collects policies, grants and condition keys, and asks svc/authorize. Runs on the thread of the call. */
#include "svc/kms/permit.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "shape/json.h"
#include "svc/authorize/authorize.h"
#include "svc/kms/grants.h"
#include "svc/policy_principals.h"
#include "base/banned.h"

void kms_condition_list(struct arena *arena, struct kms_conditions *conditions, const char *name,
	const char *const *values, size_t count)
{
	if (count)
		*ARENA_APPEND(arena, conditions->items, conditions->count) =
			(struct policy_context_key){ name, values, count };
}

void kms_condition(
	struct arena *arena, struct kms_conditions *conditions, const char *name, const char *value)
{
	if (!value)
		return;
	const char **values = arena_alloc(arena, sizeof *values);
	*values = value;
	kms_condition_list(arena, conditions, name, values, 1);
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static void add_context(struct arena *arena, struct kms_conditions *conditions,
	const struct kms_EncryptionContextType *context)
{
	const char **names = arena_alloc_array(arena, context->count + 1, sizeof *names);
	for (size_t i = 0; i < context->count; i++) {
		names[i] = context->items[i].key;
		kms_condition(arena, conditions,
			arena_printf(arena, "kms:EncryptionContext:%s", context->items[i].key),
			context->items[i].value);
	}
	kms_condition_list(arena, conditions, "kms:EncryptionContextKeys", names, context->count);
}

/* What the key is. */
static int add_key(
	struct call *call, const struct kms_key *key, struct kms_conditions *conditions, struct error *err)
{
	struct arena *arena = call->arena;
	const struct kms_key_record *record = key->record;
	struct meta_rows aliases;
	struct meta_query query = { .account = record->record.account,
		.region = record->record.region,
		.index = "key",
		.value = record->record.id };
	if (meta_list(call->amid->meta, &record_kms_alias, &query, arena, &aliases, err))
		return -1;
	const char **names = arena_alloc_array(arena, aliases.count + 1, sizeof *names);
	for (size_t i = 0; i < aliases.count; i++)
		names[i] = ((struct record *)aliases.items[i])->id;
	kms_condition_list(arena, conditions, "kms:ResourceAliases", names, aliases.count);
	kms_condition(arena, conditions, "kms:RequestAlias", key->alias);
	kms_condition(arena, conditions, "kms:KeySpec", record->spec);
	kms_condition(arena, conditions, "kms:KeyUsage", record->usage);
	kms_condition(arena, conditions, "kms:KeyOrigin", "AWS_KMS");
	bool multi = boolean_or(record->multi_region, false);
	kms_condition(arena, conditions, "kms:MultiRegion", truth(multi));
	if (multi)
		kms_condition(arena, conditions, "kms:MultiRegionKeyType",
			strcmp(record->primary_region, record->record.region) == 0 ? "PRIMARY" : "REPLICA");
	for (size_t i = 0; i < record->tags.count; i++)
		kms_condition(arena, conditions,
			arena_printf(arena, "aws:ResourceTag/%s", record->tags.items[i].key),
			record->tags.items[i].value);
	return 0;
}

static void add_grant(
	struct arena *arena, const struct kms_grant_record *grant, struct kms_conditions *conditions)
{
	kms_condition_list(arena, conditions, "kms:GrantOperations",
		(const char *const *)grant->operations.items, grant->operations.count);
	kms_condition(arena, conditions, "kms:GranteePrincipal", grant->grantee);
	kms_condition(arena, conditions, "kms:RetiringPrincipal", grant->retiring);
	const char **types = arena_alloc_array(arena, 2, sizeof *types);
	size_t count = 0;
	if (grant->has_equals.set)
		types[count++] = "EncryptionContextEquals";
	if (grant->has_subset.set)
		types[count++] = "EncryptionContextSubset";
	kms_condition_list(arena, conditions, "kms:GrantConstraintType", types, count);
}

static int collect_conditions(struct call *call, const struct kms_key *key, const struct kms_use *use,
	struct kms_conditions *conditions, struct error *err)
{
	struct arena *arena = call->arena;
	for (size_t i = 0; i < use->conditions.count; i++)
		*ARENA_APPEND(arena, conditions->items, conditions->count) = use->conditions.items[i];
	kms_condition(arena, conditions, "kms:CallerAccount", call->account);
	if (use->through_ec2)
		kms_condition(arena, conditions, "kms:ViaService",
			arena_printf(arena, "ec2.%s.amazonaws.com", call->region));
	if (use->context)
		add_context(arena, conditions, use->context);
	if (use->grant) {
		add_grant(arena, use->grant, conditions);
		kms_condition(arena, conditions, "kms:GrantIsForAWSResource", truth(use->through_ec2));
	}
	return add_key(call, key, conditions, err);
}

/* What a grant lets somebody do, as a statement. The form of the principal was checked when the grant was made. */
static int compile_grant(const char *principal, const char *action, struct policy **policy, struct error *err)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	buffer_append_text(&text,
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":");
	json_encode_text(&text, principal);
	buffer_printf(&text, "},\"Action\":\"kms:%s\",\"Resource\":\"*\"}]}", action);
	return policy_compile(POLICY_RESOURCE, text.data, text.size, policy, err);
}

static void add_policy(struct arena *arena, struct policy_list *list, struct policy *policy, const char *name)
{
	struct policy_named *items = (struct policy_named *)list->items;
	*ARENA_APPEND(arena, items, list->count) = (struct policy_named){ policy, name };
	list->items = items;
}

static void release_policies(struct policy_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		policy_release(list->items[i].policy);
}

/* A user or role that was made again under its old name is another one: a grant's principal is known by its id too, if it was there when the grant was made. */
static bool is_still(const struct call *call, const char *principal, const char *id)
{
	const struct principal *caller = call->principal;
	if (!principal || !id)
		return principal != NULL;
	bool role = caller->type == PRINCIPAL_ROLE_SESSION || caller->type == PRINCIPAL_FEDERATED_USER;
	return text_equal(id, role ? caller->issuer_id : caller->id);
}

/* The grants whose grantee the caller can be: itself, its role, its account. There may be very many others. */
static int find_grants(
	struct call *call, const struct kms_key *key, struct kms_grants *grants, struct error *err)
{
	const struct principal *caller = call->principal;
	const char *root = arena_printf(call->arena, "arn:aws:iam::%s:root", caller->account);
	const char *const names[] = { caller->arn, caller->issuer_arn, root };
	*grants = (struct kms_grants){ 0 };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!names[i] || (i > 0 && text_equal(names[i], caller->arn)))
			continue;
		if (kms_grants_add(call->amid, key->record, names[i], call->arena, grants, err))
			return -1;
	}
	return 0;
}

/* The retiring principal may retire a grant, and the grantee if the grant says so; but a Deny that applies to them holds here too. */
static void add_retiring(struct call *call, const struct kms_grant_record *grant, struct policy_list *list)
{
	const char *const principals[] = {
		is_still(call, grant->retiring, grant->retiring_id) ? grant->retiring : NULL,
		is_still(call, grant->grantee, grant->grantee_id) &&
				kms_grant_covers(grant, "RetireGrant", NULL)
			? grant->grantee
			: NULL
	};
	for (size_t i = 0; i < sizeof principals / sizeof *principals; i++) {
		struct policy *policy;
		struct error ignored;
		if (principals[i] && compile_grant(principals[i], "RetireGrant", &policy, &ignored) == 0)
			add_policy(call->arena, list, policy,
				arena_printf(call->arena, "grant/%s", grant->record.id));
	}
}

/* Whether the grantee is the caller, or its role, and not just its account. */
static bool names_caller(const struct kms_grant_record *grant, const struct principal *caller)
{
	return text_equal(grant->grantee, caller->arn) ||
		(caller->issuer_arn && text_equal(grant->grantee, caller->issuer_arn));
}

/* The key's policy, and each grant that could help. *granted: one of them is the caller's own. */
static int collect_policies(struct call *call, const struct kms_key *key, const struct kms_use *use,
	struct policy_list *list, bool *granted, struct error *err)
{
	const char *document = key->record->policy;
	struct policy *policy;
	struct kms_grants grants = { 0 };
	if (policy_compile(POLICY_RESOURCE, document, strlen(document), &policy, err))
		return error_prefix(err, "policy of %s", key->arn);
	add_policy(call->arena, list, policy, "key policy");
	if (use->tokens && kms_check_tokens(call, use->tokens, err))
		return -1;
	if (use->grantable && find_grants(call, key, &grants, err))
		return -1;
	if (use->retired)
		add_retiring(call, use->retired, list);
	for (size_t i = 0; i < grants.count; i++) {
		const struct kms_grant_record *grant = grants.items[i];
		struct error ignored;
		if (is_still(call, grant->grantee, grant->grantee_id) &&
			kms_grant_covers(grant, use->action, use->context) &&
			(!use->grant || kms_grant_includes(grant, use->grant)) &&
			compile_grant(grant->grantee, use->action, &policy, &ignored) == 0) {
			add_policy(call->arena, list, policy,
				arena_printf(call->arena, "grant/%s", grant->record.id));
			*granted |= names_caller(grant, call->principal);
		}
	}
	return 0;
}

/* As much as KMS takes; it is among what is compared with conditions and constraints. */
static int check_context_size(const struct kms_EncryptionContextType *context, struct error *err)
{
	enum { CONTEXT_MAX = 8192 };
	size_t size = 0;
	for (size_t i = 0; context && i < context->count; i++)
		size += strlen(context->items[i].key) + strlen(context->items[i].value);
	if (size <= CONTEXT_MAX)
		return 0;
	return error_set(err, ERROR_VALIDATION, "An encryption context can have %d bytes; this one has %zu.",
		CONTEXT_MAX, size);
}

int kms_permit(struct call *call, const struct kms_key *key, const struct kms_use *use, struct error *err)
{
	struct kms_conditions conditions = { 0 };
	struct authorize_request request = {
		.action = arena_printf(call->arena, "kms:%s", use->action),
		.resource = key->arn,
		.resource_account = key->record->record.account,
		.resource_decides_alone = true,
	};
	int result = -1;
	if (check_context_size(use->context, err))
		return -1;
	if (collect_policies(
		    call, key, use, &request.resource_policies, &request.resource_reaches_out, err) == 0 &&
		collect_conditions(call, key, use, &conditions, err) == 0) {
		request.context = conditions.items;
		request.context_count = conditions.count;
		result = authorize_check(call, &request, err);
	}
	release_policies(&request.resource_policies);
	return result;
}

int kms_permit_action(struct call *call, const struct kms_key *key, const char *action, struct error *err)
{
	return kms_permit(call, key, &(struct kms_use){ .action = action }, err);
}

int kms_permit_plain(struct call *call, const char *action, const char *resource,
	const struct kms_conditions *conditions, struct error *err)
{
	struct kms_conditions all = { 0 };
	for (size_t i = 0; conditions && i < conditions->count; i++)
		*ARENA_APPEND(call->arena, all.items, all.count) = conditions->items[i];
	kms_condition(call->arena, &all, "kms:CallerAccount", call->account);
	struct authorize_request request = {
		.action = arena_printf(call->arena, "kms:%s", action),
		.resource = resource,
		.context = all.items,
		.context_count = all.count,
	};
	return authorize_check(call, &request, err);
}

/* Whether the caller could change the policy if it were this one. */
static int check_lockout(
	struct call *call, const struct kms_key *key, struct policy *policy, struct error *err)
{
	struct policy_named named = { policy, "new key policy" };
	struct kms_conditions conditions = { 0 };
	struct policy_result result;
	if (collect_conditions(call, key, &(struct kms_use){ 0 }, &conditions, err))
		return -1;
	struct authorize_request request = {
		.action = "kms:PutKeyPolicy",
		.resource = key->arn,
		.resource_account = key->record->record.account,
		.resource_policies = { &named, 1 },
		.resource_decides_alone = true,
		.context = conditions.items,
		.context_count = conditions.count,
	};
	if (authorize_evaluate(call->amid, call->principal, call, &request, call->arena, &result, err))
		return -1;
	if (result.decision == POLICY_ALLOWED)
		return 0;
	return error_set(err, ERROR_KMS_MALFORMED_POLICY,
		"The new key policy will not allow you to update the key policy in the future.");
}

static int compile_policy(const char *document, struct policy **policy, struct error *err)
{
	if (policy_compile(POLICY_RESOURCE, document, strlen(document), policy, err) == 0)
		return 0;
	if (err->code == ERROR_MALFORMED_POLICY_DOCUMENT)
		err->code = ERROR_KMS_MALFORMED_POLICY;
	return -1;
}

int kms_check_policy(struct call *call, const struct kms_key *key, const char *document, bool safe,
	const char **kept, struct error *err)
{
	enum { POLICY_MAX = 32 * 1024 };
	struct policy *policy;
	if (strlen(document) > POLICY_MAX)
		return error_set(
			err, ERROR_KMS_LIMIT_EXCEEDED, "A key policy can have %d bytes.", POLICY_MAX);
	if (compile_policy(document, &policy, err))
		return -1;
	policy_release(policy);
	if (policy_principals_keep(call->amid, call->arena, document, kept, err)) {
		if (err->code == ERROR_MALFORMED_POLICY_DOCUMENT)
			err->code = ERROR_KMS_MALFORMED_POLICY;
		return -1;
	}
	if (!safe)
		return 0;
	if (compile_policy(*kept, &policy, err))
		return -1;
	int result = check_lockout(call, key, policy, err);
	policy_release(policy);
	return result;
}
