/* The operations on grants: CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant. Runs on the thread of the call. */
#include <stdio.h>
#include <string.h>

#include "aws/page.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "shape/json.h"
#include "svc/kms/grant_count.h"
#include "svc/kms/grants.h"
#include "svc/kms/grants_make.h"
#include "svc/kms/permit.h"
#include "svc/policy_principals.h"
#include "base/banned.h"

/* What a key of each usage can be granted, beyond what all can. */
static const struct {
	const char *operation, *usage;
	bool symmetric; /* only of symmetric keys; of those constraints speak */
} operations[] = {
	{ "Decrypt", KMS_ENCRYPT_DECRYPT, false },
	{ "Encrypt", KMS_ENCRYPT_DECRYPT, false },
	{ "ReEncryptFrom", KMS_ENCRYPT_DECRYPT, false },
	{ "ReEncryptTo", KMS_ENCRYPT_DECRYPT, false },
	{ "GenerateDataKey", KMS_ENCRYPT_DECRYPT, true },
	{ "GenerateDataKeyWithoutPlaintext", KMS_ENCRYPT_DECRYPT, true },
	{ "GenerateDataKeyPair", KMS_ENCRYPT_DECRYPT, true },
	{ "GenerateDataKeyPairWithoutPlaintext", KMS_ENCRYPT_DECRYPT, true },
	{ "Sign", KMS_SIGN_VERIFY, false },
	{ "Verify", KMS_SIGN_VERIFY, false },
	{ "GenerateMac", KMS_GENERATE_VERIFY_MAC, false },
	{ "VerifyMac", KMS_GENERATE_VERIFY_MAC, false },
	{ "DescribeKey", NULL, false },
	{ "CreateGrant", NULL, false },
	{ "RetireGrant", NULL, false },
};

static int check_operation(const struct kms_key_record *key, const char *operation, struct error *err)
{
	bool symmetric = kms_is_symmetric(key);
	if (strcmp(operation, "GetPublicKey") == 0 && key->public_key)
		return 0;
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (strcmp(operations[i].operation, operation) == 0 &&
			(!operations[i].usage || strcmp(operations[i].usage, key->usage) == 0) &&
			(symmetric || !operations[i].symmetric))
			return 0;
	return error_set(err, ERROR_VALIDATION,
		"Grant operation %s is not possible with a key of spec %s and usage %s.", operation,
		key->spec, key->usage);
}

/* An ARN of a principal, or an account's number, which stands for its root. */
static int take_principal(struct arena *arena, const char *text, const char **principal, struct error *err)
{
	size_t count;
	if (strlen(text) == 12 && strspn(text, "0123456789") == 12) {
		*principal = arena_printf(arena, "arn:aws:iam::%s:root", text);
		return 0;
	}
	char **parts = text_split(arena, text, ':', &count);
	bool fits = count >= 6 && strcmp(parts[0], "arn") == 0 && strcmp(parts[1], "aws") == 0 &&
		(strcmp(parts[2], "iam") == 0 || strcmp(parts[2], "sts") == 0) && !*parts[3] &&
		strlen(parts[4]) == 12 && strspn(parts[4], "0123456789") == 12 && *parts[5] &&
		!strchr(text, '*');
	*principal = text;
	return fits ? 0
		    : error_set(err, ERROR_KMS_INVALID_ARN, "'%.256s' is not the ARN of a principal.", text);
}

/* The ids of those that are users or roles here. */
static int take_ids(struct call *call, struct kms_grant_record *grant, struct error *err)
{
	return policy_principal_id(call->amid, call->arena, grant->grantee, &grant->grantee_id, err) ||
			(grant->retiring &&
				policy_principal_id(
					call->amid, call->arena, grant->retiring, &grant->retiring_id, err))
		? -1
		: 0;
}

