/*
 * What grants cover, and their tokens. A token is the grant's account, region and id, sealed: nobody can make one up, and nothing has to be kept for it. Any thread.
 */
#include "svc/kms/grants.h"

#include <string.h>

#include "base/text.h"
#include "svc/secret.h"
#include "base/banned.h"

#define TOKEN_PURPOSE "kms-grant-token"

int kms_grants_add(struct amid *amid, const struct kms_key_record *key, const char *grantee,
	struct arena *arena, struct kms_grants *grants, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = key->record.account,
		.region = key->record.region,
		.index = "grantee",
		.value = grantee };
	if (meta_list(amid->meta, &record_kms_grant, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct kms_grant_record *grant = rows.items[i];
		if (strcmp(grant->key, key->record.id) == 0)
			*ARENA_APPEND(arena, grants->items, grants->count) = grant;
	}
	return 0;
}

static bool has_pair(const struct kms_EncryptionContextType *context, const struct record_tag *pair)
{
	for (size_t i = 0; i < context->count; i++)
		if (strcmp(context->items[i].key, pair->key) == 0)
			return strcmp(context->items[i].value, pair->value) == 0;
	return false;
}

static bool has_pairs(const struct kms_EncryptionContextType *context, const struct record_tag_list *pairs)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (!has_pair(context, &pairs->items[i]))
			return false;
	return true;
}

static bool lists(const struct kms_grant_record *grant, const char *operation)
{
	for (size_t i = 0; i < grant->operations.count; i++)
		if (strcmp(grant->operations.items[i], operation) == 0)
			return true;
	return false;
}

bool kms_grant_covers(const struct kms_grant_record *grant, const char *operation,
	const struct kms_EncryptionContextType *context)
{
	if (!lists(grant, operation))
		return false;
	if (!context)
		return true;
	if (grant->has_equals.set && grant->equals.count != context->count)
		return false;
	return has_pairs(context, &grant->equals) && has_pairs(context, &grant->subset);
}

/* Whether each pair of `needed` is among those that the grant demands. */
static bool demands(const struct kms_grant_record *grant, const struct record_tag_list *needed)
{
	for (size_t i = 0; i < needed->count; i++) {
		bool found = false;
		const struct record_tag_list *lists_of[] = { &grant->equals, &grant->subset };
		for (size_t j = 0; j < 2; j++)
			for (size_t k = 0; k < lists_of[j]->count; k++)
				found |= strcmp(lists_of[j]->items[k].key, needed->items[i].key) == 0 &&
					strcmp(lists_of[j]->items[k].value, needed->items[i].value) == 0;
		if (!found)
			return false;
	}
	return true;
}

bool kms_grant_includes(const struct kms_grant_record *parent, const struct kms_grant_record *child)
{
	for (size_t i = 0; i < child->operations.count; i++)
		if (!lists(parent, child->operations.items[i]))
			return false;
	if (parent->has_equals.set)
		return child->has_equals.set && child->equals.count == parent->equals.count &&
			demands(child, &parent->equals);
	return demands(child, &parent->subset);
}

int kms_make_token(struct call *call, const struct kms_grant_record *grant, char **token, struct error *err)
{
	char *text = arena_printf(
		call->arena, "%s %s %s", grant->record.account, grant->record.region, grant->record.id);
	return secret_seal(call->amid, TOKEN_PURPOSE, text, strlen(text), call->arena, token, err);
}

static int invalid_token(struct error *err)
{
	return error_set(err, ERROR_KMS_INVALID_GRANT_TOKEN, "The grant token is not valid.");
}

int kms_open_token(struct amid *amid, const char *token, struct arena *arena, struct kms_grant_record **grant,
	struct error *err)
{
	void *text;
	size_t size, count;
	if (secret_open(amid, TOKEN_PURPOSE, token, arena, &text, &size, err))
		return invalid_token(err);
	char **parts = text_split(arena, text, ' ', &count);
	return count == 3
		? meta_get(amid->meta, &record_kms_grant, parts[0], parts[1], parts[2], arena, grant, err)
		: invalid_token(err);
}

int kms_check_tokens(struct call *call, const struct kms_GrantTokenList *tokens, struct error *err)
{
	struct kms_grant_record *grant;
	for (size_t i = 0; i < tokens->count; i++)
		if (kms_open_token(call->amid, tokens->items[i], call->arena, &grant, err))
			return -1;
	return 0;
}
