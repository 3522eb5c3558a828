/* Finding keys by their names, what their states permit, and parts of answers. Runs on the thread of the call. */
#include "svc/kms/common.h"

#include <stdio.h>
#include <string.h>

#include "aws/page.h"
#include "base/text.h"
#include "base/banned.h"

enum { TAGS_MAX = 50, LIST_DEFAULT = 50, LIST_MAX = 1000, ARN_PARTS = 6 };

char *kms_arn(struct arena *arena, const struct record *record, const char *type_and_id)
{
	return arena_printf(arena, "arn:aws:kms:%s:%s:%s", record->region, record->account, type_and_id);
}

char *kms_key_arn(struct arena *arena, const struct kms_key_record *record)
{
	return kms_arn(arena, &record->record, arena_printf(arena, "key/%s", record->record.id));
}

/* "arn:aws:kms:REGION:ACCOUNT:key/ID" or "...:alias/NAME" taken apart: what is behind the fifth colon is left in *name: aliases may have colons. */
static int split_arn(struct call *call, const char **name, const char **account, struct error *err)
{
	const char *parts[ARN_PARTS] = { *name };
	size_t count = 1;
	for (const char *at = *name; count < ARN_PARTS && (at = strchr(at, ':')) != NULL;)
		parts[count++] = ++at;
	if (count != ARN_PARTS || !text_starts_with(*name, "arn:aws:kms:"))
		return error_set(err, ERROR_KMS_INVALID_ARN, "Invalid arn %.200s", *name);
	const char *region = arena_strndup(call->arena, parts[3], (size_t)(parts[4] - parts[3] - 1));
	if (strcmp(region, call->region) != 0)
		return error_set(err, ERROR_KMS_NOT_FOUND, "Invalid arn %.64s", region);
	*account = arena_strndup(call->arena, parts[4], (size_t)(parts[5] - parts[4] - 1));
	*name = parts[5];
	return 0;
}

/* An alias's key id in *id. */
static int follow_alias(
	struct call *call, const char *account, const char *alias, const char **id, struct error *err)
{
	struct kms_alias_record *found;
	if (meta_get(call->amid->meta, &record_kms_alias, account, call->region, alias, call->arena, &found,
		    err))
		return -1;
	if (!found)
		return error_set(err, ERROR_KMS_NOT_FOUND, "Alias arn:aws:kms:%s:%s:%.200s is not found.",
			call->region, account, alias);
	*id = found->key;
	return 0;
}

int kms_find_key(struct call *call, const char *name, unsigned names, struct kms_key *key, struct error *err)
{
	const char *account = call->account, *given = name;
	*key = (struct kms_key){ 0 };
	bool is_arn = text_starts_with(name, "arn:");
	if (is_arn && split_arn(call, &name, &account, err))
		return -1;
	if (strcmp(account, call->account) != 0 && !(names & KMS_FOREIGN))
		return error_set(err, ERROR_ACCESS_DENIED,
			"This operation cannot be performed on a key of another account: %.200s", given);
	if (text_starts_with(name, "alias/")) {
		if (!(names & KMS_BY_ALIAS))
			return error_set(err, ERROR_KMS_NOT_FOUND, "Invalid keyId '%.200s'", given);
		key->alias = name;
		if (follow_alias(call, account, name, &name, err))
			return -1;
	} else if (is_arn) {
		if (!text_starts_with(name, "key/"))
			return error_set(err, ERROR_KMS_INVALID_ARN, "Invalid arn %.200s", given);
		name += strlen("key/");
	}
	if (meta_get(call->amid->meta, &record_kms_key, account, call->region, name, call->arena,
		    &key->record, err))
		return -1;
	key->arn = arena_printf(call->arena, "arn:aws:kms:%s:%s:key/%s", call->region, account, name);
	if (!key->record)
		return error_set(err, ERROR_KMS_NOT_FOUND, "Key '%.300s' does not exist", key->arn);
	return 0;
}

int kms_find_by_id(struct amid *amid, const char *region, const char *id, struct arena *arena,
	struct kms_key_record **record, struct error *err)
{
	return meta_get_any(amid->meta, &record_kms_key, region, id, arena, record, err);
}

int kms_check_not_pending(const struct kms_key *key, struct error *err)
{
	const char *state = key->record->state;
	if (strcmp(state, KMS_PENDING_DELETION) == 0)
		return error_set(err, ERROR_KMS_INVALID_STATE, "%s is pending deletion.", key->arn);
	if (strcmp(state, KMS_PENDING_REPLICA_DELETION) == 0)
		return error_set(err, ERROR_KMS_INVALID_STATE, "%s is pending replica deletion.", key->arn);
	return 0;
}

int kms_check_enabled(const struct kms_key *key, struct error *err)
{
	if (kms_check_not_pending(key, err))
		return -1;
	if (strcmp(key->record->state, KMS_ENABLED) != 0)
		return error_set(err, ERROR_KMS_DISABLED, "%s is disabled.", key->arn);
	return 0;
}

int kms_check_usage(const struct kms_key *key, const char *usage, struct error *err)
{
	if (strcmp(key->record->usage, usage) == 0)
		return 0;
	return error_set(err, ERROR_KMS_INVALID_KEY_USAGE,
		"%s key usage is %s which is not valid for this operation.", key->arn, key->record->usage);
}

int kms_check_customer(const struct kms_key *key, struct error *err)
{
	if (!key->record->service)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED,
		"%s is managed by AWS; this operation is not possible on it.", key->arn);
}