static struct record_tag_list take_pairs(struct arena *arena, const struct kms_EncryptionContextType *context)
{
	struct record_tag_list pairs = { .set = context->count > 0 };
	for (size_t i = 0; i < context->count; i++)
		*ARENA_APPEND(arena, pairs.items, pairs.count) =
			(struct record_tag){ .key = context->items[i].key, .value = context->items[i].value };
	return pairs;
}

static int take_constraints(struct arena *arena, const struct kms_key_record *key,
	const struct kms_GrantConstraints *constraints, struct kms_grant_record *grant, struct error *err)
{
	if (!constraints ||
		(!constraints->encryption_context_equals.set && !constraints->encryption_context_subset.set))
		return 0;
	if (!kms_is_symmetric(key))
		return error_set(
			err, ERROR_VALIDATION, "Encryption context constraints are for symmetric keys only.");
	if (constraints->encryption_context_equals.set) {
		grant->has_equals = some_boolean(true);
		grant->equals = take_pairs(arena, &constraints->encryption_context_equals);
	}
	if (constraints->encryption_context_subset.set) {
		grant->has_subset = some_boolean(true);
		grant->subset = take_pairs(arena, &constraints->encryption_context_subset);
	}
	return 0;
}

/* A grant with a name is made once for the same parameters: its id is a digest of them, so that calls at the same time meet each other. */
static void choose_id(struct call *call, const struct kms_key *key, struct kms_grant_record *grant)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	struct digest digest;
	char *id = arena_alloc(call->arena, 2 * DIGEST_SIZE + 1);
	if (grant->name) {
		buffer_append_text(&text, key->arn);
		json_encode(&text, record_kms_grant.shape, grant);
		digest_sha256(text.data, text.size, &digest);
	} else {
		text_random_bytes(digest.bytes, DIGEST_SIZE);
	}
	grant->record.id = text_hex(digest.bytes, DIGEST_SIZE, id);
}

int kms_grant_make(struct call *call, const struct kms_key *key, struct kms_grant_record *grant, bool *is_new,
	struct error *err)
{
	struct meta *meta = call->amid->meta;
	struct kms_grant_record *found;
	grant->record = (struct record){ .account = key->record->record.account,
		.region = key->record->record.region };
	grant->key = key->record->record.id;
	grant->issuing_account = arena_printf(call->arena, "arn:aws:iam::%s:root", call->account);
	choose_id(call, key, grant);
	if (meta_get(meta, &record_kms_grant, grant->record.account, grant->record.region, grant->record.id,
		    call->arena, &found, err))
		return -1;
	*is_new = !found;
	if (found)
		return 0;
	if (grant_counts_take(call->amid->grant_counts, meta, key->record, err))
		return -1;
	grant->created = some_timestamp(clock_now_ms());
	struct meta_batch *batch = meta_batch_create(meta, call->arena);
	meta_batch_expect(batch, &record_kms_key, key->record);
	meta_batch_put(batch, &record_kms_grant, grant);
	if (meta_commit(meta, batch, err) == 0)
		return 0;
	*is_new = false;
	return err->code == ERROR_DUPLICATE ? 0 : -1; /* the same one, made at the same time */
}

int kms_create_grant(struct call *call, const struct kms_CreateGrantRequest *request,
	struct kms_CreateGrantResponse *result, struct error *err)
{
	struct kms_key key;
	struct kms_grant_record grant = { .name = request->name,
		.operations = { request->operations.items, request->operations.count, true } };
	struct kms_use use = {
		.action = "CreateGrant", .grantable = true, .tokens = &request->grant_tokens, .grant = &grant
	};
	char *token;
	bool is_new;
	if (kms_find_key(call, request->key_id, KMS_FOREIGN, &key, err) ||
		take_principal(call->arena, request->grantee_principal, &grant.grantee, err) ||
		(request->retiring_principal &&
			take_principal(call->arena, request->retiring_principal, &grant.retiring, err)) ||
		take_ids(call, &grant, err))
		return -1;
	for (size_t i = 0; i < grant.operations.count; i++)
		if (check_operation(key.record, grant.operations.items[i], err))
			return -1;
	if (take_constraints(call->arena, key.record, request->constraints, &grant, err) ||
		kms_permit(call, &key, &use, err) || kms_check_enabled(&key, err))
		return -1;
	if (boolean_or(request->dry_run, false))
		return kms_dry_run(err);
	if (kms_grant_make(call, &key, &grant, &is_new, err) || kms_make_token(call, &grant, &token, err))
		return -1;
	result->grant_id = grant.record.id;
	result->grant_token = token;
	return 0;
}

/* A grant of this key. InvalidGrantIdException: not the form of an id; NotFoundException. */
static int find_grant(struct call *call, const struct kms_key *key, const char *id,
	struct kms_grant_record **grant, struct error *err)
{
	if (strlen(id) != (size_t)2 * DIGEST_SIZE || id[strspn(id, "0123456789abcdef")])
		return error_set(err, ERROR_KMS_INVALID_GRANT_ID, "The grant id %.128s is not valid.", id);
	if (meta_get(call->amid->meta, &record_kms_grant, key->record->record.account, call->region, id,
		    call->arena, grant, err))
		return -1;
	if (!*grant || strcmp((*grant)->key, key->record->record.id) != 0)
		return error_set(err, ERROR_KMS_NOT_FOUND, "Grant ID %s not found.", id);
	return 0;
}

static struct kms_EncryptionContextType show_pairs(
	struct arena *arena, const struct record_tag_list *pairs, bool set)
{
	struct kms_EncryptionContextType shown = { .set = set };
	for (size_t i = 0; i < pairs->count; i++)
		*ARENA_APPEND(arena, shown.items, shown.count) =
			(struct kms_EncryptionContextType_entry){ pairs->items[i].key,
				pairs->items[i].value };
	return shown;
}

static struct kms_GrantListEntry show_grant(struct call *call, const struct kms_grant_record *grant)
{
	struct kms_GrantConstraints *constraints = NULL;
	if (grant->has_equals.set || grant->has_subset.set) {
		constraints = arena_alloc(call->arena, sizeof *constraints);
		constraints->encryption_context_equals =
			show_pairs(call->arena, &grant->equals, grant->has_equals.set);
		constraints->encryption_context_subset =
			show_pairs(call->arena, &grant->subset, grant->has_subset.set);
	}
	return (struct kms_GrantListEntry){
		.key_id =
			kms_arn(call->arena, &grant->record, arena_printf(call->arena, "key/%s", grant->key)),
		.grant_id = grant->record.id,
		.name = grant->name ? grant->name : "",
		.creation_date = grant->created,
		.grantee_principal = grant->grantee,
		.retiring_principal = grant->retiring,
		.issuing_account = grant->issuing_account,
		.operations = { grant->operations.items, grant->operations.count, true },
		.constraints = constraints,
	};
}

static void add_shown(struct call *call, const struct meta_rows *rows, const char *grantee, struct page *page,
	struct kms_GrantList *list)
{
	list->set = true;
	for (size_t i = 0; i < rows->count; i++) {
		const struct kms_grant_record *grant = rows->items[i];
		if (grantee && strcmp(grant->grantee, grantee) != 0)
			continue;
		if (!page_take(page, grant->record.id))
			break;
		*ARENA_APPEND(call->arena, list->items, list->count) = show_grant(call, grant);
	}
}

int kms_list_grants(struct call *call, const struct kms_ListGrantsRequest *request,
	struct kms_ListGrantsResponse *result, struct error *err)
{
	struct kms_key key;
	struct page page;
	struct meta_rows rows;
	if (kms_find_key(call, request->key_id, KMS_FOREIGN, &key, err) ||
		kms_permit_action(call, &key, "ListGrants", err) ||
		kms_page_open(call, request->limit, request->marker, &page, err))
		return -1;
	if (request->grant_id) {
		struct kms_grant_record *grant;
		if (find_grant(call, &key, request->grant_id, &grant, err))
			return -1;
		result->grants = (struct kms_GrantList){ .set = true };
		*ARENA_APPEND(call->arena, result->grants.items, result->grants.count) =
			show_grant(call, grant);
	} else {
		struct meta_query query = { .account = key.record->record.account,
			.region = call->region,
			.index = "key",
			.value = key.record->record.id,
			.after_id = page.after };
		if (meta_list(call->amid->meta, &record_kms_grant, &query, call->arena, &rows, err))
			return -1;
		add_shown(call, &rows, request->grantee_principal, &page, &result->grants);
	}
	result->next_marker = page_close(&page);
	result->truncated = some_boolean(result->next_marker != NULL);
	return 0;
}