static const char **copy_names(struct arena *arena, const char *const *names, size_t *count)
{
	const char **copy = NULL;
	for (*count = 0; *names; names++)
		*ARENA_APPEND(arena, copy, *count) = *names;
	return copy;
}

static struct kms_MultiRegionKey region_key(
	struct call *call, const struct kms_key_record *record, const char *region)
{
	struct record other = record->record;
	other.region = region;
	return (struct kms_MultiRegionKey){ .arn = kms_arn(call->arena, &other,
						    arena_printf(call->arena, "key/%s", record->record.id)),
		.region = region };
}

static struct kms_MultiRegionConfiguration *multi_region(
	struct call *call, const struct kms_key_record *record)
{
	struct kms_MultiRegionConfiguration *made = arena_alloc(call->arena, sizeof *made);
	bool primary = strcmp(record->primary_region, record->record.region) == 0;
	made->multi_region_key_type = primary ? "PRIMARY" : "REPLICA";
	made->primary_key = arena_alloc(call->arena, sizeof *made->primary_key);
	*made->primary_key = region_key(call, record, record->primary_region);
	made->replica_keys.set = true;
	for (size_t i = 0; i < record->replica_regions.count; i++)
		*ARENA_APPEND(call->arena, made->replica_keys.items, made->replica_keys.count) =
			region_key(call, record, record->replica_regions.items[i]);
	return made;
}

static void add_algorithms(
	struct call *call, const struct kms_key_record *record, struct kms_KeyMetadata *metadata)
{
	size_t count;
	const struct kms_spec *spec = kms_find_spec(record->spec);
	const char **names = copy_names(call->arena, kms_algorithms(spec, record->usage), &count);
	if (strcmp(record->usage, KMS_ENCRYPT_DECRYPT) == 0)
		metadata->encryption_algorithms =
			(struct kms_EncryptionAlgorithmSpecList){ names, count, true };
	else if (strcmp(record->usage, KMS_SIGN_VERIFY) == 0)
		metadata->signing_algorithms = (struct kms_SigningAlgorithmSpecList){ names, count, true };
	else
		metadata->mac_algorithms = (struct kms_MacAlgorithmSpecList){ names, count, true };
}

struct kms_KeyMetadata *kms_metadata(struct call *call, const struct kms_key_record *record)
{
	struct kms_KeyMetadata *made = arena_alloc(call->arena, sizeof *made);
	*made = (struct kms_KeyMetadata){
		.aws_account_id = record->record.account,
		.key_id = record->record.id,
		.arn = kms_key_arn(call->arena, record),
		.creation_date = record->created,
		.enabled = some_boolean(strcmp(record->state, KMS_ENABLED) == 0),
		.description = record->description ? record->description : "",
		.key_usage = record->usage,
		.key_state = record->state,
		.deletion_date = record->deletion_date,
		.origin = "AWS_KMS",
		.key_manager = record->service ? "AWS" : "CUSTOMER",
		.customer_master_key_spec = record->spec,
		.key_spec = record->spec,
		.multi_region = some_boolean(boolean_or(record->multi_region, false)),
		.multi_region_configuration =
			boolean_or(record->multi_region, false) ? multi_region(call, record) : NULL,
		.current_key_material_id = kms_is_symmetric(record)
			? record->materials.items[record->materials.count - 1].id
			: NULL,
	};
	/* while it waits for its replicas it has no date yet, but days */
	if (strcmp(record->state, KMS_PENDING_REPLICA_DELETION) == 0)
		made->pending_deletion_window_in_days = record->deletion_days;
	add_algorithms(call, record, made);
	return made;
}

int kms_take_tags(
	struct call *call, const struct kms_TagList *tags, struct record_tag_list *into, struct error *err)
{
	for (size_t i = 0; i < tags->count; i++) {
		const struct kms_Tag *tag = &tags->items[i];
		size_t at = 0;
		if (text_starts_with(tag->tag_key, "aws:"))
			return error_set(err, ERROR_KMS_TAG,
				"aws: prefixed tag key names are not allowed for external use.");
		for (size_t j = 0; j < i; j++)
			if (strcmp(tags->items[j].tag_key, tag->tag_key) == 0)
				return error_set(
					err, ERROR_KMS_TAG, "Duplicate tag key %.128s", tag->tag_key);
		while (at < into->count && strcmp(into->items[at].key, tag->tag_key) != 0)
			at++;
		if (at == into->count)
			ARENA_APPEND(call->arena, into->items, into->count);
		into->items[at] = (struct record_tag){ .key = tag->tag_key, .value = tag->tag_value };
	}
	if (into->count > TAGS_MAX)
		return error_set(err, ERROR_KMS_LIMIT_EXCEEDED, "A key can have %d tags.", TAGS_MAX);
	into->set = into->count > 0;
	return 0;
}

int kms_put_key(struct call *call, const struct kms_key_record *record, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_kms_key, record);
	return meta_commit(call->amid->meta, batch, err);
}

int kms_page_open(struct call *call, struct shape_integer limit, const char *marker, struct page *page,
	struct error *err)
{
	static const struct page_rules rules = {
		.max = LIST_MAX, .fallback = LIST_DEFAULT, .bad_token = ERROR_KMS_INVALID_MARKER
	};
	return page_open(call, call->amid->token_key, &rules, limit, marker, page, err);
}

int kms_dry_run(struct error *err)
{
	return error_set(
		err, ERROR_KMS_DRY_RUN, "The request would have succeeded, but the DryRun option is set.");
}