/* Of all accounts' keys in the region; the principal must be of the caller's account. */
int kms_list_retirable_grants(struct call *call, const struct kms_ListRetirableGrantsRequest *request,
	struct kms_ListGrantsResponse *result, struct error *err)
{
	struct page page;
	struct meta_rows rows;
	const char *principal;
	if (take_principal(call->arena, request->retiring_principal, &principal, err) ||
		kms_page_open(call, request->limit, request->marker, &page, err))
		return -1;
	if (strncmp(principal + strlen("arn:aws:iam::"), call->account, strlen(call->account)) != 0)
		return error_set(
			err, ERROR_ACCESS_DENIED, "%.256s is not a principal of this account.", principal);
	struct meta_query query = {
		.region = call->region, .index = "retiring", .value = principal, .after_id = page.after
	};
	if (meta_list(call->amid->meta, &record_kms_grant, &query, call->arena, &rows, err))
		return -1;
	add_shown(call, &rows, NULL, &page, &result->grants);
	result->next_marker = page_close(&page);
	result->truncated = some_boolean(result->next_marker != NULL);
	return 0;
}

static int delete_grant(struct call *call, const struct kms_grant_record *grant, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_delete(batch, &record_kms_grant, grant);
	return meta_commit(call->amid->meta, batch, err);
}

int kms_revoke_grant(struct call *call, const struct kms_RevokeGrantRequest *request,
	struct kms_RevokeGrantResult *result, struct error *err)
{
	struct kms_key key;
	struct kms_grant_record *grant;
	(void)result;
	if (kms_find_key(call, request->key_id, KMS_FOREIGN, &key, err) ||
		kms_permit_action(call, &key, "RevokeGrant", err) ||
		find_grant(call, &key, request->grant_id, &grant, err))
		return -1;
	return boolean_or(request->dry_run, false) ? kms_dry_run(err) : delete_grant(call, grant, err);
}

int kms_retire_grant(struct call *call, const struct kms_RetireGrantRequest *request,
	struct kms_RetireGrantResult *result, struct error *err)
{
	struct kms_key key;
	struct kms_grant_record *grant;
	(void)result;
	if (request->grant_token ? (request->key_id || request->grant_id)
				 : (!request->key_id || !request->grant_id))
		return error_set(
			err, ERROR_VALIDATION, "Give the grant's token, or its id and its key's ARN.");
	if (request->grant_token) {
		if (kms_open_token(call->amid, request->grant_token, call->arena, &grant, err))
			return -1;
		if (!grant || strcmp(grant->record.region, call->region) != 0)
			return error_set(err, ERROR_KMS_NOT_FOUND, "The grant does not exist.");
		struct record place = grant->record;
		if (kms_find_key(call,
			    kms_arn(call->arena, &place, arena_printf(call->arena, "key/%s", grant->key)),
			    KMS_FOREIGN, &key, err))
			return -1;
	} else if (kms_find_key(call, request->key_id, KMS_FOREIGN, &key, err) ||
		find_grant(call, &key, request->grant_id, &grant, err)) {
		return -1;
	}
	const struct kms_use use = { .action = "RetireGrant", .retired = grant };
	if (kms_permit(call, &key, &use, err))
		return -1;
	return boolean_or(request->dry_run, false) ? kms_dry_run(err) : delete_grant(call, grant, err);
}
